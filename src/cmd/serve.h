/* SPDX-License-Identifier: MIT */
/*
 * `mediant serve`: what its files share.  serve.c owns the life of the process, serve_options.c
 * its command line, serve_control.c what the control socket can ask.  All in the loop's thread, but
 * for the drawing of serve_grab.c.
 */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

#include <jansson.h>

#include "base/loop.h"
#include "cmd/control_server.h"
#include "cmd/options.h"
#include "cmd/runtime_dir.h"
#include "cmd/sandbox.h"
#include "cmd/signals.h"
#include "cmd/socket_file.h"
#include "lib/lib.h"
#include "vfio_user/vfio_user.h"

struct serve_options {
	const char *socket_path; /* NULL: fd */
	int fd;			 /* -1: socket_path */
	char name[OPTION_NAME_MAX + 1];
	const struct vgpu_type *type;
	const char *device_file; /* a plain PCI device from JSON instead of a vGPU; or NULL */
	enum vgpu_device_gpu gpu;
	bool render_only;
	bool sandbox;
	unsigned int port_count; /* --display given so often; 0: the default monitor */
	struct vgpu_port_config ports[VGPU_MAX_PORTS];
	const char *vnc[DISPLAY_MAX_HEADS]; /* where each head is shown; NULL: nowhere */
	const char *arbiter;  /* its socket, or "none"; NULL: the one that runs, if one does */
	uint32_t weight;      /* 0: the type's */
	uint32_t cap_percent; /* 0: none */
	uint64_t watchdog_s;  /* 0: none */
};

/* CMD_GO_ON, or the status to end with: help was printed, or an error told. */
int serve_options_parse(struct serve_options *options, int argc, char **argv);

struct serve {
	struct serve_options options;
	struct loop loop;
	struct signals signals;
	struct loop_source arbiter; /* the connection; fd -1: none */
	struct sched_lease *lease;  /* NULL: the GPU is not shared */
	struct vgpu_device *vgpu;   /* NULL with --device */
	struct vfio_device *device; /* the vGPU's, or the plain one */
	struct vfu_server *server;
	struct runtime_dir runtime;
	struct socket_file control_file, socket_file;
	struct control_server *control;
	const void *tracer; /* the control client that traces; NULL: none */
	int listen_fd;	    /* for the VMM, until it is the server's; -1 */
	struct display_vnc_config vnc_config[DISPLAY_MAX_HEADS];
	struct display_vnc *vnc[DISPLAY_MAX_HEADS];
	struct serve_grabber *grabber; /* NULL: no display */
	struct sandbox sandbox;
	struct vgpu_port_config ports[VGPU_MAX_PORTS]; /* as they are now */
	uint64_t started_ns;
	bool fd_connected; /* --fd is one client's connection: the end of it is our end */
};

extern const struct control_method serve_methods[];
extern const size_t serve_method_count;

/* serve_share.c: the seat at the arbiter; 0 also when none runs and none was asked for. */
int serve_share_start(struct serve *serve);
/* After the vGPU's end. */
void serve_share_end(struct serve *serve);
/* The part of `stat` that tells what the vGPU had of the GPU. */
json_t *serve_share_tree(struct serve *serve, const struct vgpu_stats *v);

/* serve_grab.c: pictures for the control socket; 0 also where there is no display. */
int serve_grab_start(struct serve *serve);
/* After the server's end, which fails what the drawing may wait for. */
void serve_grab_end(struct serve *serve);
/* Answers with a picture of @head, later. */
void serve_grab(struct serve *serve, uint32_t head, struct control_reply *reply);

/* serve_trace.c: what the control socket can ask about tracing. */
void serve_trace_start(void *opaque, json_t *params, struct control_reply *reply);
void serve_trace_stop(void *opaque, json_t *params, struct control_reply *reply);

/* What @pipe does, for `stat` and `display.get`; a new reference, NULL without memory. */
json_t *serve_pipe_tree(struct serve *serve, unsigned int pipe);

/* The tree that `stat` returns (docs/stat.md); a new reference, NULL without memory. */
json_t *serve_stat_tree(struct serve *serve);

#endif
