/* SPDX-License-Identifier: MIT */
/*
 * Pictures for the control socket, drawn by a thread of their own: where the VMM hands over no
 * descriptor for the guest's memory, pixels come by messages, which the loop's thread has to bring.
 * What is asked is a list of jobs, at most JOBS_MAX.  The picture is handed out as raw pixels in a
 * sealed memory file, and made a PNG by whoever asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"
#include "cmd/serve.h"

/* Clients that ask and leave would make the list as long as they like. */
#define JOBS_MAX (2 * CONTROL_CLIENTS)

struct job {
	struct job *next;
	uint64_t ticket; /* of the control server's */
	uint32_t head;
	uint32_t width, height;
	int fd; /* the pixels, or -errno */
};

struct serve_grabber {
	struct serve *serve;
	struct loop_work work;
	pthread_t thread;
	struct lock lock; /* LOCK_LEAF: guards what follows */
	pthread_cond_t changed;
	struct job *asked, *done; /* each in the order of asking */
	unsigned int jobs;	  /* in both lists and at work */
	bool stopping;
};

/* ---- The thread ---------------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The picture in a sealed memory file; the descriptor, or -errno. */
static int image_file(const struct display_image *image)
{
	int fd = memfd_create("screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, image->pixels, (size_t)image->width * image->height * 4);
	if (!err &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static void draw(struct display_source *source, struct job *job)
{
	struct display_image image = { 0 };
	int err = display_grab(source, job->head, &image);

	job->width = image.width;
	job->height = image.height;
	job->fd = err ? err : image_file(&image);
	display_image_fini(&image);
}

static void append(struct job **list, struct job *job)
{
	while (*list)
		list = &(*list)->next;
	job->next = NULL;
	*list = job;
}

static struct job *take(struct job **list)
{
	struct job *job = *list;

	if (job)
		*list = job->next;
	return job;
}

static void *thread_run(void *arg)
{
	struct serve_grabber *grabber = arg;
	struct display_source *source = vgpu_display_source(vgpu_device_vgpu(grabber->serve->vgpu));
	struct job *job;

	lock_acquire(&grabber->lock);
	while (!grabber->stopping) {
		job = take(&grabber->asked);
		if (!job) {
			pthread_cond_wait(&grabber->changed, &grabber->lock.mutex);
			continue;
		}
		lock_release(&grabber->lock);
		draw(source, job);
		lock_acquire(&grabber->lock);
		append(&grabber->done, job);
		lock_release(&grabber->lock);
		loop_post(&grabber->serve->loop, &grabber->work);
		lock_acquire(&grabber->lock);
	}
	lock_release(&grabber->lock);
	return NULL;
}

/* ---- The loop's thread --------------------------------------------------------------------- */

static void answer(struct serve *serve, const struct job *job)
{
	struct control_reply reply = { .fd = -1 };

	if (job->fd >= 0) {
		reply.fd = job->fd;
		reply.result = json_pack("{s:i, s:i, s:s}", "width", (int)job->width, "height",
					 (int)job->height, "format", "XRGB8888");
	} else if (job->fd == -EAGAIN) {
		control_reply_error(&reply, CONTROL_FAILED,
				    "head %u is off: the guest shows nothing on it (yet)",
				    job->head);
	} else if (job->fd == -EIO) {
		control_reply_error(&reply, CONTROL_FAILED,
				    "head %u: the VMM did not hand over the guest's memory just "
				    "now; ask again",
				    job->head);
	} else {
		control_reply_error(&reply, CONTROL_FAILED, "head %u: %s", job->head,
				    strerror(-job->fd));
	}
	control_server_answer(serve->control, job->ticket, &reply);
}

static struct job *take_done(struct serve_grabber *grabber)
{
	struct job *job;

	lock_acquire(&grabber->lock);
	job = take(&grabber->done);
	if (job)
		grabber->jobs--;
	lock_release(&grabber->lock);
	return job;
}

static void answer_all(struct loop_work *work)
{
	struct serve_grabber *grabber = container_of(work, struct serve_grabber, work);
	struct job *job;

	while ((job = take_done(grabber))) {
		answer(grabber->serve, job);
		free(job);
	}
}

/* Puts @job on the list; false when that is full. */
static bool add(struct serve_grabber *grabber, struct job *job)
{
	bool room;

	lock_acquire(&grabber->lock);
	room = grabber->jobs < JOBS_MAX;
	if (room) {
		append(&grabber->asked, job);
		grabber->jobs++;
		pthread_cond_signal(&grabber->changed);
	}
	lock_release(&grabber->lock);
	return room;
}

void serve_grab(struct serve *serve, uint32_t head, struct control_reply *reply)
{
	struct job *job = malloc(sizeof(*job));

	if (!job) {
		control_reply_error(reply, CONTROL_FAILED, "no memory for a picture");
		return;
	}
	*job = (struct job){ .ticket = reply->ticket, .head = head };
	reply->later = add(serve->grabber, job);
	if (reply->later)
		return;
	free(job);
	control_reply_error(reply, CONTROL_FAILED, "%u pictures are being taken already", JOBS_MAX);
}

int serve_grab_start(struct serve *serve)
{
	struct serve_grabber *grabber;
	sigset_t all, old;
	int err;

	if (!serve->vgpu || serve->options.render_only)
		return 0;
	grabber = calloc(1, sizeof(*grabber));
	if (!grabber)
		return -ENOMEM;
	grabber->serve = serve;
	grabber->work.run = answer_all;
	lock_init(&grabber->lock, LOCK_LEAF);
	pthread_cond_init(&grabber->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&grabber->thread, NULL, thread_run, grabber);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		log_error("cannot start a thread for screenshots: %s", strerror(-err));
		pthread_cond_destroy(&grabber->changed);
		lock_fini(&grabber->lock);
		free(grabber);
		return err;
	}
	pthread_setname_np(grabber->thread, "screenshot");
	serve->grabber = grabber;
	return 0;
}

static void drop_all(struct job **list)
{
	struct job *job;

	while ((job = take(list))) {
		if (job->fd > 0)
			close(job->fd);
		free(job);
	}
}

void serve_grab_end(struct serve *serve)
{
	struct serve_grabber *grabber = serve->grabber;

	if (!grabber)
		return;
	lock_acquire(&grabber->lock);
	grabber->stopping = true;
	pthread_cond_signal(&grabber->changed);
	lock_release(&grabber->lock);
	pthread_join(grabber->thread, NULL);
	drop_all(&grabber->asked);
	drop_all(&grabber->done);
	pthread_cond_destroy(&grabber->changed);
	lock_fini(&grabber->lock);
	free(grabber);
	serve->grabber = NULL;
}
