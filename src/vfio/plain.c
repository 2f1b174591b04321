/* SPDX-License-Identifier: MIT */
/*
 * A PCI device without behaviour: memory in its regions, descriptors to hand out, doorbells that
 * make interrupts, and a copy engine that reads and writes guest memory.  It shows that the layer
 * knows no GPU, and gives anyone's client something to test the protocol against.
 *
 * Region accesses come on the thread that owns the VFIO device.  What was written stays, through
 * resets and from one client to the next.
 */
#include "vfio/plain.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "vfio/plain_engine.h"

/* ---- Accesses --------------------------------------------------------------------------- */

static void region_read(void *opaque, unsigned int region, uint64_t offset, void *buf, size_t len)
{
	struct plain_device *plain = opaque;

	if (plain->engine)
		plain_engine_lock(plain->engine);
	memcpy(buf, plain->regions[region].bytes + offset, len);
	if (plain->engine)
		plain_engine_unlock(plain->engine);
}

static void ring_doorbells(struct plain_device *plain, unsigned int region, uint64_t offset,
			   size_t len)
{
	for (unsigned int i = 0; i < plain->doorbell_count; i++) {
		const struct plain_doorbell *bell = &plain->doorbells[i];

		if (bell->region == region && ranges_overlap(offset, len, bell->offset, 1))
			vfio_irq_trigger(plain->vfio, bell->irq, bell->vector);
	}
}

static void region_write(void *opaque, unsigned int region, uint64_t offset, const void *buf,
			 size_t len)
{
	struct plain_device *plain = opaque;

	if (plain->engine)
		plain_engine_lock(plain->engine);
	memcpy(plain->regions[region].bytes + offset, buf, len);
	if (plain->engine)
		plain_engine_unlock(plain->engine);
	ring_doorbells(plain, region, offset, len);
	if (plain->engine && plain->engine_at.region == region)
		plain_engine_written(plain->engine, offset, len);
}

static bool config_present(const struct plain_config_bytes *extra, uint16_t offset)
{
	return extra->present[offset / 8] & BIT(offset % 8);
}

static bool config_read(void *opaque, uint16_t offset, uint8_t *value)
{
	struct plain_device *plain = opaque;

	*value = plain->extra.value[offset];
	return config_present(&plain->extra, offset);
}

static bool config_write(void *opaque, uint16_t offset, uint8_t value)
{
	struct plain_config_bytes *extra = &((struct plain_device *)opaque)->extra;
	uint8_t mask = extra->write_mask[offset];

	extra->value[offset] = (uint8_t)((extra->value[offset] & ~mask) | (value & mask));
	return config_present(extra, offset);
}

static void reset(void *opaque)
{
	struct plain_device *plain = opaque;

	if (plain->engine)
		plain_engine_reset(plain->engine);
}

static void plain_free(struct plain_device *plain)
{
	plain_engine_destroy(plain->engine);
	for (unsigned int i = 0; i < VFIO_MAX_REGIONS; i++) {
		struct plain_region *region = &plain->regions[i];

		if (region->bytes) {
			if (region->sigbus >= 0)
				guest_sigbus_remove(region->sigbus);
			munmap(region->bytes, region->map_bytes);
		}
		for (unsigned int j = 0; j < region->own_fd_count; j++)
			close(region->own_fds[j]);
		if (region->fd >= 0)
			close(region->fd);
	}
	plain_unload(plain);
	free(plain);
}

static void destroy(void *opaque)
{
	plain_free(opaque);
}

static const struct vfio_device_ops plain_ops = {
	.region_read = region_read,
	.region_write = region_write,
	.config_read = config_read,
	.config_write = config_write,
	.reset = reset,
	.destroy = destroy,
};

/* ---- The memory of a region ------------------------------------------------------------- */

/* Sealed, so that a client it is passed to cannot cut it short under us. */
static int make_memory(struct plain_region *region, size_t bytes)
{
	region->fd = memfd_create("mediant-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (region->fd < 0)
		return -errno;
	if (ftruncate(region->fd, (off_t)bytes) ||
	    fcntl(region->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return 0;
}

static int open_file(struct plain_region *region, size_t bytes)
{
	struct stat st;
	uint64_t end;

	region->fd = open(region->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (region->fd < 0 || fstat(region->fd, &st)) {
		log_error("backing file '%s': %s", region->file, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || !add_fits(region->file_offset, bytes, &end) ||
	    end > INT64_MAX || PAGE_OFFSET(region->file_offset)) {
		log_error("backing file '%s' must be a regular file, and file_offset a multiple "
			  "of 4096",
			  region->file);
		return -EINVAL;
	}
	/* Too short a file grows: an empty one is as good as one of zeros. */
	if ((uint64_t)st.st_size < end && ftruncate(region->fd, (off_t)end)) {
		log_error("backing file '%s' cannot grow to %llu bytes: %s", region->file,
			  (unsigned long long)end, strerror(errno));
		return -errno;
	}
	return 0;
}

static int make_region(struct vfio_region_config *config, struct plain_region *region)
{
	size_t bytes = (config->size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	int err = region->file ? open_file(region, bytes) : make_memory(region, bytes);

	if (err)
		return err;
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 region->fd, (off_t)region->file_offset);
	if (map == MAP_FAILED) {
		log_error("a region of %llu bytes cannot be mapped: %s",
			  (unsigned long long)config->size, strerror(errno));
		return -errno;
	}
	region->bytes = map;
	region->map_bytes = bytes;
	region->sigbus = guest_sigbus_add(map, bytes, PAGE_BYTES);
	config->mmap_fd = region->fd;
	config->mmap_offset = region->file_offset;
	return region->sigbus < 0 ? region->sigbus : 0;
}

/* ---- Region I/O descriptors ------------------------------------------------------------- */

static int keep(struct plain_region *region, int fd)
{
	if (fd < 0)
		return -errno;
	assert(region->own_fd_count < ARRAY_SIZE(region->own_fds));
	region->own_fds[region->own_fd_count++] = fd;
	return fd;
}

/*
 * An ioregionfd is a socket on which the VMM's kernel would speak; our end stays open and silent.
 */
static int make_socket(struct plain_region *region)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	keep(region, ends[0]);
	return keep(region, ends[1]);
}

static int make_shadow(struct plain_region *region)
{
	int fd = memfd_create("mediant-shadow", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)PAGE_BYTES)) {
		close(fd);
		return -errno;
	}
	return keep(region, fd);
}

static int make_io_fd(struct vfio_io_fd *io, struct plain_region *region,
		      const struct vfio_io_fd *same_as)
{
	if (same_as)
		io->fd = same_as->fd;
	else if (io->type == 1)
		io->fd = make_socket(region);
	else
		io->fd = keep(region, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (io->fd < 0)
		return io->fd;
	if (io->type == 2)
		io->shadow_fd = make_shadow(region);
	return io->type == 2 && io->shadow_fd < 0 ? io->shadow_fd : 0;
}

static int make_io_fds(struct vfio_region_config *config, struct plain_region *region)
{
	for (unsigned int i = 0; i < config->io_fd_count; i++) {
		int same = region->io_same_as[i];
		int err = make_io_fd(&config->io_fds[i], region,
				     same >= 0 ? &config->io_fds[same] : NULL);

		if (err)
			return err;
	}
	return 0;
}

/* ---- Life ------------------------------------------------------------------------------- */

static int check_bells(const struct plain_device *plain)
{
	for (unsigned int i = 0; i < plain->doorbell_count; i++) {
		const struct plain_doorbell *bell = &plain->doorbells[i];

		if (bell->offset >= plain->config.regions[bell->region].size ||
		    bell->vector >= plain->config.irq_counts[bell->irq]) {
			log_error("regions: doorbell %u lies outside its region, or names an "
				  "interrupt that \"irqs\" does not have",
				  i);
			return -EINVAL;
		}
	}
	return 0;
}

static int plain_make(struct plain_device *plain)
{
	int err = check_bells(plain);

	for (unsigned int i = 0; !err && i < plain->config.region_count; i++) {
		if (!plain->config.regions[i].size)
			continue;
		err = make_region(&plain->config.regions[i], &plain->regions[i]);
		if (!err)
			err = make_io_fds(&plain->config.regions[i], &plain->regions[i]);
	}
	plain->config.ops = &plain_ops;
	plain->config.opaque = plain;
	if (!err)
		err = vfio_device_create(&plain->config, &plain->vfio);
	if (!err && plain->has_engine)
		err = plain_engine_create(plain, &plain->engine);
	return err;
}

int vfio_plain_create(const char *path, struct vfio_device **device)
{
	struct plain_device *plain = calloc(1, sizeof(*plain));

	if (!plain)
		return -ENOMEM;
	for (unsigned int i = 0; i < VFIO_MAX_REGIONS; i++)
		plain->regions[i].fd = plain->regions[i].sigbus = -1;
	int err = plain_load(path, plain);
	if (!err)
		err = plain_make(plain);
	if (err && plain->vfio)
		vfio_device_destroy(plain->vfio);
	else if (err)
		plain_free(plain);
	if (!err)
		*device = plain->vfio;
	return err;
}
