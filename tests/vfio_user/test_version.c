/* SPDX-License-Identifier: MIT */
/* VERSION: what is accepted, what is answered, and what ends the connection. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "tests/vfio_user/client.h"

#define CAPS(text) "{\"capabilities\":{" text "}}"

struct row {
	const char *name;
	uint16_t major, minor;
	const char *json; /* NULL: none */
	int expect;
	uint16_t answer_minor;
	bool no_nul;
};

static const struct row rows[] = {
	{ "no JSON", 0, 0, NULL, 0, 0 },
	{ "empty JSON", 0, 0, "{}", 0, 0 },
	{ "empty capabilities", 0, 0, CAPS(""), 0, 0 },
	{ "minor of cloud-hypervisor", 0, 1, CAPS("\"max_msg_fds\":1"), 0, 1 },
	{ "minor of libvfio-user", 0, 2, CAPS(""), 0, 2 },
	{ "minor of the future", 0, 99, CAPS(""), 0, 2 },
	{ "most descriptors", 0, 0, CAPS("\"max_msg_fds\":1024"), 0, 0 },
	{ "no descriptors", 0, 0, CAPS("\"max_msg_fds\":0"), 0, 0 },
	{ "smallest transfers", 0, 0, CAPS("\"max_data_xfer_size\":1"), 0, 0 },
	{ "largest transfers", 0, 0, CAPS("\"max_data_xfer_size\":9223372036854775807"), 0, 0 },
	{ "migration", 0, 0, CAPS("\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":1}"), 0, 0 },
	{ "unknown names", 0, 0, CAPS("\"x\":[1,{\"y\":null}]"), 0, 0 },
	{ "unknown names outside", 0, 0, "{\"z\":1,\"capabilities\":{}}", 0, 0 },
	{ "major 1", 1, 0, CAPS(""), EINVAL },
	{ "major 999", 999, 0, NULL, EINVAL },
	{ "JSON without its NUL", 0, 0, "{}", EINVAL, .no_nul = true },
	{ "only a NUL", 0, 0, "", EINVAL },
	{ "an open brace", 0, 0, "{", EINVAL },
	{ "an open quote", 0, 0, "\"", EINVAL },
	{ "an array", 0, 0, "[]", EINVAL },
	{ "more behind the JSON", 0, 0, "{} {}", EINVAL },
	{ "capabilities a string", 0, 0, "{\"capabilities\":\"23\"}", EINVAL },
	{ "capabilities twice", 0, 0, "{\"capabilities\":{},\"capabilities\":{}}", EINVAL },
	{ "max_msg_fds a string", 0, 0, CAPS("\"max_msg_fds\":\"foo\""), EINVAL },
	{ "max_msg_fds negative", 0, 0, CAPS("\"max_msg_fds\":-1"), EINVAL },
	{ "max_msg_fds too large", 0, 0, CAPS("\"max_msg_fds\":1025"), EINVAL },
	{ "max_msg_fds a fraction", 0, 0, CAPS("\"max_msg_fds\":1.5"), EINVAL },
	{ "max_data_xfer_size zero", 0, 0, CAPS("\"max_data_xfer_size\":0"), EINVAL },
	{ "max_data_xfer_size a list", 0, 0, CAPS("\"max_data_xfer_size\":[1]"), EINVAL },
	{ "max_data_xfer_size overflows", 0, 0, CAPS("\"max_data_xfer_size\":99999999999999999999"),
	  EINVAL },
	{ "max_dma_maps negative", 0, 0, CAPS("\"max_dma_maps\":-1"), EINVAL },
	{ "pgsizes zero", 0, 0, CAPS("\"pgsizes\":0"), EINVAL },
	{ "write_multiple a number", 0, 0, CAPS("\"write_multiple\":1"), EINVAL },
	{ "migration a string", 0, 0, CAPS("\"migration\":\"23\""), EINVAL },
	{ "migration page size a string", 0, 0, CAPS("\"migration\":{\"pgsize\":\"a\"}"), EINVAL },
	{ "migration page size odd", 0, 0, CAPS("\"migration\":{\"pgsize\":4095}"), EINVAL },
	{ "twin_socket a number", 0, 0, CAPS("\"twin_socket\":1"), EINVAL },
	{ "twin_socket supported a number", 0, 0, CAPS("\"twin_socket\":{\"supported\":1}"),
	  EINVAL },
	{ "twin_socket refused", 0, 0, CAPS("\"twin_socket\":{\"supported\":false}"), 0, 0 },
};

static void run_row(void **state)
{
	const struct row *row = *state;
	uint8_t payload[512];
	size_t len = sizeof(struct vfu_version);
	struct rig rig;

	memcpy(payload, &row->major, 2);
	memcpy(payload + 2, &row->minor, 2);
	if (row->json) {
		memcpy(payload + len, row->json, strlen(row->json) + 1);
		len += strlen(row->json) + !row->no_nul;
	}
	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_call(&rig, VFU_VERSION, payload, len), row->expect);
	if (row->expect) {
		assert_int_equal(client_receive(&rig), GOT_CLOSED);
	} else {
		uint16_t version[2];

		memcpy(version, rig.reply->payload, sizeof(version));
		assert_int_equal(version[0], 0);
		assert_int_equal(version[1], row->answer_minor);
		assert_int_equal(rig.reply->payload[rig.reply->bytes - 1], 0);
	}
	/* In either case the next client is welcome. */
	rig_disconnect(&rig);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	rig_stop(&rig);
}

/* The text QEMU 11.1 sends, whose length its answer must not exceed. */
static const char qemu_json[] =
	"{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, \"max_dma_maps\": 65535, "
	"\"max_data_xfer_size\": 1048576, \"migration\": {\"max_bitmap_size\": 268435456, "
	"\"pgsize\": 4096}, \"write_multiple\": true}}";

static json_int_t number(const json_t *caps, const char *key)
{
	return json_integer_value(json_object_get(caps, key));
}

static void answers_qemu(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, qemu_json), 0);
	assert_true(rig.reply->bytes <= sizeof(struct vfu_version) + sizeof(qemu_json));
	json_t *top = json_loads((char *)rig.reply->payload + 4, 0, NULL);
	const json_t *caps = json_object_get(top, "capabilities");
	assert_int_equal(number(caps, "max_msg_fds"), 8);
	assert_int_equal(number(caps, "max_data_xfer_size"), 1 << 20);
	assert_int_equal(number(caps, "max_dma_maps"), 8);
	assert_int_equal(number(caps, "pgsizes"), 4096);
	assert_true(json_is_true(json_object_get(caps, "write_multiple")));
	assert_int_equal(json_object_size(caps), 5);
	json_decref(top);
	rig_stop(&rig);
}

static void answers_no_more_than_asked(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_string_equal(
		(char *)rig.reply->payload + 4,
		"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}");
	rig_stop(&rig);
}

static void twin_socket_is_made(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, CAPS("\"twin_socket\":{\"supported\":true}")), 0);
	assert_int_equal(rig.reply->fd_count, 1);
	assert_non_null(strstr((char *)rig.reply->payload + 4,
			       "\"twin_socket\":{\"supported\":true,\"fd_index\":0}"));
	/* Only answers may come that way. */
	struct vfu_header info = { .command = VFU_DEVICE_RESET, .bytes = sizeof(info) };
	assert_int_equal(write(rig.reply->fds[0], &info, sizeof(info)), sizeof(info));
	client_close_reply_fds(&rig);
	rig_step(&rig);
	assert_int_equal(client_receive(&rig), GOT_CLOSED);
	rig_stop(&rig);
}

static void short_version(void **state)
{
	uint16_t major = 0;
	struct rig rig;

	(void)state;
	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_call(&rig, VFU_VERSION, &major, sizeof(major)), EINVAL);
	assert_int_equal(client_receive(&rig), GOT_CLOSED);
	rig_stop(&rig);
}

static void version_with_a_descriptor(void **state)
{
	uint16_t version[2] = { 0 };
	struct rig rig;
	int fd;

	(void)state;
	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	fd = make_memory_fd(1);
	assert_int_equal(client_call_fds(&rig, VFU_VERSION, version, sizeof(version), &fd, 1),
			 EINVAL);
	close(fd);
	assert_int_equal(client_receive(&rig), GOT_CLOSED);
	rig_stop(&rig);
}

static void another_command_first(void **state)
{
	uint32_t info[4] = { 16 };
	struct rig rig;

	(void)state;
	for (uint16_t command = 0; command < 20; command++) {
		if (command == VFU_VERSION)
			continue;
		rig_start(&rig, rig_device_json);
		rig_connect(&rig);
		assert_int_equal(client_call(&rig, command, info, sizeof(info)), EINVAL);
		assert_int_equal(client_receive(&rig), GOT_CLOSED);
		rig_stop(&rig);
	}
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(rows)];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(answers_qemu),
		cmocka_unit_test(answers_no_more_than_asked),
		cmocka_unit_test(twin_socket_is_made),
		cmocka_unit_test(short_version),
		cmocka_unit_test(version_with_a_descriptor),
		cmocka_unit_test(another_command_first),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){
			.name = rows[i].name,
			.test_func = run_row,
			.initial_state = (void *)&rows[i],
		};
	return cmocka_run_group_tests_name("VERSION", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("VERSION, further", others, NULL, NULL);
}
