/* SPDX-License-Identifier: MIT */
/* `mediant decode`: prints a ring or batch dump command by command. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/dump.h"
#include "cmd/options.h"
#include "scan/scan.h"

static const char usage[] =
	"Usage: mediant decode FILE [OPTION]…\n"
	"Prints a dump of a ring or batch command by command.  FILE (- for standard input) is\n"
	"binary, or text: dwords in hexadecimal, an address with a colon before them, # remarks.\n"
	"\n"
	"      --engine E   rcs0 (default), bcs0, vcs0 or vecs0: whose commands they are\n"
	"      --address A  of the first dword (default: the text's first address, else 0)\n"
	"      --raw        show each command's dwords too\n"
	"      --all        go on behind MI_BATCH_BUFFER_END\n"
	"  -h, --help       this text\n";

struct decode_request {
	struct scan_decode_options options;
	bool address_given;
};

static int read_dump(const char *path, struct dump *dump)
{
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;
	int err;

	if (!in) {
		log_error("cannot open %s: %m", path);
		return -errno;
	}
	err = dump_read(in, dump);
	if (err == -EINVAL && dump->bad_line)
		log_error("%s, line %u: \"%s\" is no dword in hexadecimal", path, dump->bad_line,
			  dump->bad_word);
	else if (err == -EINVAL)
		log_error("%s: a binary dump is whole dwords: its size must divide by 4", path);
	else if (err)
		log_error("cannot read %s: %s", path, strerror(-err));
	if (in != stdin)
		fclose(in);
	return err;
}

static int decode(const char *path, struct decode_request *request)
{
	struct dump dump = { 0 };
	int status = read_dump(path, &dump) ? CMD_FAILED : CMD_OK;

	if (!status) {
		if (!request->address_given)
			request->options.address = dump.address;
		if (scan_decode(stdout, dump.dwords, dump.count, &request->options) < 0)
			status = CMD_FAILED;
		if (fflush(stdout))
			status = CMD_FAILED;
	}
	dump_fini(&dump);
	return status;
}

static int take_option(struct decode_request *r, int option, const char *value)
{
	switch (option) {
	case 'e':
		if (option_engine(value, &r->options.engine))
			return cmd_usage_error("decode",
					       "--engine %s: rcs0, bcs0, vcs0 or vecs0 is wanted",
					       value);
		return CMD_GO_ON;
	case 'a':
		if (option_number(value, 0, UINT64_MAX, &r->options.address))
			return cmd_usage_error("decode", "--address %s: a number is wanted", value);
		r->address_given = true;
		return CMD_GO_ON;
	case 'r':
		r->options.show_dwords = true;
		return CMD_GO_ON;
	case 'A':
		r->options.follow_end = true;
		return CMD_GO_ON;
	default:
		fputs(usage, stdout);
		return CMD_OK;
	}
}

int cmd_decode(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' },
		{ "address", required_argument, NULL, 'a' },
		{ "raw", no_argument, NULL, 'r' },
		{ "all", no_argument, NULL, 'A' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct decode_request request = { .options.engine = GPU_RCS };
	int option, status;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (option == '?' || option == ':')
			return cmd_option_error("decode", argc, argv, option);
		status = take_option(&request, option, optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind + 1 != argc)
		return cmd_usage_error("decode", "one file is wanted (- for standard input)");
	return decode(argv[optind], &request);
}
