/* SPDX-License-Identifier: MIT */
/* Descriptions of a plain device: those that are refused, and backing files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/support/leaks.h"
#include "vfio/vfio.h"

static int make(const char *json, struct vfio_device **device)
{
	char path[] = "/tmp/mediant-plain-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0 && write(fd, json, strlen(json)) == (ssize_t)strlen(json));
	close(fd);
	int err = vfio_plain_create(path, device);
	unlink(path);
	return err;
}

#define REGION(text) "{\"regions\":[{" text "}]}"
#define CAP(text)    "{\"pci\":{\"capabilities\":[{" text "}]}}"

#define SIZELESS "{\"index\":0,\"io_fds\":[{\"offset\":0,\"size\":4}]}"

static const char *const bad[] = {
	"",
	"[]",
	"{",
	"{\"regoins\":[]}",
	"{\"pci\":1}",
	"{\"pci\":{\"vendor\":65536}}",
	"{\"pci\":{\"vendor\":-1}}",
	"{\"pci\":{\"vendor\":\"0xzz\"}}",
	"{\"pci\":{\"vendor\":\"\"}}",
	"{\"pci\":{\"vendor\":1.5}}",
	"{\"pci\":{\"config_size\":512}}",
	"{\"pci\":{\"interrupt_pin\":5}}",
	"{\"pci\":{\"bytes\":[{\"offset\":255,\"bytes\":\"00 01\"}]}}",
	"{\"pci\":{\"vendor\":1,\"vendor\":2}}",
	CAP(""),
	CAP("\"id\":\"msi\""),
	CAP("\"id\":\"pm\",\"offset\":65"),
	CAP("\"id\":\"msi\",\"offset\":64,\"vectors\":33"),
	CAP("\"id\":9,\"offset\":64,\"bytes\":\"0\""),
	CAP("\"id\":9,\"offset\":64,\"bytes\":\"xy\""),
	CAP("\"id\":9,\"offset\":64,\"bytes\":7"),
	CAP("\"id\":9,\"offset\":64,\"bytes\":\"00\",\"write_mask\":\"00 00\""),
	"{\"regions\":{}}",
	REGION(""),
	REGION("\"index\":16"),
	REGION("\"index\":0"),
	REGION("\"index\":0,\"size\":0"),
	"{\"regions\":[" SIZELESS "," SIZELESS "]}",
	"{\"regions\":[{\"index\":0,\"mmap\":true},{\"index\":0,\"size\":4096}]}",
	REGION("\"index\":7,\"size\":4096"),
	REGION("\"index\":0,\"size\":\"lots\""),
	REGION("\"index\":0,\"size\":4096,\"type\":\"mem16\""),
	REGION("\"index\":0,\"size\":4096,\"flags\":\"read\""),
	REGION("\"index\":0,\"size\":4096,\"flags\":[\"execute\"]"),
	REGION("\"index\":0,\"size\":4096,\"mmap\":1"),
	REGION("\"index\":0,\"size\":100,\"mmap\":true"),
	REGION("\"index\":0,\"size\":8192,\"mmap_areas\":[{\"offset\":1,\"size\":4096}]"),
	REGION("\"index\":0,\"size\":8192,\"mmap_areas\":[{\"offset\":8192,\"size\":4096}]"),
	REGION("\"index\":0,\"size\":8192,\"io_fds\":[{\"offset\":8190,\"size\":4}]"),
	REGION("\"index\":0,\"size\":8192,\"io_fds\":[{\"offset\":0,\"size\":4,\"same_as\":0}]"),
	REGION("\"index\":0,\"size\":8192,\"io_fds\":[{\"type\":\"pipe\"}]"),
	REGION("\"index\":0,\"size\":8192,\"doorbells\":[{\"offset\":8192,\"irq\":\"msi\"}]"),
	REGION("\"index\":0,\"size\":8192,\"doorbells\":[{\"offset\":0,\"irq\":\"msi\"}]"),
	REGION("\"index\":0,\"size\":8192,\"copy_engine\":{\"offset\":4}"),
	REGION("\"index\":0,\"size\":8192,\"file\":\"/no/such/folder/file\""),
	REGION("\"index\":0,\"size\":8192,\"file\":\"/dev/null\""),
	REGION("\"index\":5,\"size\":8192,\"type\":\"mem64\""),
	"{\"regions\":[{\"index\":0,\"size\":16},{\"index\":0,\"size\":16}]}",
	"{\"regions\":[{\"index\":0,\"size\":16,\"type\":\"mem64\"},{\"index\":1,\"size\":16}]}",
	"{\"irqs\":{\"msi\":33}}",
	"{\"irqs\":{\"intx\":2}}",
	"{\"irqs\":{\"msix\":2049}}",
	"{\"irqs\":{\"nmi\":1}}",
	"{\"dma\":{\"max_maps\":65536}}",
	"{\"dma\":[]}",
	"{\"lenient\":\"yes\"}",
};

static void refused(void **state)
{
	struct vfio_device *device = NULL;

	log_threshold = (enum log_level)0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (make(bad[i], &device) >= 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_null(device);
	}
	assert_int_equal(vfio_plain_create("/no/such/file", &device), -EINVAL);
}

static void smallest(void **state)
{
	struct vfio_device *device;
	struct vfio_device_info info;

	assert_int_equal(make("{}", &device), 0);
	vfio_device_get_info(device, &info);
	assert_int_equal(info.num_regions, 9);
	vfio_device_destroy(device);
}

/* What is written to the region is in the file, and stays when the device goes. */
static void backing_file(void **state)
{
	char folder[] = "/tmp/mediant-plain-XXXXXX";
	char path[64];
	char json[256];
	struct vfio_device *device;
	struct stat st;
	char got[8];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/backing", folder);
	snprintf(json, sizeof(json),
		 REGION("\"index\":0,\"size\":8192,\"mmap\":true,"
			"\"file\":\"%s\",\"file_offset\":4096"),
		 path);
	assert_int_equal(make(json, &device), 0);
	assert_int_equal(vfio_device_write(device, 0, 100, "kept", 4), 0);
	vfio_device_reset(device);
	assert_int_equal(vfio_device_read(device, 0, 100, got, 4), 0);
	assert_memory_equal(got, "kept", 4);
	vfio_device_destroy(device);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4096 + 8192);
	assert_int_equal(make(json, &device), 0);
	assert_int_equal(vfio_device_read(device, 0, 100, got, 4), 0);
	assert_memory_equal(got, "kept", 4);
	/* Cut short under us, it reads as zeros. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(vfio_device_read(device, 0, 100, got, 4), 0);
	assert_memory_equal(got, "\0\0\0\0", 4);
	assert_int_equal(vfio_device_write(device, 0, 5000, "gone", 4), 0);
	vfio_device_destroy(device);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* As long a copy as there can be, of memory without messages: reset ends it where it is. */
static void reset_ends_a_copy(void **state)
{
	static const char json[] =
		"{\"irqs\":{\"msi\":1},\"pci\":{\"capabilities\":[{\"id\":\"msi\",\"offset\":64}]},"
		"\"regions\":[{\"index\":0,\"type\":\"mem64\",\"size\":4294967296,"
		"\"copy_engine\":{\"offset\":0}}]}";
	struct {
		uint64_t gpa, offset;
		uint32_t bytes, command;
	} job = { 1ull << 40, 0, UINT32_MAX, 2 };
	struct vfio_device *device;
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct stat st;
	int32_t status;

	assert_int_equal(ftruncate(fd, (off_t)1 << 32), 0);
	assert_int_equal(make(json, &device), 0);
	assert_int_equal(vfio_device_dma_map(device, 3, iova(1ull << 40), 1ull << 32, fd, 0), 0);
	assert_int_equal(vfio_device_write(device, 0, 0, &job.gpa, 8), 0);
	assert_int_equal(vfio_device_write(device, 0, 8, &job.offset, 8), 0);
	assert_int_equal(vfio_device_write(device, 0, 16, &job.bytes, 4), 0);
	assert_int_equal(vfio_device_write(device, 0, 20, &job.command, 4), 0);
	vfio_device_reset(device);
	assert_int_equal(vfio_device_read(device, 0, 0x18, &status, 4), 0);
	assert_int_equal(status, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks < ((int64_t)1 << 32) / 512);
	vfio_device_destroy(device);
	close(fd);
}

static void example_is_good(void **state)
{
	struct vfio_device *device;

	assert_int_equal(vfio_plain_create(getenv("PLAIN_EXAMPLE"), &device), 0);
	vfio_device_destroy(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(refused),	       leak_checked(smallest),
		leak_checked(backing_file),    leak_checked(reset_ends_a_copy),
		leak_checked(example_is_good),
	};

	log_threshold = LOG_ERROR;
	return cmocka_run_group_tests_name("the plain device", tests, NULL, NULL);
}
