/* SPDX-License-Identifier: MIT */
/*
 * KVM or TCG for `mediant run`.  /dev/kvm may exist and yet not run a stock kernel (a nested
 * hypervisor that interprets the guest's kernel takes minutes to its first line), so the kernel
 * that is to be run is tried for some seconds.  The answer is one line, "kvm REASON" or
 * "tcg REASON", in the cache folder under this machine's boot id; the tests' harness shares it.
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
		"-nodefaults", "-no-user-config",
		"-machine",    "q35",
		"-m",	       "512M",
		"-accel",      "kvm",
		"-cpu",	       "host",
		"-append",     "console=ttyS0 panic=-1",
		"-no-reboot",  "-display",
		"none",	       "-serial",
		"stdio",       "-monitor",
		"none",
	};

	words_add(words, "%s", qemu);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		words_add(words, "%s", fixed[i]);
	words_add(words, "-kernel");
	words_add(words, "%s", o->kernel);
	if (o->initrd) {
		words_add(words, "-initrd");
		words_add(words, "%s", o->initrd);
	}
}

/* Boots the kernel under KVM: 1 it came up, 0 QEMU ended before that, -errno. */
static int boot_under_kvm(const struct run_options *o, const char *qemu)
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
	result = process_read(fd, text, sizeof(text), clock_now_ns() + RUN_PROBE_S * NSEC_PER_SEC,
			      kernel_is_up);
	close(fd);
	process_end(pid, NSEC_PER_SEC);
	return result;
}

static enum run_accel probe(const struct run_options *o, const char *qemu, char *why, size_t size)
{
	int result;

	fprintf(stderr, "mediant: trying whether KVM runs this kernel (up to %d s) ...\n",
		RUN_PROBE_S);
	result = boot_under_kvm(o, qemu);
	if (result == 1)
		snprintf(why, size, "this kernel runs under it");
	else if (result == -ETIMEDOUT)
		snprintf(why, size,
			 "/dev/kvm exists but a stock kernel did not start under it within %d s",
			 RUN_PROBE_S);
	else
		snprintf(why, size, "QEMU could not use /dev/kvm");
	return result == 1 ? RUN_ACCEL_KVM : RUN_ACCEL_TCG;
}

/* Without a kernel to try: does this CPU offer virtualization at all? */
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
		      : "this CPU shows no virtualization and there is no --kernel to "
			"try; --accel kvm insists");
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
	bool can_keep = !answer_path(path, sizeof(path));

	if (accel != RUN_ACCEL_AUTO || (can_keep && kept_answer(path, &accel, why, size)))
		return accel;
	if (!o->kernel || !may_probe)
		return guess(why, size);
	accel = probe(o, qemu, why, size);
	if (can_keep)
		keep_answer(path, accel, why);
	return accel;
}
