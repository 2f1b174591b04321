/* SPDX-License-Identifier: MIT */
/* The command line of `mediant serve`. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "cmd/cmd.h"
#include "cmd/serve.h"

#define WATCHDOG_MAX_S 86400u

static const char usage[] =
	"Usage: mediant serve --socket PATH [OPTION]…\n"
	"       mediant serve --fd N [OPTION]…\n"
	"Serves one vGPU (or a plain PCI device) over vfio-user until SIGTERM or SIGINT.\n"
	"\n"
	"  -s, --socket PATH      listen on this UNIX socket (also --socket-path)\n"
	"      --fd N             serve on this descriptor: a connected or a listening socket\n"
	"  -n, --name NAME        what `mediant list` and `stat` call it (default: of the socket)\n"
	"  -t, --type TYPE        size of the vGPU, see `mediant types` (default: the first there\n"
	"                         that has room for the monitors)\n"
	"      --device FILE.json serve the plain PCI device described there instead of a vGPU\n"
	"  -d, --display SPEC     a monitor: hdmi:1024x768[@60], dp:…, none; with :off behind it\n"
	"                         unplugged; up to three times (default: hdmi:1024x768)\n"
	"      --render-only      a vGPU without a display\n"
	"      --vnc ADDR:PORT|:N show the first monitor (the next --vnc: the next monitor) to\n"
	"                         VNC viewers\n"
	"      --gpu soft|null    what runs the commands (null: only their interrupts and stores)\n"
	"      --arbiter PATH|none  take turns on the GPU by the arbiter there (default: the one\n"
	"                         that runs, if one does; see `mediant arbiter`)\n"
	"      --weight N         share of the GPU against others', 1 to 1000 (default: the type's)\n"
	"      --cap PCT          never more than so many percent of a lane's time\n"
	"      --watchdog SECONDS  halt an engine whose batch has run for so long, as a hang\n"
	"                         (default: never: that is for the guest to decide)\n"
	"      --log LEVEL        error, warn, info (default) or debug\n"
	"      --trace PATTERNS   print trace points, such as 'vgpu_*,gpu_fault'\n"
	"      --no-sandbox       keep all system calls and privileges\n"
	"      --print-capabilities  what this program is, as JSON\n"
	"  -h, --help             this text\n";

enum {
	OPT_FD = 256,
	OPT_DEVICE,
	OPT_RENDER_ONLY,
	OPT_VNC,
	OPT_GPU,
	OPT_ARBITER,
	OPT_WEIGHT,
	OPT_CAP,
	OPT_WATCHDOG,
	OPT_LOG,
	OPT_TRACE,
	OPT_NO_SANDBOX,
	OPT_CAPABILITIES,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "socket-path", required_argument, NULL, 's' },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "name", required_argument, NULL, 'n' },
	{ "type", required_argument, NULL, 't' },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "display", required_argument, NULL, 'd' },
	{ "render-only", no_argument, NULL, OPT_RENDER_ONLY },
	{ "vnc", required_argument, NULL, OPT_VNC },
	{ "gpu", required_argument, NULL, OPT_GPU },
	{ "arbiter", required_argument, NULL, OPT_ARBITER },
	{ "weight", required_argument, NULL, OPT_WEIGHT },
	{ "cap", required_argument, NULL, OPT_CAP },
	{ "watchdog", required_argument, NULL, OPT_WATCHDOG },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "print-capabilities", no_argument, NULL, OPT_CAPABILITIES },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int bad(const char *option, const char *value, const char *remedy)
{
	return cmd_usage_error("serve", "%s %s: %s", option, value, remedy);
}

static int set_fd(struct serve_options *o, const char *text)
{
	uint64_t fd;

	if (option_number(text, 0, INT32_MAX, &fd))
		return bad("--fd", text, "a descriptor's number is wanted");
	if (fcntl((int)fd, F_GETFD) < 0)
		return bad("--fd", text, "no such descriptor is open");
	o->fd = (int)fd;
	return CMD_GO_ON;
}

static int set_type(struct serve_options *o, const char *text)
{
	o->type = vgpu_type_find(text);
	return o->type ? CMD_GO_ON
		       : bad("--type", text, "no such type; `mediant types` lists them");
}

static int add_display(struct serve_options *o, const char *text)
{
	int err;

	if (o->port_count == VGPU_MAX_PORTS)
		return bad("--display", text, "a vGPU has three ports at most");
	err = option_port(text, &o->ports[o->port_count]);
	if (err == -ERANGE)
		return bad("--display", text, "modes go " OPTION_MODE_LIMITS);
	if (err)
		return bad("--display", text,
			   "hdmi, dp or none is wanted, with :WIDTHxHEIGHT[@HZ] and :off");
	o->port_count++;
	return CMD_GO_ON;
}

/* In the order given; place_vnc() knows the heads they are for. */
static int add_vnc(struct serve_options *o, const char *text)
{
	unsigned int n = 0;

	while (n < DISPLAY_MAX_HEADS && o->vnc[n])
		n++;
	if (n == DISPLAY_MAX_HEADS)
		return bad("--vnc", text, "there are three heads at most");
	if (!strchr(text, ':'))
		return bad("--vnc", text, "ADDRESS:PORT or :DISPLAY is wanted");
	o->vnc[n] = text;
	return CMD_GO_ON;
}

static int set_gpu(struct serve_options *o, const char *text)
{
	if (!strcmp(text, "soft"))
		o->gpu = VGPU_DEVICE_GPU_SOFT;
	else if (!strcmp(text, "null"))
		o->gpu = VGPU_DEVICE_GPU_NULL;
	else
		return bad("--gpu", text, "soft or null is wanted");
	return CMD_GO_ON;
}

static int set_weight(struct serve_options *o, const char *text)
{
	uint64_t weight;

	if (option_number(text, 1, SCHED_WEIGHT_MAX, &weight))
		return bad("--weight", text, "a number from 1 to 1000 is wanted");
	o->weight = (uint32_t)weight;
	return CMD_GO_ON;
}

static int set_cap(struct serve_options *o, const char *text)
{
	uint64_t percent;

	if (option_number(text, 1, 100, &percent))
		return bad("--cap", text, "1 to 100 percent are wanted");
	o->cap_percent = (uint32_t)percent;
	return CMD_GO_ON;
}

static int set_watchdog(struct serve_options *o, const char *text)
{
	if (option_number(text, 1, WATCHDOG_MAX_S, &o->watchdog_s))
		return bad("--watchdog", text, "a number of seconds from 1 to 86400 is wanted");
	return CMD_GO_ON;
}

static int set_trace(const char *patterns)
{
	if (trace_print(patterns))
		return bad("--trace", patterns, "no trace point has such a name");
	return CMD_GO_ON;
}

static void print_capabilities(void)
{
	puts("{\n  \"type\": \"gpu\",\n  \"name\": \"mediant\",\n  \"protocol\": \"vfio-user\",\n"
	     "  \"features\": [\"fd\", \"socket-path\"]\n}");
}

static int set_log(const char *text)
{
	if (log_level_parse(text, &log_threshold))
		return bad("--log", text, "error, warn, info or debug is wanted");
	return CMD_GO_ON;
}

/* Options whose value is kept as it is, or that have none. */
static int take_plain(struct serve_options *o, int option, const char *value)
{
	switch (option) {
	case 's':
		o->socket_path = value;
		return CMD_GO_ON;
	case OPT_DEVICE:
		o->device_file = value;
		return CMD_GO_ON;
	case OPT_ARBITER:
		o->arbiter = value;
		return CMD_GO_ON;
	case OPT_RENDER_ONLY:
		o->render_only = true;
		return CMD_GO_ON;
	case OPT_NO_SANDBOX:
		o->sandbox = false;
		return CMD_GO_ON;
	case OPT_CAPABILITIES:
		print_capabilities();
		return CMD_OK;
	default: /* 'h' */
		fputs(usage, stdout);
		return CMD_OK;
	}
}

static int take_option(struct serve_options *o, int option, const char *value)
{
	switch (option) {
	case OPT_FD:
		return set_fd(o, value);
	case 'n':
		return cmd_take_name("serve", value, o->name);
	case 't':
		return set_type(o, value);
	case 'd':
		return add_display(o, value);
	case OPT_VNC:
		return add_vnc(o, value);
	case OPT_GPU:
		return set_gpu(o, value);
	case OPT_WEIGHT:
		return set_weight(o, value);
	case OPT_CAP:
		return set_cap(o, value);
	case OPT_WATCHDOG:
		return set_watchdog(o, value);
	case OPT_LOG:
		return set_log(value);
	case OPT_TRACE:
		return set_trace(value);
	default:
		return take_plain(o, option, value);
	}
}

static int check_whole(const struct serve_options *o)
{
	if (!o->socket_path && o->fd < 0)
		return cmd_usage_error("serve", "say where to serve: --socket PATH or --fd N");
	if (o->socket_path && o->fd >= 0)
		return cmd_usage_error("serve", "--socket and --fd exclude each other");
	if (o->render_only && (o->port_count || o->vnc[0]))
		return cmd_usage_error("serve",
				       "--render-only has no display: drop --display and --vnc");
	if (o->device_file && (o->type || o->port_count || o->vnc[0] || o->render_only))
		return cmd_usage_error("serve", "--device serves no vGPU: --type, --display, "
						"--vnc and --render-only do not go with it");
	if (o->device_file && (o->arbiter || o->weight || o->cap_percent || o->watchdog_s))
		return cmd_usage_error("serve", "--device uses no GPU: --arbiter, --weight, --cap "
						"and --watchdog do not go with it");
	return CMD_GO_ON;
}

static bool fits(const struct vgpu_type *type, const struct vgpu_port_config *port)
{
	return port->kind == VGPU_PORT_NONE ||
	       (port->width <= type->max_width && port->height <= type->max_height);
}

/* The first type whose monitors can be as large as those asked for; the first of all if none. */
static const struct vgpu_type *default_type(const struct serve_options *o)
{
	size_t count;
	const struct vgpu_type *types = vgpu_types(&count);

	for (size_t i = 0; i < count; i++) {
		unsigned int port = 0;

		while (port < o->port_count && fits(&types[i], &o->ports[port]))
			port++;
		if (port == o->port_count)
			return &types[i];
	}
	return &types[0];
}

static void fill_defaults(struct serve_options *o)
{
	if (!o->type)
		o->type = default_type(o);
	if (!o->weight)
		o->weight = o->type->weight;
	if (!o->port_count && !o->render_only)
		option_port("hdmi", &o->ports[0]);
	if (!o->name[0] && o->socket_path)
		option_name_from_path(o->socket_path, o->name);
	else if (!o->name[0])
		snprintf(o->name, sizeof(o->name), "vgpu-%d", (int)getpid());
}

/* The n-th --vnc is for the n-th monitor: a head without a port has nothing to show. */
static int place_vnc(struct serve_options *o)
{
	const char *given[DISPLAY_MAX_HEADS];
	unsigned int n = 0;

	_Static_assert(DISPLAY_MAX_HEADS == VGPU_MAX_PORTS, "head n is port n");
	memcpy(given, o->vnc, sizeof(given));
	for (unsigned int head = 0; head < DISPLAY_MAX_HEADS; head++)
		o->vnc[head] = o->ports[head].kind == VGPU_PORT_NONE ? NULL : given[n++];
	if (n < DISPLAY_MAX_HEADS && given[n])
		return bad("--vnc", given[n],
			   "each shows one monitor: add a --display for it, or drop it");
	return CMD_GO_ON;
}

static int check_modes(const struct serve_options *o)
{
	for (unsigned int i = 0; i < o->port_count; i++) {
		const struct vgpu_port_config *p = &o->ports[i];

		if (fits(o->type, p))
			continue;
		return cmd_usage_error("serve",
				       "--display %ux%u: type %s goes to %ux%u; take a bigger "
				       "--type (`mediant types`)",
				       p->width, p->height, o->type->name, o->type->max_width,
				       o->type->max_height);
	}
	return CMD_GO_ON;
}

int serve_options_parse(struct serve_options *o, int argc, char **argv)
{
	int option, status;

	*o = (struct serve_options){ .fd = -1, .sandbox = true };
	optind = 0;
	while ((option = getopt_long(argc, argv, "+:s:n:t:d:h", long_options, NULL)) >= 0) {
		if (option == '?' || option == ':')
			return cmd_option_error("serve", argc, argv, option);
		status = take_option(o, option, optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind < argc)
		return cmd_usage_error("serve", "%s is no option", argv[optind]);
	status = check_whole(o);
	if (status != CMD_GO_ON)
		return status;
	fill_defaults(o);
	status = place_vnc(o);
	return status == CMD_GO_ON ? check_modes(o) : status;
}
