/* SPDX-License-Identifier: MIT */
/*
 * `mediant serve`: the life of one serving process.  Everything is made in the order of
 * serve_start(), each step leaving what it made in struct serve, and undone in the opposite order
 * by serve_end(), which copes with a start that stopped half way.
 *
 * The main thread runs the loop: messages of the VMM, the display timer, the control socket,
 * signals.  Lanes and VNC have threads of their own.
 */
#include "cmd/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "guest/guest.h"

static int start_signals(struct serve *serve)
{
	return signals_start(&serve->signals, &serve->loop);
}

/* ---- The control socket -------------------------------------------------------------------- */

/* Before the device: a second vGPU of the same name is refused without having cost anything. */
static int start_control(struct serve *serve)
{
	const char *name = serve->options.name;
	char path[PATH_MAX];
	int err = runtime_dir_open(&serve->runtime, true);
	int fd;

	if (!err)
		err = runtime_dir_socket(&serve->runtime, name, ".sock", path, sizeof(path));
	if (err)
		return err;
	fd = runtime_dir_listen(&serve->runtime, path);
	if (fd == -EADDRINUSE) {
		log_error("a vGPU named %s already runs (%s): choose another --name", name, path);
		return fd;
	}
	if (fd < 0) {
		log_error("cannot make the control socket %s: %s", path, strerror(-fd));
		return fd;
	}
	err = socket_file_note(&serve->control_file, path);
	if (err) {
		close(fd);
		return err;
	}
	return control_server_create(&serve->loop, fd, serve_methods, serve_method_count, serve,
				     &serve->control);
}

/* ---- Sockets of others, made while they still can be ------------------------------------------
 */

static int listen_for_viewers(struct serve *serve)
{
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++) {
		const char *address = serve->options.vnc[i];
		struct display_vnc_config *config = &serve->vnc_config[i];

		if (!address)
			continue;
		config->listen_fd = display_listen(address, &config->port);
		if (config->listen_fd < 0) {
			log_error("cannot serve VNC on %s: %s; choose another --vnc ADDRESS:PORT",
				  address, strerror(-config->listen_fd));
			return config->listen_fd;
		}
	}
	return 0;
}

static int start_listening(struct serve *serve)
{
	const char *path = serve->options.socket_path;

	if (path) {
		serve->listen_fd = vfu_listen(path);
		if (serve->listen_fd < 0)
			return serve->listen_fd;
		int err = socket_file_note(&serve->socket_file, path);
		if (err)
			return err;
	}
	return listen_for_viewers(serve);
}

/* ---- The device and its server ------------------------------------------------------------- */

static int start_vgpu(struct serve *serve)
{
	const struct serve_options *o = &serve->options;
	struct vgpu_device_config config = {
		.loop = &serve->loop,
		.name = o->name,
		.type = o->type,
		.gpu = o->gpu,
		.render_only = o->render_only,
		.watchdog_ns = o->watchdog_s * NSEC_PER_SEC,
		.lease = serve->lease,
	};
	int err;

	if (o->device_file)
		return 0;
	memcpy(config.ports, o->ports, sizeof(config.ports));
	memcpy(serve->ports, o->ports, sizeof(serve->ports));
	err = vgpu_device_create(&config, &serve->vgpu);
	if (err)
		log_error("cannot make a vGPU of type %s: %s", o->type->name, strerror(-err));
	else
		serve->device = vgpu_device_vfio(serve->vgpu);
	return err;
}

static int start_plain(struct serve *serve)
{
	if (!serve->options.device_file)
		return 0;
	return vfio_plain_create(serve->options.device_file, &serve->device);
}

static void client_changed(void *opaque, bool connected)
{
	struct serve *serve = opaque;

	if (!connected && serve->fd_connected)
		loop_stop(&serve->loop); /* nobody else can come over this descriptor */
}

static int start_server(struct serve *serve)
{
	struct vfu_server_config config = {
		.loop = &serve->loop,
		.device = serve->device,
		.fd = serve->options.socket_path ? serve->listen_fd : serve->options.fd,
		.client_changed = client_changed,
		.opaque = serve,
	};
	int listening = 0, err;
	socklen_t len = sizeof(listening);

	if (getsockopt(config.fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len)) {
		log_error("--fd %d is no socket: %m", config.fd);
		return -errno;
	}
	serve->fd_connected = !listening;
	err = vfu_server_create(&config, &serve->server);
	if (!err)
		serve->listen_fd = -1;
	return err;
}

static int start_vnc(struct serve *serve)
{
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++) {
		struct display_vnc_config *config = &serve->vnc_config[i];
		int err;

		if (config->listen_fd < 0)
			continue;
		config->source = vgpu_display_source(vgpu_device_vgpu(serve->vgpu));
		config->head = i;
		config->title = serve->options.name;
		err = display_vnc_create(config, &serve->vnc[i]);
		config->listen_fd = -1;
		if (err) {
			log_error("cannot serve VNC on %s: %s", serve->options.vnc[i],
				  strerror(-err));
			return err;
		}
	}
	return 0;
}

/* ---- From start to end --------------------------------------------------------------------- */

/* The last that opens files at its first use. */
static void open_what_opens_late(void)
{
	json_object_seed(0);
	guest_sigbus_prepare();
}

static int enter_sandbox(struct serve *serve)
{
	struct sandbox *sandbox = &serve->sandbox;
	int err;

	runtime_dir_close(&serve->runtime);
	if (!serve->options.sandbox)
		return 0;
	open_what_opens_late();
	sandbox->remove_in[0] = serve->control_file.folder_fd;
	sandbox->remove_in[1] = serve->socket_file.folder_fd;
	/* A plain device's thread is there already. */
	err = serve->device ? sandbox_drop_privileges(sandbox) : sandbox_enter(sandbox);
	if (err)
		log_error("cannot drop privileges: %s; --no-sandbox keeps them", strerror(-err));
	return err;
}

static int limit_syscalls(struct serve *serve)
{
	int err = serve->options.sandbox ? sandbox_limit_syscalls(&serve->sandbox) : 0;

	if (err)
		log_error("cannot limit system calls: %s; --no-sandbox goes without",
			  strerror(-err));
	else
		sandbox_tell(&serve->sandbox);
	return err;
}

static int serve_start(struct serve *serve)
{
	static int (*const steps[])(struct serve *) = {
		start_signals, start_control,	 serve_share_start, start_listening,
		start_plain,   enter_sandbox,	 start_vgpu,	    start_server,
		start_vnc,     serve_grab_start, limit_syscalls,
	};
	int err = loop_init(&serve->loop);

	if (err) {
		log_error("cannot make an event loop: %s", strerror(-err));
		return err;
	}
	for (size_t i = 0; !err && i < ARRAY_SIZE(steps); i++)
		err = steps[i](serve);
	return err;
}

static void end_device(struct serve *serve)
{
	if (serve->vgpu)
		vgpu_device_destroy(serve->vgpu);
	else if (serve->device)
		vfio_device_destroy(serve->device);
}

/* The name first, so that nobody finds it, and the device last, after all who use it. */
static void serve_end(struct serve *serve)
{
	socket_file_remove(&serve->control_file);
	socket_file_remove(&serve->socket_file);
	control_server_destroy(serve->control);
	/* Before what draws, whose threads may wait for messages that nobody brings any more. */
	if (serve->server)
		vfu_server_destroy(serve->server);
	serve_grab_end(serve);
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++)
		display_vnc_destroy(serve->vnc[i]);
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++)
		if (serve->vnc_config[i].listen_fd >= 0)
			close(serve->vnc_config[i].listen_fd);
	if (serve->listen_fd >= 0)
		close(serve->listen_fd);
	end_device(serve);
	serve_share_end(serve);
	signals_stop(&serve->signals);
	runtime_dir_close(&serve->runtime);
	loop_fini(&serve->loop);
}

/* One line on stdout, which `run` and scripts wait for: from here on a VMM may connect. */
static void say_ready(const struct serve *serve)
{
	const struct serve_options *o = &serve->options;

	printf("mediant: %s (%s) is ready on ", o->name, serve->vgpu ? o->type->name : "plain");
	if (o->socket_path)
		printf("%s", o->socket_path);
	else
		printf("descriptor %d", o->fd);
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++) {
		int host_len;

		if (!o->vnc[i])
			continue;
		host_len = (int)(strrchr(o->vnc[i], ':') - o->vnc[i]);
		printf("; VNC of head %u: %.*s:%u", i, host_len ? host_len : 9,
		       host_len ? o->vnc[i] : "127.0.0.1", display_vnc_port(serve->vnc[i]));
	}
	putchar('\n');
	fflush(stdout);
}

static struct serve *make_serve(void)
{
	struct serve *serve = calloc(1, sizeof(*serve));

	if (!serve)
		return NULL;
	serve->signals.source.fd = serve->runtime.fd = serve->arbiter.fd = serve->listen_fd = -1;
	serve->control_file.folder_fd = serve->socket_file.folder_fd = -1;
	serve->sandbox.look_in = -1;
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++)
		serve->vnc_config[i].listen_fd = -1;
	return serve;
}

int cmd_serve(int argc, char **argv)
{
	struct serve *serve = make_serve();
	int status, err;

	if (!serve)
		return CMD_FAILED;
	status = serve_options_parse(&serve->options, argc, argv);
	if (status == CMD_GO_ON) {
		log_set_name(serve->options.name);
		sandbox_close_fds(serve->options.fd);
		serve->started_ns = clock_now_ns();
		err = serve_start(serve);
		if (!err) {
			say_ready(serve);
			err = loop_run(&serve->loop);
		}
		serve_end(serve);
		status = err ? CMD_FAILED : CMD_OK;
	}
	free(serve);
	return status;
}
