/* SPDX-License-Identifier: MIT */
/*
 * QEMU for `mediant run`: finding one that can attach a vGPU, and its command line.  Guest memory
 * must be a shared memory file, or the vGPU would see other bytes than the guest; the vGPU sits at
 * 00:02.0, where an integrated GPU has always been.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/process.h"
#include "cmd/run.h"

#define DEVICE_HELP_LIMIT_NS (20 * NSEC_PER_SEC)

/*
 * QEMU makes devices written as JSON after all others, whatever their order, and a device without
 * an address takes the first free slot, so each of ours has one: no other may get slot 2.
 */
#define FIRST_DISK_SLOT 0x10u

static bool names_vfio_user(const char *text)
{
	return strstr(text, "\"vfio-user-pci\"") != NULL;
}

static bool has_vfio_user(const char *qemu)
{
	char *argv[] = { (char *)(uintptr_t)qemu, (char[]){ "-device" }, (char[]){ "help" }, NULL };
	struct process_options options = { .quiet = true, .take_stdout = true };
	char text[8192];
	int fd, found;
	pid_t pid = process_start(argv, &options, &fd);

	if (pid < 0)
		return false;
	found = process_read(fd, text, sizeof(text), clock_now_ns() + DEVICE_HELP_LIMIT_NS,
			     names_vfio_user);
	close(fd);
	process_end(pid, NSEC_PER_SEC);
	return found == 1;
}

int run_qemu_find(const struct run_options *options, char *path)
{
	const char *wish = options->qemu ? options->qemu : getenv("MEDIANT_QEMU");
	const char *qemu = wish && *wish ? wish : "qemu-system-x86_64";

	snprintf(path, PATH_MAX, "%s", qemu);
	if (has_vfio_user(qemu))
		return 0;
	log_error("%s %s has no vfio-user-pci (QEMU 10.1 or newer has it): name another one by "
		  "--qemu PATH or in MEDIANT_QEMU; scripts/qemu.sh fetches one and prints its path",
		  qemu, wish ? "does not run or" : "on the PATH is missing or");
	return -ENOENT;
}

/* An option and its value, which is the JSON of @tree; takes the reference over. */
static void add_json(struct words *words, const char *option, json_t *tree)
{
	words_add(words, "%s", option);
	words_take(words, tree ? json_dumps(tree, JSON_COMPACT) : NULL);
	json_decref(tree);
}

static void add(struct words *words, const char *option, const char *value)
{
	words_add(words, "%s", option);
	words_add(words, "%s", value);
}

static bool is_qcow2(const char *path)
{
	char magic[4] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, magic, sizeof(magic)) != sizeof(magic))
		magic[0] = '\0';
	close(fd);
	return !memcmp(magic, "QFI\xfb", sizeof(magic));
}

static void add_disk(struct words *words, const struct run_disk *disk, unsigned int index)
{
	char node[16], addr[16];

	snprintf(node, sizeof(node), "disk%u", index);
	snprintf(addr, sizeof(addr), "%02x.0", FIRST_DISK_SLOT + index);
	add_json(words, "-blockdev",
		 json_pack("{s:s, s:s, s:b, s:{s:s, s:s}}", "driver",
			   is_qcow2(disk->path) ? "qcow2" : "raw", "node-name", node, "read-only",
			   (int)disk->read_only, "file", "driver", "file", "filename", disk->path));
	add_json(words, "-device",
		 json_pack("{s:s, s:s, s:s, s:i}", "driver", "virtio-blk-pci", "drive", node,
			   "addr", addr, "bootindex", (int)index + 1));
}

static void add_machine(struct words *words, const struct run_options *o, enum run_accel accel)
{
	unsigned long mib = (unsigned long)(o->memory_bytes >> 20);

	words_add(words, "-name");
	words_add(words, "%s", o->name);
	words_add(words, "-nodefaults");
	words_add(words, "-no-user-config");
	add(words, "-machine", "q35,memory-backend=ram");
	words_add(words, "-object");
	words_add(words, "memory-backend-memfd,id=ram,size=%luM,share=on", mib);
	words_add(words, "-m");
	words_add(words, "%luM", mib);
	words_add(words, "-smp");
	words_add(words, "%lu", (unsigned long)o->cpus);
	add(words, "-accel", accel == RUN_ACCEL_KVM ? "kvm" : "tcg,thread=multi");
	/* Under TCG a newer CPU's wide vectors are slower than doing without them. */
	add(words, "-cpu", accel == RUN_ACCEL_KVM ? "host" : "Nehalem");
}

static void add_boot(struct words *words, const struct run_options *o)
{
	if (o->kernel)
		add(words, "-kernel", o->kernel);
	if (o->initrd)
		add(words, "-initrd", o->initrd);
	if (o->append)
		add(words, "-append", o->append);
	for (unsigned int i = 0; i < o->disk_count; i++)
		add_disk(words, &o->disks[i], i);
}

static void add_devices(struct words *words, const struct run_options *o, const char *socket)
{
	add(words, "-vga", "none");
	add(words, "-display", "none");
	add_json(words, "-device",
		 json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "driver", "vfio-user-pci", "id",
			   "vgpu0", "addr", "02.0", "socket", "type", "unix", "path", socket));
	add(words, "-object", "rng-random,id=rng,filename=/dev/urandom");
	add(words, "-device", "virtio-rng-pci,rng=rng,addr=18.0");
	if (o->network) {
		add(words, "-netdev", "user,id=net0");
		add(words, "-device", "virtio-net-pci,netdev=net0,addr=19.0");
	}
	add(words, "-serial", "mon:stdio");
}

void run_qemu_words(const struct run_options *o, const char *qemu, enum run_accel accel,
		    const char *socket, struct words *words)
{
	words_add(words, "%s", qemu);
	add_machine(words, o, accel);
	add_boot(words, o);
	add_devices(words, o, socket);
	for (char **extra = o->extra; *extra; extra++)
		words_add(words, "%s", *extra);
}
