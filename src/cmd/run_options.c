/* SPDX-License-Identifier: MIT */
/* The command line of `mediant run`. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/run.h"

#define DEFAULT_MEMORY_BYTES ((uint64_t)1 << 30)
#define MIN_MEMORY_BYTES     ((uint64_t)64 << 20)
#define MAX_MEMORY_BYTES     ((uint64_t)1 << 40)
#define DEFAULT_CPUS	     2

static const char usage[] =
	"Usage: mediant run [OPTION]… [-- QEMU-OPTION…]\n"
	"Starts QEMU with a vGPU attached, waits for it, and ends both.  The guest's serial line and\n"
	"QEMU's monitor are on this terminal (Ctrl-A H tells the keys, Ctrl-A X quits).\n"
	"\n"
	"  -n, --name NAME        of the vGPU, for `mediant stat` and the others (default: run-PID)\n"
	"      --disk FILE[,ro]   a disk image, raw or qcow2; up to 8; ro: never written to\n"
	"      --kernel FILE      boot this kernel, with\n"
	"      --initrd FILE      this ramdisk and\n"
	"      --append TEXT      this command line\n"
	"  -m, --memory SIZE      default 1G\n"
	"      --cpus N           default 2\n"
	"      --accel auto|kvm|tcg  auto tries whether KVM runs the kernel (up to 10 s, once)\n"
	"      --qemu PATH        this QEMU (else $MEDIANT_QEMU, else the one on the PATH)\n"
	"      --no-network       without the network of QEMU's user mode\n"
	"      --dry-run          print the command lines, start nothing\n"
	"      --vnc ADDR:PORT|:N where VNC viewers find the screen (default: any free port of the\n"
	"                         loopback address); none: nowhere\n"
	"  -t, --type, -d, --display, --render-only, --gpu, --log, --trace, --no-sandbox\n"
	"                         as for `mediant serve`\n"
	"  -h, --help             this text\n";

enum {
	OPT_QEMU = 256,
	OPT_ACCEL,
	OPT_CPUS,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_DISK,
	OPT_NO_NETWORK,
	OPT_DRY_RUN,
	OPT_VNC,
	OPT_RENDER_ONLY,
	OPT_SERVE, /* from here on: options of serve's */
};

static const struct option long_options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "qemu", required_argument, NULL, OPT_QEMU },
	{ "accel", required_argument, NULL, OPT_ACCEL },
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "no-network", no_argument, NULL, OPT_NO_NETWORK },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "type", required_argument, NULL, 't' },
	{ "display", required_argument, NULL, 'd' },
	{ "render-only", no_argument, NULL, OPT_RENDER_ONLY },
	{ "vnc", required_argument, NULL, OPT_VNC },
	{ "gpu", required_argument, NULL, OPT_SERVE },
	{ "log", required_argument, NULL, OPT_SERVE },
	{ "trace", required_argument, NULL, OPT_SERVE },
	{ "no-sandbox", no_argument, NULL, OPT_SERVE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int bad(const char *option, const char *value, const char *remedy)
{
	return cmd_usage_error("run", "%s %s: %s", option, value, remedy);
}

static int set_memory(struct run_options *o, const char *text)
{
	uint64_t bytes;

	if (option_size(text, &bytes) || bytes < MIN_MEMORY_BYTES || bytes > MAX_MEMORY_BYTES ||
	    bytes % ((uint64_t)1 << 20))
		return bad("--memory", text, "64M to 1T in whole MiB is wanted, such as 1G");
	o->memory_bytes = bytes;
	return CMD_GO_ON;
}

static int set_accel(struct run_options *o, const char *text)
{
	static const char *const words[] = {
		[RUN_ACCEL_AUTO] = "auto",
		[RUN_ACCEL_KVM] = "kvm",
		[RUN_ACCEL_TCG] = "tcg",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(text, words[i])) {
			o->accel = (enum run_accel)i;
			return CMD_GO_ON;
		}
	}
	return bad("--accel", text, "auto, kvm or tcg is wanted");
}

static int check_file(const char *option, const char *path)
{
	if (access(path, R_OK))
		return cmd_usage_error("run", "%s %s: %m", option, path);
	return CMD_GO_ON;
}

static int set_file(const char **file, const char *option, const char *path)
{
	*file = path;
	return check_file(option, path);
}

static int add_disk(struct run_options *o, const char *text)
{
	struct run_disk *disk = &o->disks[o->disk_count];
	size_t len = strlen(text);

	if (o->disk_count == RUN_MAX_DISKS)
		return bad("--disk", text, "eight are the most");
	disk->read_only = len > 3 && !strcmp(text + len - 3, ",ro");
	if (disk->read_only)
		len -= 3;
	if (len >= sizeof(disk->path))
		return bad("--disk", text, "the path is too long");
	memcpy(disk->path, text, len);
	disk->path[len] = '\0';
	o->disk_count++;
	if (!disk->read_only && access(disk->path, F_OK) == 0 && access(disk->path, W_OK))
		return bad("--disk", text, "you may not write to it; put ,ro behind it");
	return check_file("--disk", disk->path);
}

static int set_cpus(struct run_options *o, const char *text)
{
	if (option_number(text, 1, 255, &o->cpus))
		return bad("--cpus", text, "1 to 255 is wanted");
	return CMD_GO_ON;
}

static int pass_on(struct run_options *o, const struct option *option, const char *value)
{
	words_add(&o->serve, "--%s", option->name);
	if (option->has_arg)
		words_add(&o->serve, "%s", value);
	return CMD_GO_ON;
}

static int pass_named(struct run_options *o, const char *name, const char *value)
{
	return pass_on(o, &(struct option){ name, required_argument, NULL, 0 }, value);
}

static int set_vnc(struct run_options *o, const char *value)
{
	o->vnc_chosen = true;
	return strcmp(value, "none") ? pass_named(o, "vnc", value) : CMD_GO_ON;
}

static int add_display(struct run_options *o, const char *value)
{
	o->displays++;
	o->monitors += strcmp(value, "none") != 0;
	return pass_named(o, "display", value);
}

static int take_flag(struct run_options *o, int option)
{
	switch (option) {
	case OPT_NO_NETWORK:
		o->network = false;
		return CMD_GO_ON;
	case OPT_DRY_RUN:
		o->dry_run = true;
		return CMD_GO_ON;
	case OPT_RENDER_ONLY:
		o->vnc_chosen = true;
		words_add(&o->serve, "--render-only");
		return CMD_GO_ON;
	default: /* 'h' */
		fputs(usage, stdout);
		return CMD_OK;
	}
}

static int take_option(struct run_options *o, int option, int index, const char *value)
{
	switch (option) {
	case 'n':
		/* The socket's path is made of it, so it is checked here and not only by serve. */
		return cmd_take_name("run", value, o->name);
	case 'm':
		return set_memory(o, value);
	case 't':
		return pass_named(o, "type", value);
	case 'd':
		return add_display(o, value);
	case OPT_QEMU:
		o->qemu = value;
		return CMD_GO_ON;
	case OPT_ACCEL:
		return set_accel(o, value);
	case OPT_CPUS:
		return set_cpus(o, value);
	case OPT_KERNEL:
		return set_file(&o->kernel, "--kernel", value);
	case OPT_INITRD:
		return set_file(&o->initrd, "--initrd", value);
	case OPT_APPEND:
		o->append = value;
		return CMD_GO_ON;
	case OPT_DISK:
		return add_disk(o, value);
	case OPT_VNC:
		return set_vnc(o, value);
	case OPT_SERVE:
		return pass_on(o, &long_options[index], value);
	default:
		return take_flag(o, option);
	}
}

static int check_whole(const struct run_options *o)
{
	if (!o->kernel && (o->initrd || o->append))
		return cmd_usage_error("run", "--initrd and --append need a --kernel");
	if (!o->kernel && !o->disk_count && !o->extra[0])
		return cmd_usage_error("run", "nothing to boot: give a --disk or a --kernel");
	return CMD_GO_ON;
}

int run_options_parse(struct run_options *o, int argc, char **argv)
{
	int option, index = 0, status;

	*o = (struct run_options){ .memory_bytes = DEFAULT_MEMORY_BYTES,
				   .cpus = DEFAULT_CPUS,
				   .network = true };
	snprintf(o->name, sizeof(o->name), "run-%d", (int)getpid());
	optind = 0;
	while ((option = getopt_long(argc, argv, "+:n:m:t:d:h", long_options, &index)) >= 0) {
		if (option == '?' || option == ':')
			return cmd_option_error("run", argc, argv, option);
		status = take_option(o, option, index, optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind < argc && strcmp(argv[optind - 1], "--"))
		return cmd_usage_error("run", "%s is no option (QEMU's own go behind --)",
				       argv[optind]);
	if (!o->vnc_chosen && (o->monitors || !o->displays))
		pass_named(o, "vnc", "127.0.0.1:0");
	o->extra = argv + optind;
	return check_whole(o);
}
