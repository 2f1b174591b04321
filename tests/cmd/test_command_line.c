/* SPDX-License-Identifier: MIT */
/*
 * The program's command line: what is refused, what help there is, and the commands that answer
 * by themselves.  argv[1] is the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cmd/program.h"

static void bad_command_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"serve",
		"serve --socket",
		"serve --socket %/a --fd 0",
		"serve --fd 99",
		"serve --fd x",
		"serve --socket %/a --type huge",
		"serve --socket %/a --name ../a",
		"serve --socket %/a --display vga",
		"serve --socket %/a --display hdmi:9999x9999",
		"serve --socket %/a --display hdmi --display hdmi --display dp --display dp",
		"serve --socket %/a --type i915-GVTg_V5_8 --display hdmi:3840x2160",
		"serve --socket %/a --render-only --display hdmi",
		"serve --socket %/a --render-only --vnc :1",
		"serve --socket %/a --vnc 5900",
		"serve --socket %/a --vnc 127.0.0.1:0 --vnc 127.0.0.1:0",
		"serve --socket %/a --display none --vnc 127.0.0.1:0",
		"serve --socket %/a --gpu real",
		"serve --socket %/a --log loud",
		"serve --socket %/a --trace nothing_of_the_kind",
		"serve --socket %/a --device x.json --type i915-GVTg_V5_8",
		"serve --socket %/a --device x.json --vnc 127.0.0.1:0",
		"serve --socket %/a word",
		"serve --nonsense",
		"nonsense",
		"types word",
		"list word",
		"stat",
		"stat a b",
		"screenshot a",
		"screenshot a b --head 3",
		"decode",
		"decode a --engine x",
		"display",
	};
	char text[8192];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(program_run(lines[i], text, sizeof(text)), 2);
}

static void what_cannot_be_done_is_told(void **state)
{
	char text[1024];

	assert_int_equal(
		program_run("serve --socket %/no/folder/a --log error", text, sizeof(text)), 1);
	assert_int_equal(program_run("serve --socket %/a --vnc 203.0.113.1:1", text, sizeof(text)),
			 1);
	assert_int_equal(program_run("serve --socket %/a --device %/no.json", text, sizeof(text)),
			 1);
	assert_int_equal(program_run("decode %/no/file", text, sizeof(text)), 1);
}

static void help_is_there(void **state)
{
	static const char *const commands[] = { "serve", "run",	       "types",	  "list",
						"stat",	 "screenshot", "display", "decode" };
	char line[64], text[8192], again[8192];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		sprintf(line, "%s --help", commands[i]);
		assert_int_equal(program_run(line, text, sizeof(text)), 0);
		assert_non_null(strstr(text, "Usage: mediant"));
		assert_null(strchr(text, '\t'));
		sprintf(line, "help %s", commands[i]);
		assert_int_equal(program_run(line, again, sizeof(again)), 0);
		assert_string_equal(text, again);
	}
	assert_int_equal(program_run("help", text, sizeof(text)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		assert_non_null(strstr(text, commands[i]));
	assert_int_equal(program_run("--version", text, sizeof(text)), 0);
	assert_int_equal(strncmp(text, "mediant ", 8), 0);
}

static json_int_t bytes_of(json_t *type, const char *key)
{
	return json_integer_value(json_object_get(type, key));
}

static void types_and_capabilities_are_json(void **state)
{
	json_t *tree = program_json("types --json"), *type;
	size_t n;

	assert_true(json_array_size(tree) >= 1);
	json_array_foreach(tree, n, type)
	{
		assert_true(json_is_integer(json_object_get(type, "fences")));
		/* The low and the high part, as GVT counts. */
		assert_true(bytes_of(type, "mappable_bytes") > 0);
		assert_true(bytes_of(type, "memory_bytes") ==
			    bytes_of(type, "mappable_bytes") + bytes_of(type, "nonmappable_bytes"));
	}
	json_decref(tree);
	tree = program_json("serve --print-capabilities");
	assert_string_equal(json_string_value(json_object_get(tree, "type")), "gpu");
	json_decref(tree);
}

static void a_dump_is_decoded(void **state)
{
	char path[128], text[4096];
	FILE *file;

	sprintf(path, "%s/dump.txt", program_folder);
	file = fopen(path, "w");
	fputs("0x1000: 11000001 00002358 00000000\n0x100c: 05000000\n", file);
	fclose(file);
	assert_int_equal(program_run("decode %/dump.txt --raw", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "MI_LOAD_REGISTER_IMM"));
	assert_non_null(strstr(text, "MI_BATCH_BUFFER_END"));
	assert_non_null(strstr(text, "1000"));
	unlink(path);
}

static void a_dry_run_prints_both_command_lines(void **state)
{
	char text[8192];

	setenv("MEDIANT_QEMU", "/no/such/qemu", 1);
	assert_int_equal(program_run("run --dry-run --name vm --accel tcg --kernel /dev/null", text,
				     sizeof(text)),
			 0);
	unsetenv("MEDIANT_QEMU");
	assert_non_null(strstr(text, " serve --socket "));
	assert_non_null(strstr(text, "/vm.vfio --name vm --vnc 127.0.0.1:0\n/no/such/qemu "));
	assert_non_null(strstr(text, "\"driver\":\"vfio-user-pci\""));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		in_folder(bad_command_lines_are_refused),
		in_folder(what_cannot_be_done_is_told),
		in_folder(help_is_there),
		in_folder(types_and_capabilities_are_json),
		in_folder(a_dump_is_decoded),
		in_folder(a_dry_run_prints_both_command_lines),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd command line", tests, NULL, NULL);
}
