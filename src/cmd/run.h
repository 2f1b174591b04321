/* SPDX-License-Identifier: MIT */
/*
 * `mediant run`: what its files share.  run.c owns the two children, run_options.c the command
 * line, run_qemu.c finds QEMU and makes its command line, run_accel.c chooses KVM or TCG.
 */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include <limits.h>

#include "cmd/options.h"
#include "cmd/words.h"

#define RUN_MAX_DISKS 8u

enum run_accel { RUN_ACCEL_AUTO, RUN_ACCEL_KVM, RUN_ACCEL_TCG };

struct run_disk {
	char path[PATH_MAX];
	bool read_only;
};

struct run_options {
	char name[OPTION_NAME_MAX + 1];
	const char *qemu; /* NULL: look for one */
	enum run_accel accel;
	uint64_t memory_bytes;
	uint64_t cpus;
	const char *kernel, *initrd, *append;
	unsigned int disk_count;
	struct run_disk disks[RUN_MAX_DISKS];
	bool network;
	bool dry_run;
	bool vnc_chosen;		 /* by --vnc, or there is nothing to see */
	unsigned int displays, monitors; /* --display given so often, and not as none */
	struct words serve;		 /* options that go to `serve` as they are */
	char **extra;			 /* to QEMU as they are; ends in NULL */
};

/* CMD_GO_ON, or the status to end with. */
int run_options_parse(struct run_options *options, int argc, char **argv);

/* Into @path (PATH_MAX): a QEMU that has vfio-user-pci; -ENOENT, told with the remedy. */
int run_qemu_find(const struct run_options *options, char *path);

/* QEMU's whole command line for a vGPU that is served on @socket. */
void run_qemu_words(const struct run_options *options, const char *qemu, enum run_accel accel,
		    const char *socket, struct words *words);

/*
 * What RUN_ACCEL_AUTO means on this machine, with the reason in @why.  It may try KVM to find out
 * (@may_probe), which takes up to RUN_PROBE_S; what a kernel told is kept for this boot.
 */
#define RUN_PROBE_S    10
#define RUN_FIRMWARE_S 3 /* it needs some tenths of a second; interpreted, ten times this */
enum run_accel run_accel_choose(const struct run_options *options, const char *qemu, bool may_probe,
				char *why, size_t size);

/*
 * The try itself: boots @options' kernel under KVM, or without one a firmware with no disk.
 * *@keep: the answer is about this machine; false when @qemu ended, which tells only of @qemu, and
 * when no kernel ran.
 */
enum run_accel run_accel_probe(const struct run_options *options, const char *qemu, bool *keep,
			       char *why, size_t size);

#endif
