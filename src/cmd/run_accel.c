/* SPDX-License-Identifier: MIT */
/*
 * KVM or TCG for `mediant run`.  /dev/kvm may exist and yet not run a stock kernel (a nested
 * hypervisor that interprets the guest's kernel takes minutes to its first line), so the kernel
 * that is to be run is tried for some seconds.  What it told is one line, "kvm REASON" or
 * "tcg REASON", in the cache folder under this machine's boot id; the tests' harness shares it.
 * Without a kernel the firmware is tried, each time anew: that it runs says less, and soon.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/process.h"
#include "cmd/run.h"

/* The kernel is through its own start: it hands over to user space, or finds none. */
static bool kernel_is_up(const char *text)
{
	return strstr(text, "Run /init as init process") ||
	       strstr(text, "Unable to mount root fs") || strstr(text, "No working init found");
}

/* The firmware, through all the modes of a CPU that a kernel starts in, has nothing to boot. */
static bool firmware_is_up(const char *text)
{
	return strstr(text, "No bootable device");
}

static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool good = file && fgets(line, (int)size, file);

	if (file)
		fclose(file);
	if (good)
		line[strcspn(line, "\n")] = '\0';
	return good;
}

static int answer_path(char *path, size_t size)
{
	const char *own = getenv("MEDIANT_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char boot_id[64], folder[PATH_MAX];

	if (!read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id)))
		return -ENOENT;
	if (own && *own)
		snprintf(folder, sizeof(folder), "%s", own);
	else if (xdg && *xdg)
		snprintf(folder, sizeof(folder), "%s/mediant", xdg);
	else if (home && *home)
		snprintf(folder, sizeof(folder), "%s/.cache/mediant", home);
	else
		return -ENOENT;
	return snprintf(path, size, "%s/accel-%s", folder, boot_id) < (int)size ? 0 : -ENAMETOOLONG;
}

/* Through a file of our own that is renamed, so that nobody reads half a line. */
static void keep_answer(const char *path, enum run_accel accel, const char *why)
{
	char fresh[PATH_MAX + 16];
	FILE *file;

	snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid());
	file = fopen(fresh, "we");
	if (!file)
		return; /* no cache folder: the next run asks again */
	fprintf(file, "%s %s\n", accel == RUN_ACCEL_KVM ? "kvm" : "tcg", why);
	if (fclose(file) || rename(fresh, path))
		unlink(fresh);
}

static bool kept_answer(const char *path, enum run_accel *accel, char *why, size_t size)
{
	char line[256];

	if (!read_line(path, line, sizeof(line)) || strlen(line) < 3 || (line[3] && line[3] != ' '))
		return false;
	if (strncmp(line, "kvm", 3) && strncmp(line, "tcg", 3))
		return false;
	*accel = line[0] == 'k' ? RUN_ACCEL_KVM : RUN_ACCEL_TCG;
	snprintf(why, size, "%s", line[3] ? line + 4 : "found out before");
	return true;
}

static void probe_words(const struct run_options *o, const char *qemu, struct words *words)
{
	const char *const fixed[] = {
		"-nodefaults", "-no-user-config", "-machine", "q35",	  "-m",
		"512M",	       "-accel",	  "kvm",      "-cpu",	  "host",
		"-no-reboot",  "-display",	  "none",     "-monitor", "none",
	};
	static const char *const firmware[] = { "-chardev", "stdio,id=log", "-device",
						"isa-debugcon,iobase=0x402,chardev=log" };
	static const char *const kernel[] = { "-serial", "stdio", "-append",
					      "console=ttyS0 panic=-1", "-kernel" };

	words_add(words, "%s", qemu);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		words_add(words, "%s", fixed[i]);
	for (size_t i = 0; i < ARRAY_SIZE(firmware) && !o->kernel; i++)
		words_add(words, "%s", firmware[i]);
	if (!o->kernel)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++)
		words_add(words, "%s", kernel[i]);
	words_add(words, "%s", o->kernel);
	if (o->initrd) {
		words_add(words, "-initrd");
		words_add(words, "%s", o->initrd);
	}
}

/* Boots under KVM: 1 it came up, 0 QEMU ended before that, -errno. */
static int boot_under_kvm(const struct run_options *o, const char *qemu, unsigned int limit_s)
{
	struct process_options options = { .quiet = true, .take_stdout = true };
	struct words words = { 0 };
	char text[16384];
	int fd, result;
	pid_t pid;

	probe_words(o, qemu, &words);
	pid = words.failed ? -ENOMEM : process_start(words.at, &options, &fd);
	words_fini(&words);
	if (pid < 0)
		return pid;
	result = process_read(fd, text, sizeof(text), clock_now_ns() + limit_s * NSEC_PER_SEC,
			      o->kernel ? kernel_is_up : firmware_is_up);
	close(fd);
	process_end(pid, NSEC_PER_SEC);
	return result;
}

enum run_accel run_accel_probe(const struct run_options *o, const char *qemu, bool *keep, char *why,
			       size_t size)
{
	const char *what = o->kernel ? "this kernel" : "a firmware";
	unsigned int limit_s = o->kernel ? RUN_PROBE_S : RUN_FIRMWARE_S;
	int result;

	fprintf(stderr, "mediant: trying whether KVM runs %s (up to %u s) ...\n", what, limit_s);
	result = boot_under_kvm(o, qemu, limit_s);
	if (result == 1)
		snprintf(why, size, "%s runs under it", what);
	else if (result == -ETIMEDOUT)
		snprintf(why, size, "/dev/kvm exists but %s did not start under it within %u s",
			 o->kernel ? "a stock kernel" : what, limit_s);
	else
		snprintf(why, size, "%s could not use /dev/kvm", qemu);
	*keep = o->kernel && (result == 1 || result == -ETIMEDOUT);
	return result == 1 ? RUN_ACCEL_KVM : RUN_ACCEL_TCG;
}

/* Where nothing may be started: does this CPU offer virtualization at all? */
static bool cpu_virtualizes(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (file && !found && getline(&line, &size, file) > 0)
		found = !strncmp(line, "flags", 5) &&
			(strstr(line, " vmx") || strstr(line, " svm"));
	free(line);
	if (file)
		fclose(file);
	return found;
}

static enum run_accel guess(char *why, size_t size)
{
	bool good = cpu_virtualizes();

	snprintf(why, size,
		 good ? "the CPU virtualizes"
		      : "this CPU shows no virtualization, and a dry run tries nothing");
	return good ? RUN_ACCEL_KVM : RUN_ACCEL_TCG;
}

/* What needs no trying; RUN_ACCEL_AUTO when that does not tell. */
static enum run_accel known(char *why, size_t size)
{
	const char *wish = getenv("MEDIANT_ACCEL");

	if (wish && (!strcmp(wish, "kvm") || !strcmp(wish, "tcg"))) {
		snprintf(why, size, "MEDIANT_ACCEL says so");
		return *wish == 'k' ? RUN_ACCEL_KVM : RUN_ACCEL_TCG;
	}
	if (access("/dev/kvm", F_OK)) {
		snprintf(why, size, "there is no /dev/kvm");
		return RUN_ACCEL_TCG;
	}
	if (access("/dev/kvm", R_OK | W_OK)) {
		snprintf(why, size,
			 "/dev/kvm is not accessible to this user (its group is usually kvm)");
		return RUN_ACCEL_TCG;
	}
	return RUN_ACCEL_AUTO;
}

enum run_accel run_accel_choose(const struct run_options *o, const char *qemu, bool may_probe,
				char *why, size_t size)
{
	enum run_accel accel = known(why, size);
	char path[PATH_MAX];
	bool can_keep = !answer_path(path, sizeof(path)), keep;

	if (accel != RUN_ACCEL_AUTO || (can_keep && kept_answer(path, &accel, why, size)))
		return accel;
	if (!may_probe)
		return guess(why, size);
	accel = run_accel_probe(o, qemu, &keep, why, size);
	if (can_keep && keep)
		keep_answer(path, accel, why);
	return accel;
}
