/* SPDX-License-Identifier: MIT */
/* The driver's transport to a process; see process.h. */
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/runtime_dir.h"
#include "vfio_user/wire.h"
#include "vgpu/vgpu.h"

#define AROUND_BYTES (1ull << 20)
#define FILE_BYTES   (AROUND_BYTES + DRIVER_GUEST_BYTES + AROUND_BYTES)
#define TAG	     0xca9a51e500000000ull /* the upper half of every canary's words */
#define READABLE     0x4eadab1e00000000ull /* the same of what may be read, but not written */
#define WORDS(bytes) ((bytes) / sizeof(uint64_t))

struct link {
	struct ram ram;
	pid_t pid;
	int socket, file, read_only_file;
	uint8_t *map; /* the file's, with what lies around the memory */
	uint64_t *read_only;
	uint64_t planted_from;
};

const char *process_name;

/* ---- Canaries ---- */

static void plant(void *at, size_t bytes, uint64_t tag)
{
	uint64_t *word = at;

	for (size_t i = 0; i < WORDS(bytes); i++)
		word[i] = tag | (i & UINT32_MAX);
}

static bool lives(const char *what, const void *at, size_t bytes, uint64_t tag)
{
	const uint64_t *word = at;

	for (size_t i = 0; i < WORDS(bytes); i++)
		if (word[i] != (tag | (i & UINT32_MAX))) {
			fprintf(stderr, "the canary %s was written at 0x%zx: 0x%llx\n", what,
				i * sizeof(*word), (unsigned long long)word[i]);
			return false;
		}
	return true;
}

bool process_canaries_live(struct driver *d)
{
	struct link *l = d->link;

	return lives("before", l->map, AROUND_BYTES, TAG) &&
	       lives("behind", l->map + FILE_BYTES - AROUND_BYTES, AROUND_BYTES, TAG) &&
	       lives("in the gap", l->ram.bytes + GAP_AT, GAP_BYTES, TAG) &&
	       lives("to be read only", l->read_only, AROUND_BYTES, READABLE);
}

/* At any alignment of four bytes, which is what the GPU moves at least. */
size_t process_canaries_seen(struct driver *d)
{
	struct link *l = d->link;
	size_t seen = 0;

	for (uint64_t at = 0; at + 8 <= l->ram.size; at += 4) {
		uint64_t word;

		if (at >= GAP_AT && at < GAP_AT + GAP_BYTES)
			continue;
		memcpy(&word, l->ram.bytes + at, sizeof(word));
		seen += (word & ~(uint64_t)UINT32_MAX) == TAG;
	}
	return seen;
}

void process_plant(struct driver *d)
{
	struct link *l = d->link;

	l->planted_from = l->ram.next_page;
	plant(l->ram.bytes + l->planted_from, l->ram.size - l->planted_from, TAG);
	plant(l->ram.bytes + GAP_AT, GAP_BYTES, TAG);
}

bool process_planted_live(struct driver *d)
{
	struct link *l = d->link;
	uint64_t behind = GAP_AT + GAP_BYTES;

	/* The gap's canaries count from its own start. */
	for (uint64_t at = l->planted_from; at < l->ram.size; at += 8)
		if ((at < GAP_AT || at >= behind) &&
		    memcmp(l->ram.bytes + at, &(uint64_t){ TAG | WORDS(at - l->planted_from) }, 8))
			return false;
	return process_canaries_live(d);
}

/* ---- Messages ---- */

static void send_all(struct link *l, uint16_t command, uint32_t flags, const struct iovec *parts,
		     size_t count, int fd)
{
	struct vfu_header header = { .command = command, .flags = flags, .bytes = sizeof(header) };
	struct iovec iov[4] = { { &header, sizeof(header) } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count + 1 };

	for (size_t i = 0; i < count; i++) {
		iov[i + 1] = parts[i];
		header.bytes += (uint32_t)parts[i].iov_len;
	}
	if (fd >= 0) {
		control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	assert_int_equal(sendmsg(l->socket, &msg, MSG_NOSIGNAL), header.bytes);
}

static void receive(struct link *l, void *buf, size_t len)
{
	assert_int_equal(recv(l->socket, buf, len, MSG_WAITALL), len);
}

/* The reply's payload into @reply, exactly as long as said; its error. */
static uint32_t take_reply(struct link *l, void *reply, size_t len)
{
	struct vfu_header header;

	receive(l, &header, sizeof(header));
	if (header.error)
		return header.error;
	assert_int_equal(header.bytes, sizeof(header) + len);
	if (len)
		receive(l, reply, len);
	return 0;
}

static void say_version(struct link *l)
{
	struct vfu_version version = { 0 };
	char json[] = "{\"capabilities\":{\"max_msg_fds\":8}}", answer[1024];
	const struct iovec parts[] = { { &version, sizeof(version) }, { json, sizeof(json) } };
	struct vfu_header header;

	send_all(l, VFU_VERSION, 0, parts, 2, -1);
	receive(l, &header, sizeof(header));
	assert_true(!header.error && header.bytes - sizeof(header) <= sizeof(answer));
	receive(l, answer, header.bytes - sizeof(header));
}

static void dma_map(struct link *l, uint64_t at, uint64_t bytes, int file, uint64_t offset,
		    uint32_t access)
{
	struct vfu_dma_map map = {
		.argsz = sizeof(map), .flags = access, .offset = offset, .addr = at, .bytes = bytes
	};
	const struct iovec part = { &map, sizeof(map) };

	send_all(l, VFU_DMA_MAP, 0, &part, 1, file);
	assert_int_equal(take_reply(l, NULL, 0), 0);
}

static void region_read(struct link *l, uint32_t region, uint64_t offset, void *buf, size_t len)
{
	struct vfu_region_access access = { offset, region, (uint32_t)len }, echo;
	const struct iovec part = { &access, sizeof(access) };
	struct vfu_header header;

	send_all(l, VFU_REGION_READ, 0, &part, 1, -1);
	receive(l, &header, sizeof(header));
	memset(buf, 0xff, len);
	if (header.error)
		return; /* a BAR that is not decoded, as on a bus */
	receive(l, &echo, sizeof(echo));
	receive(l, buf, len);
}

void process_write(struct driver *d, uint32_t region, uint64_t offset, const void *buf, size_t len)
{
	struct vfu_region_access access = { offset, region, (uint32_t)len };
	const struct iovec parts[] = { { &access, sizeof(access) },
				       { (void *)(uintptr_t)buf, len } };

	send_all(d->link, VFU_REGION_WRITE, VFU_FLAG_NO_REPLY, parts, 2, -1);
}

/* ---- The process ---- */

json_t *process_stat(struct driver *d)
{
	char line[64];

	snprintf(line, sizeof(line), "stat %s --json", process_name);
	return program_json(line);
}

double process_number(json_t *tree, const char *object, const char *member)
{
	return json_number_value(json_object_get(json_object_get(tree, object), member));
}

static uint8_t *map_file(size_t bytes, int *file)
{
	uint8_t *map;

	*file = memfd_create("guest", MFD_CLOEXEC);
	assert_true(*file >= 0);
	assert_int_equal(ftruncate(*file, (off_t)bytes), 0);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
	assert_true(map != MAP_FAILED);
	return map;
}

static void make_memory(struct link *l)
{
	uint64_t behind = GAP_AT + GAP_BYTES;

	l->map = map_file(FILE_BYTES, &l->file);
	l->read_only = (uint64_t *)map_file(AROUND_BYTES, &l->read_only_file);
	l->ram = (struct ram){ .bytes = l->map + AROUND_BYTES,
			       .size = DRIVER_GUEST_BYTES,
			       .next_page = PAGE_BYTES,
			       .fd = l->file };
	plant(l->map, AROUND_BYTES, TAG);
	plant(l->map + FILE_BYTES - AROUND_BYTES, AROUND_BYTES, TAG);
	plant(l->ram.bytes + GAP_AT, GAP_BYTES, TAG);
	plant(l->read_only, AROUND_BYTES, READABLE);
	dma_map(l, 0, GAP_AT, l->file, AROUND_BYTES, 3);
	dma_map(l, behind, DRIVER_GUEST_BYTES - behind, l->file, AROUND_BYTES + behind, 3);
	dma_map(l, READ_ONLY_AT, AROUND_BYTES, l->read_only_file, 0, 1);
}

void process_turn_on(struct driver *d)
{
	uint16_t command = 6; /* memory, bus master */
	uint32_t bar0 = 0xc0000000, bar2 = 0xd0000000;

	process_write(d, 7, 0x10, &bar0, sizeof(bar0));
	process_write(d, 7, 0x18, &bar2, sizeof(bar2));
	process_write(d, 7, 0x04, &command, sizeof(command));
}

static void open_process(struct driver *d, bool render_only)
{
	struct timeval limit = { .tv_sec = 20 };
	struct link *l = calloc(1, sizeof(*l));
	char line[256], path[160];

	assert_non_null(l);
	snprintf(line, sizeof(line),
		 "serve --socket %%/%s.vfio --name %s --type " DRIVER_TYPE "%s --log warn",
		 process_name, process_name, render_only ? " --render-only" : "");
	l->pid = program_serve(line);
	snprintf(path, sizeof(path), "%s/%s.vfio", program_folder, process_name);
	l->socket = runtime_dir_connect(path);
	assert_true(l->socket >= 0);
	setsockopt(l->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	say_version(l);
	d->link = l;
	make_memory(l);
	d->ram = &l->ram;
	process_turn_on(d);
}

static void close_process(struct driver *d)
{
	struct link *l = d->link;

	close(l->socket);
	program_end(l->pid);
	munmap(l->map, FILE_BYTES);
	munmap(l->read_only, AROUND_BYTES);
	close(l->file);
	close(l->read_only_file);
	free(l);
}

static void bar_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	region_read(d->link, bar, offset, buf, len);
}

static void bar_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		      size_t len)
{
	process_write(d, bar, offset, buf, len);
}

static uint8_t config_read(struct driver *d, uint16_t offset)
{
	uint8_t value;

	region_read(d->link, 7, offset, &value, sizeof(value));
	return value;
}

const struct driver_transport driver_transport = {
	.name = "process",
	.open = open_process,
	.close = close_process,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.config_read = config_read,
};
