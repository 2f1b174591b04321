/* SPDX-License-Identifier: MIT */
/* `mediant run`: its options, QEMU's command line, and how it deals with children. */
#include "cmd/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/process.h"
#include "tests/support/leaks.h"

#define MAX_ARGS 24

/* Parses a command line in one string, its words apart by blanks. */
static int parse(struct run_options *options, const char *line)
{
	static char copy[512];
	static char *argv[MAX_ARGS];
	int argc = 0;

	strcpy(copy, line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	return run_options_parse(options, argc, argv);
}

static bool has_pair(const struct words *words, const char *option, const char *value)
{
	for (size_t i = 0; i + 1 < words->count; i++)
		if (!strcmp(words->at[i], option) && !strcmp(words->at[i + 1], value))
			return true;
	return false;
}

static void options_are_taken(void **state)
{
	struct run_options o;

	assert_int_equal(parse(&o, "run --name vm --memory 2G --cpus 4 --accel tcg --kernel "
				   "/dev/null --append quiet --disk /dev/null,ro --type x --vnc :1 "
				   "--render-only -- -snapshot -s"),
			 CMD_GO_ON);
	assert_string_equal(o.name, "vm");
	assert_true(o.memory_bytes == (uint64_t)2 << 30);
	assert_int_equal(o.cpus, 4);
	assert_int_equal(o.accel, RUN_ACCEL_TCG);
	assert_string_equal(o.kernel, "/dev/null");
	assert_string_equal(o.append, "quiet");
	assert_int_equal(o.disk_count, 1);
	assert_string_equal(o.disks[0].path, "/dev/null");
	assert_true(o.disks[0].read_only);
	assert_true(has_pair(&o.serve, "--type", "x"));
	assert_true(has_pair(&o.serve, "--vnc", ":1"));
	assert_string_equal(o.serve.at[4], "--render-only");
	assert_string_equal(o.extra[0], "-snapshot");
	assert_string_equal(o.extra[1], "-s");
	assert_null(o.extra[2]);
	words_fini(&o.serve);
}

/* `serve` refuses to show a monitor that is not there. */
static void the_first_monitor_is_shown_if_there_is_one(void **state)
{
	struct run_options o;

	assert_int_equal(parse(&o, "run --disk /dev/null"), CMD_GO_ON);
	assert_true(has_pair(&o.serve, "--vnc", "127.0.0.1:0"));
	words_fini(&o.serve);
	assert_int_equal(parse(&o, "run --disk /dev/null --display none --display dp"), CMD_GO_ON);
	assert_true(has_pair(&o.serve, "--vnc", "127.0.0.1:0"));
	words_fini(&o.serve);
	assert_int_equal(parse(&o, "run --disk /dev/null --display none"), CMD_GO_ON);
	assert_false(has_pair(&o.serve, "--vnc", "127.0.0.1:0"));
	words_fini(&o.serve);
}

static void bad_options_are_refused(void **state)
{
	static const char *const lines[] = {
		"run",
		"run --kernel /no/such/file",
		"run --disk /no/such/disk",
		"run --disk /dev/null --memory 1",
		"run --disk /dev/null --memory 1000001K",
		"run --disk /dev/null --cpus 0",
		"run --disk /dev/null --accel hax",
		"run --disk /dev/null --name a/b",
		"run --disk /dev/null --append quiet",
		"run --disk /dev/null -snapshot",
		"run --disk /dev/null word",
		"run --disk",
	};
	struct run_options o;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(&o, lines[i]), CMD_USAGE);
		words_fini(&o.serve);
	}
}

static void make_file(char *path, const char *bytes, size_t len)
{
	int fd;

	strcpy(path, "/tmp/mediant-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void qemu_is_given_shared_memory_and_the_vgpu(void **state)
{
	struct words words = { 0 };
	struct run_options o;
	char disk[64], line[256], expected[256];

	make_file(disk, "QFI\xfb", 4);
	sprintf(line, "run --name vm --memory 512M --disk %s --no-network -- -S", disk);
	assert_int_equal(parse(&o, line), CMD_GO_ON);
	run_qemu_words(&o, "qemu", RUN_ACCEL_TCG, "/run/a \"b\".vfio", &words);
	assert_false(words.failed);
	assert_string_equal(words.at[0], "qemu");
	assert_true(has_pair(&words, "-machine", "q35,memory-backend=ram"));
	assert_true(has_pair(&words, "-object", "memory-backend-memfd,id=ram,size=512M,share=on"));
	assert_true(has_pair(&words, "-m", "512M"));
	assert_true(has_pair(&words, "-accel", "tcg,thread=multi"));
	assert_true(has_pair(&words, "-vga", "none"));
	assert_true(has_pair(&words, "-device",
			     "{\"driver\":\"vfio-user-pci\",\"id\":\"vgpu0\",\"addr\":\"02.0\","
			     "\"socket\":{\"type\":\"unix\",\"path\":\"/run/a \\\"b\\\".vfio\"}}"));
	sprintf(expected,
		"{\"driver\":\"qcow2\",\"node-name\":\"disk0\",\"read-only\":false,"
		"\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}",
		disk);
	assert_true(has_pair(&words, "-blockdev", expected));
	assert_string_equal(words.at[words.count - 1], "-S");
	for (size_t i = 0; i < words.count; i++)
		assert_string_not_equal(words.at[i], "-netdev");
	words_fini(&words);
	words_fini(&o.serve);
	unlink(disk);
}

static void words_are_quoted_for_a_shell(void **state)
{
	struct words words = { 0 };
	char text[128] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	words_add(&words, "plain-1.2/x:y,z=w");
	words_add(&words, "%s", "two words");
	words_add(&words, "%s", "it's");
	words_add(&words, "%s", "");
	words_add(&words, "%s", "$HOME");
	words_print(out, &words);
	fclose(out);
	assert_string_equal(text, "plain-1.2/x:y,z=w 'two words' 'it'\\''s' '' '$HOME'\n");
	words_fini(&words);
}

static bool has_end(const char *text)
{
	return strstr(text, "end") != NULL;
}

static int shell(const char *script, char *text, size_t size, uint64_t limit_ns, pid_t *pid)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char *)(uintptr_t)script, NULL };
	struct process_options options = { .take_stdout = true, .quiet = true };
	int fd, result;

	*pid = process_start(argv, &options, &fd);
	assert_true(*pid > 0);
	result = process_read(fd, text, size, clock_now_ns() + limit_ns, has_end);
	close(fd);
	return result;
}

static void children_are_read_and_ended(void **state)
{
	char text[64];
	int status;
	pid_t pid;

	assert_int_equal(shell("echo the end; exit 3", text, sizeof(text), 5 * NSEC_PER_SEC, &pid),
			 1);
	status = process_wait(pid, clock_now_ns() + 5 * NSEC_PER_SEC);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	assert_int_equal(shell("echo no", text, sizeof(text), 5 * NSEC_PER_SEC, &pid), 0);
	process_end(pid, NSEC_PER_SEC);
	assert_int_equal(shell("exec sleep 60", text, sizeof(text), NSEC_PER_MSEC, &pid),
			 -ETIMEDOUT);
	assert_int_equal(process_wait(pid, clock_now_ns()), -1);
	status = process_end(pid, 5 * NSEC_PER_SEC);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void a_stubborn_child_is_killed(void **state)
{
	char text[64];
	int status;
	pid_t pid;

	assert_int_equal(shell("trap '' TERM; echo end; while :; do sleep 1; done", text,
			       sizeof(text), 5 * NSEC_PER_SEC, &pid),
			 1);
	status = process_end(pid, NSEC_PER_MSEC);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* More than the buffer holds: the newest part stays, with its NULs made blanks. */
static void long_output_is_followed(void **state)
{
	char text[64];
	pid_t pid;

	assert_int_equal(shell("i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); done; "
			       "printf 'a\\000'; echo end",
			       text, sizeof(text), 5 * NSEC_PER_SEC, &pid),
			 1);
	assert_non_null(strstr(text, "a end"));
	process_end(pid, NSEC_PER_SEC);
}

static void missing_programs_fail(void **state)
{
	struct run_options o = { .qemu = "/no/such/qemu" };
	char path[PATH_MAX];

	assert_int_equal(run_qemu_find(&o, path), -ENOENT);
	o.qemu = "true"; /* runs, but is no QEMU */
	assert_int_equal(run_qemu_find(&o, path), -ENOENT);
}

static void the_choice_of_accel_is_kept(void **state)
{
	char cache[] = "/tmp/mediant-test-XXXXXX", path[256], boot_id[64] = "", why[128];
	struct run_options o = { 0 };
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

	assert_non_null(file);
	assert_non_null(fgets(boot_id, sizeof(boot_id), file));
	fclose(file);
	boot_id[strcspn(boot_id, "\n")] = '\0';
	assert_non_null(mkdtemp(cache));
	setenv("MEDIANT_CACHE", cache, 1);
	sprintf(path, "%s/accel-%s", cache, boot_id);
	file = fopen(path, "w");
	fputs("kvm the test says so\n", file);
	fclose(file);
	setenv("MEDIANT_ACCEL", "tcg", 1);
	assert_int_equal(run_accel_choose(&o, "true", false, why, sizeof(why)), RUN_ACCEL_TCG);
	unsetenv("MEDIANT_ACCEL");
	if (access("/dev/kvm", R_OK | W_OK) == 0) {
		assert_int_equal(run_accel_choose(&o, "true", false, why, sizeof(why)),
				 RUN_ACCEL_KVM);
		assert_string_equal(why, "the test says so");
	} else {
		assert_int_equal(run_accel_choose(&o, "true", false, why, sizeof(why)),
				 RUN_ACCEL_TCG);
	}
	unlink(path);
	rmdir(cache);
}

/* A QEMU that says @words and ends if its command line has @option, else ends without a word. */
static void make_qemu(char *path, const char *option, const char *words)
{
	char script[256];

	sprintf(script, "#!/bin/sh\ncase \"$*\" in *\"%s\"*) echo \"%s\";; esac\n", option, words);
	make_file(path, script, strlen(script));
	chmod(path, 0700);
}

static void expect_probe(const struct run_options *o, const char *qemu, enum run_accel accel,
			 bool kept)
{
	char why[256];
	bool keep;

	assert_int_equal(run_accel_probe(o, qemu, &keep, why, sizeof(why)), accel);
	assert_int_equal(keep, kept);
}

/* With a kernel or without one KVM is tried, and a QEMU that ends tells nothing for good. */
static void kvm_is_tried_and_not_believed(void **state)
{
	struct run_options kernel = { .kernel = "/dev/null" }, disk = { 0 };
	char path[64];

	make_qemu(path, "-kernel /dev/null", "Run /init as init process");
	expect_probe(&kernel, path, RUN_ACCEL_KVM, true);
	expect_probe(&disk, path, RUN_ACCEL_TCG, false);
	unlink(path);
	make_qemu(path, "isa-debugcon", "No bootable device.");
	expect_probe(&disk, path, RUN_ACCEL_KVM, false);
	expect_probe(&kernel, path, RUN_ACCEL_TCG, false);
	unlink(path);
	expect_probe(&kernel, "/no/such/qemu", RUN_ACCEL_TCG, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(options_are_taken),
		leak_checked(the_first_monitor_is_shown_if_there_is_one),
		leak_checked(bad_options_are_refused),
		leak_checked(qemu_is_given_shared_memory_and_the_vgpu),
		leak_checked(words_are_quoted_for_a_shell),
		leak_checked(children_are_read_and_ended),
		leak_checked(a_stubborn_child_is_killed),
		leak_checked(long_output_is_followed),
		leak_checked(missing_programs_fail),
		leak_checked(the_choice_of_accel_is_kept),
		leak_checked(kvm_is_tried_and_not_believed),
	};

	return cmocka_run_group_tests_name("cmd run", tests, NULL, NULL);
}
