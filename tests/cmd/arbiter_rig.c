/* SPDX-License-Identifier: MIT */
/* An arbiter and its clients; see arbiter_rig.h. */
#include "tests/cmd/arbiter_rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/arbiter_client.h"
#include "cmd/arbiter_wire.h"
#include "cmd/process.h"
#include "cmd/runtime_dir.h"
#include "tests/cmd/program.h"

char arbiter_path[128];
pid_t arbiter_pid;
int arbiter_log;

/* ---- The arbiter's process ----------------------------------------------------------------------
 */

int arbiter_setup(void **state, const char *line)
{
	program_setup(state);
	sprintf(arbiter_path, "%s/arbiter.lease", program_folder);
	arbiter_log = program_log_open();
	arbiter_pid = program_serve_logged(line, arbiter_log);
	return 0;
}

int arbiter_teardown(void **state)
{
	if (arbiter_pid > 0)
		assert_int_equal(process_end(arbiter_pid, PROGRAM_LIMIT_NS), 0);
	close(arbiter_log);
	assert_int_equal(access(arbiter_path, F_OK), -1);
	return program_teardown(state);
}

/* ---- Clients ------------------------------------------------------------------------------------
 */

/* Works until its slice's end, or a little when it is not busy. */
static enum sched_step worker_step(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct worker *w = container_of(entity, struct worker, entity);

	while (w->busy && clock_now_ns() < deadline_ns)
		;
	atomic_fetch_add(&w->steps, 1);
	return w->busy ? SCHED_STEP_MORE : SCHED_STEP_IDLE;
}

void worker_start(struct worker *w, bool busy, uint32_t weight)
{
	*w = (struct worker){ .entity.step = worker_step, .busy = busy };
	w->fd = arbiter_join(arbiter_path, "worker", weight, 0, &w->lease);
	assert_true(w->fd >= 0);
	assert_int_equal(sched_lane_create("worker", &w->lane), 0);
	sched_lane_set_lease(w->lane, w->lease);
	sched_add(w->lane, &w->entity);
}

void worker_end(struct worker *w)
{
	sched_remove(&w->entity);
	sched_lane_destroy(w->lane);
	sched_lease_destroy(w->lease);
	close(w->fd);
}

void worker_wait(struct worker *w, uint64_t steps)
{
	for (int i = 0; i < 100000 && atomic_load(&w->steps) < steps; i++)
		usleep(100);
	assert_true(atomic_load(&w->steps) >= steps);
}

uint64_t worker_leases(struct worker *w)
{
	struct sched_lease_stats stats;

	sched_lease_stats(w->lease, &stats);
	return stats.grants;
}

uint64_t worker_contended_ns(struct worker *w)
{
	struct sched_lease_stats stats;

	sched_lease_stats(w->lease, &stats);
	return stats.contended_ns;
}

void worker_wait_contended(struct worker *w, uint64_t ns)
{
	for (int i = 0; i < 100000 && worker_contended_ns(w) < ns; i++)
		usleep(100);
	assert_true(worker_contended_ns(w) >= ns);
}

/* A seat without a lane's thread: the caller is the thread. */
int seat_join(struct sched_lease **lease)
{
	int fd = arbiter_join(arbiter_path, "test", 1, 0, lease);

	assert_true(fd >= 0);
	return fd;
}

void raw_join(struct raw_seat *seat)
{
	const struct arbiter_hello hello = {
		.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .weight = 1, .name = "raw"
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct arbiter_welcome welcome;
	struct iovec iov = { &welcome, sizeof(welcome) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	int fds[2];

	seat->fd = runtime_dir_connect(arbiter_path);
	assert_int_equal(send(seat->fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	assert_int_equal(recvmsg(seat->fd, &message, 0), sizeof(welcome));
	assert_int_equal(welcome.error, 0);
	assert_int_equal(welcome.lanes, 1);
	memcpy(fds, CMSG_DATA(&control.align), sizeof(fds));
	seat->page_fd = fds[0];
	seat->bell_fd = fds[1];
	seat->page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	assert_true(seat->page != MAP_FAILED);
}

void raw_leave(struct raw_seat *seat)
{
	munmap(seat->page, PAGE_BYTES);
	close(seat->page_fd);
	close(seat->bell_fd);
	close(seat->fd);
}

void raw_ring(struct raw_seat *seat)
{
	uint64_t one = 1;

	assert_int_equal(write(seat->bell_fd, &one, sizeof(one)), sizeof(one));
}

void raw_say(struct raw_seat *seat, enum sched_lease_state state)
{
	atomic_store(&seat->page->state, (uint32_t)state);
	raw_ring(seat);
}

void raw_wait_lane(struct raw_seat *seat)
{
	for (int i = 0; i < 100000 && atomic_load(&seat->page->state) != SCHED_LEASE_RUN; i++)
		usleep(100);
	assert_int_equal(atomic_load(&seat->page->state), SCHED_LEASE_RUN);
}
