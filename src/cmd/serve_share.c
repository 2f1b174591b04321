/* SPDX-License-Identifier: MIT */
/*
 * The vGPU's seat at the arbiter: how `mediant serve` gets it, notices that the arbiter has gone,
 * and tells about it in `stat`.  In the loop's thread; the lane uses the lease on its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/arbiter_client.h"
#include "cmd/serve.h"

static void end_connection(struct serve *serve)
{
	if (serve->arbiter.fd < 0)
		return;
	loop_remove(&serve->loop, &serve->arbiter);
	close(serve->arbiter.fd);
	serve->arbiter.fd = -1;
}

/* The arbiter says nothing after its welcome: whatever comes is the end. */
static void arbiter_ready(struct loop_source *source, uint32_t events)
{
	struct serve *serve = container_of(source, struct serve, arbiter);

	log_warn("the arbiter has ended: this vGPU goes on without taking turns; start the "
		 "arbiter and then the vGPU anew to share the GPU");
	end_connection(serve);
	sched_lease_set_free(serve->lease);
}

static int watch_arbiter(struct serve *serve, int fd)
{
	int err;

	serve->arbiter = (struct loop_source){
		.fd = fd,
		.events = EPOLLIN | EPOLLRDHUP,
		.ready = arbiter_ready,
	};
	err = loop_add(&serve->loop, &serve->arbiter);
	if (err) {
		close(fd);
		serve->arbiter.fd = -1;
	}
	return err;
}

/* Where to ask; 0 with an empty path when nowhere. */
static int arbiter_path(const struct serve *serve, char *path, size_t size)
{
	const char *option = serve->options.arbiter;

	path[0] = '\0';
	if (serve->options.device_file || (option && !strcmp(option, "none")))
		return 0;
	if (!option)
		return arbiter_default_path(&serve->runtime, path, size);
	if (strlen(option) >= size)
		return -ENAMETOOLONG;
	strcpy(path, option);
	return 0;
}

int serve_share_start(struct serve *serve)
{
	const struct serve_options *o = &serve->options;
	char path[PATH_MAX];
	int fd, err = arbiter_path(serve, path, sizeof(path));

	if (err || !path[0])
		return err;
	fd = arbiter_join(path, o->name, o->weight, o->cap_percent, &serve->lease);
	if (!o->arbiter && (fd == -ENOENT || fd == -ECONNREFUSED))
		return 0;
	if (fd < 0) {
		log_error("no seat at the arbiter %s: %s; --arbiter none goes without", path,
			  strerror(-fd));
		return fd;
	}
	log_info("takes turns on the GPU: weight %u, arbiter %s", o->weight, path);
	return watch_arbiter(serve, fd);
}

void serve_share_end(struct serve *serve)
{
	end_connection(serve);
	sched_lease_destroy(serve->lease);
}

json_t *serve_share_tree(struct serve *serve, const struct vgpu_stats *v)
{
	struct sched_lease_stats stats = { 0 };
	uint64_t busy_ns = 0;

	for_each_engine(e)
		busy_ns += v->engine_busy_ns[e];
	if (serve->lease)
		sched_lease_stats(serve->lease, &stats);
	return json_pack("{s:f, s:b, s:i, s:i, s:I, s:I, s:f, s:I, s:I, s:f}", "time_ms",
			 (double)busy_ns / (double)NSEC_PER_MSEC, "shared", (int)stats.shared,
			 "weight", (int)serve->options.weight, "cap_percent",
			 (int)serve->options.cap_percent, "leases", (json_int_t)stats.grants,
			 "waits", (json_int_t)stats.waits, "wait_ms",
			 (double)stats.wait_ns / (double)NSEC_PER_MSEC, "yields",
			 (json_int_t)stats.yields, "overruns", (json_int_t)stats.overruns,
			 "contended_ms", (double)stats.contended_ns / (double)NSEC_PER_MSEC);
}
