/* SPDX-License-Identifier: MIT */
/* `mediant top`: rates from two trees of `stat`, and the program over a running vGPU. */
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/process.h"
#include "cmd/top_rates.h"
#include "tests/cmd/program.h"

static json_t *tree(const char *text)
{
	json_t *t = json_loads(text, 0, NULL);

	assert_non_null(t);
	return t;
}

static const char full[] = "{\"name\":\"a\",\"uptime_s\":10.0,\"connected\":true,"
			   "\"gpu\":{\"time_ms\":500,\"wait_ms\":100,\"shared\":true,\"weight\":4},"
			   "\"traps\":{\"reg_read\":7,\"total\":1000},"
			   "\"engines\":[{\"submissions\":10},{\"submissions\":20}],"
			   "\"display\":[{\"flips\":30},{\"flips\":1}],"
			   "\"faults\":{\"opcode\":1,\"ring\":2}}";

static void read_full(struct top_sample *sample)
{
	json_t *t = tree(full);

	assert_true(top_sample_read(t, sample));
	json_decref(t);
}

static void a_tree_is_read(void **state)
{
	struct top_sample s;

	read_full(&s);
	assert_string_equal(s.name, "a");
	assert_true(s.connected && s.shared);
	assert_int_equal(s.weight, 4);
	assert_int_equal((int)s.submissions, 30);
	assert_int_equal((int)s.traps, 1000);
	assert_int_equal((int)s.faults, 3);
	assert_int_equal((int)s.flips, 31);
}

static void what_is_missing_is_nothing(void **state)
{
	static const char *const texts[] = {
		"{\"name\":\"a\"}",
		"{\"name\":\"a\",\"gpu\":7,\"engines\":{},\"faults\":[],\"traps\":null}",
		"{\"name\":\"a\",\"engines\":[1,null],\"faults\":{\"x\":\"y\"}}",
	};
	struct top_sample s;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_t *t = tree(texts[i]);

		assert_true(top_sample_read(t, &s));
		assert_true(s.submissions == 0 && s.faults == 0 && s.traps == 0);
		json_decref(t);
	}
	assert_false(top_sample_read(NULL, &s));
}

static bool near(double a, double b)
{
	return fabs(a - b) < 0.001;
}

static void rates_are_between_two(void **state)
{
	struct top_sample before, now;
	struct top_rates r;

	read_full(&before);
	now = before;
	now.uptime_s += 2;
	now.gpu_ms += 500;
	now.wait_ms += 20;
	now.submissions += 40;
	now.traps += 6;
	now.faults += 1;
	now.flips += 120;
	top_rates_between(&before, &now, &r);
	assert_true(near(r.gpu_percent, 25) && near(r.wait_percent, 1));
	assert_true(near(r.submissions, 20) && near(r.traps, 3) && near(r.frames, 60));
	assert_true(near(r.faults, 4));
}

static void one_started_anew_has_no_past(void **state)
{
	struct top_sample before, now;
	struct top_rates r;

	read_full(&before);
	now = before;
	before.uptime_s = 5000;
	before.traps = 1e9;
	top_rates_between(&before, &now, &r);
	assert_true(near(r.traps, 100));
	top_rates_between(NULL, &now, &r);
	assert_true(near(r.traps, 100));
	top_rates_between(&now, &now, &r);
	assert_true(near(r.traps, 0));
}

/* ---- The program ---- */

static void a_running_vgpu_is_shown(void **state)
{
	char text[4096];
	json_t *list;
	pid_t pid;

	assert_int_equal(program_run("top --once --interval 1", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "No vGPU runs"));
	pid = program_serve("serve --socket %/vm0.vfio");
	assert_int_equal(program_run("top --once --interval=1", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "GPU%"));
	assert_non_null(strstr(text, "\nvm0.vfio "));
	assert_null(strchr(text, '\033')); /* no terminal, no escapes */
	assert_int_equal(program_run("top --once --json --interval=1", text, sizeof(text)), 0);
	list = tree(text);
	assert_int_equal(json_array_size(list), 1);
	assert_true(json_is_real(json_object_get(json_array_get(list, 0), "gpu_percent")));
	json_decref(list);
	program_end(pid);
}

static void it_goes_on_until_it_is_told(void **state)
{
	char text[4096];
	int fd, status;
	pid_t pid = program_start("top --interval 1", &fd);

	assert_int_equal(process_read(fd, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      program_has_line),
			 1);
	close(fd);
	status = process_end(pid, PROGRAM_LIMIT_NS);
	assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGPIPE);
}

#define CLEAR "\033[H\033[J"

static bool has_two_tables(const char *text)
{
	const char *second = strstr(text, CLEAR);

	second = second ? strstr(second + 1, CLEAR) : NULL;
	return second && strstr(second, "\nvm0.vfio ") && strchr(strstr(second, "vm0.vfio"), '\n');
}

static void expect_settings(int terminal, const struct termios *expected)
{
	struct termios is;

	assert_int_equal(tcgetattr(terminal, &is), 0);
	assert_int_equal(is.c_lflag, expected->c_lflag);
}

/* Each table where the last one was, q without Enter the end, and the terminal as it was found. */
static void on_a_terminal_it_stays_in_place(void **state)
{
	int user = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal, status;
	pid_t pid = program_serve("serve --socket %/vm0.vfio --log warn"), top;
	struct termios settings;
	char text[8192];

	assert_true(user >= 0 && !grantpt(user) && !unlockpt(user));
	terminal = open(ptsname(user), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(tcgetattr(terminal, &settings), 0);
	top = program_start_at(terminal, "top --interval 1");
	assert_int_equal(process_read(user, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      has_two_tables),
			 1);
	for (const char *at = text; at; at = strstr(at + 1, CLEAR))
		assert_int_equal(strncmp(at, CLEAR "NAME ", strlen(CLEAR "NAME ")), 0);
	assert_int_equal(write(user, "q", 1), 1);
	status = process_wait(top, clock_now_ns() + PROGRAM_LIMIT_NS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	expect_settings(terminal, &settings);
	close(terminal);
	close(user);
	program_end(pid);
}

static void bad_command_lines(void **state)
{
	char text[256];

	assert_int_equal(program_run("top word", text, sizeof(text)), 2);
	assert_int_equal(program_run("top --interval 0", text, sizeof(text)), 2);
	assert_int_equal(program_run("top --nonsense", text, sizeof(text)), 2);
	assert_int_equal(program_run("top --help", text, sizeof(text)), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_is_read),
		cmocka_unit_test(what_is_missing_is_nothing),
		cmocka_unit_test(rates_are_between_two),
		cmocka_unit_test(one_started_anew_has_no_past),
		in_folder(a_running_vgpu_is_shown),
		in_folder(it_goes_on_until_it_is_told),
		in_folder(on_a_terminal_it_stays_in_place),
		in_folder(bad_command_lines),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd top", tests, NULL, NULL);
}
