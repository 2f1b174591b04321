/* SPDX-License-Identifier: MIT */
/* Values of command line options: what is taken, what is refused, and as what. */
#include "cmd/options.h"

#include <errno.h>

#include "tests/support/leaks.h"

static void numbers(void **state)
{
	uint64_t value = 7;

	assert_int_equal(option_number("0", 0, 9, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(option_number("0x1fF", 0, 1000, &value), 0);
	assert_int_equal(value, 511);
	assert_int_equal(option_number("18446744073709551615", 0, UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
}

static void numbers_refused(void **state)
{
	static const char *const texts[] = { "",   " 1",   "1 ", "-1",	"+1",  "x",
					     "0x", "0x-1", "1x", "1.5", "--1", "0x0x1" };
	uint64_t value = 7;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(option_number(texts[i], 0, UINT64_MAX, &value), -EINVAL);
	assert_int_equal(option_number("10", 0, 9, &value), -ERANGE);
	assert_int_equal(option_number("1", 2, 9, &value), -ERANGE);
	assert_int_equal(option_number("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(value, 7);
}

static void sizes(void **state)
{
	uint64_t bytes;

	assert_int_equal(option_size("512", &bytes), 0);
	assert_int_equal(bytes, 512);
	assert_int_equal(option_size("3k", &bytes), 0);
	assert_int_equal(bytes, 3072);
	assert_int_equal(option_size("2G", &bytes), 0);
	assert_true(bytes == (uint64_t)2 << 30);
	assert_int_equal(option_size("1T", &bytes), 0);
	assert_true(bytes == (uint64_t)1 << 40);
	assert_int_equal(option_size("16777216T", &bytes), -ERANGE);
	assert_int_equal(option_size("1GB", &bytes), -EINVAL);
	assert_int_equal(option_size("G", &bytes), -EINVAL);
	assert_int_equal(option_size("1 G", &bytes), -EINVAL);
}

static void modes(void **state)
{
	struct option_mode mode;

	assert_int_equal(option_mode("1600x900", &mode), 0);
	assert_int_equal(mode.width, 1600);
	assert_int_equal(mode.height, 900);
	assert_int_equal(mode.refresh_hz, 0);
	assert_int_equal(option_mode("3840x2160@30", &mode), 0);
	assert_int_equal(mode.refresh_hz, 30);
	assert_int_equal(option_mode("320x200@24", &mode), 0);
	assert_int_equal(option_mode("3840x2160@144", &mode), 0);
}

static void modes_refused(void **state)
{
	static const char *const senseless[] = {
		"",	    "1024",	 "1024x",     "x768",	   "1024x768@",
		"1024X768", "1024x768 ", "1024x-768", "0x400x300", "1024x768@60@60"
	};
	static const char *const outside[] = { "319x768",      "3841x768",	"1024x199",
					       "1024x2161",    "99999999999x1", "1024x768@1",
					       "1024x768@1000" };
	struct option_mode mode;

	for (size_t i = 0; i < ARRAY_SIZE(senseless); i++)
		assert_int_not_equal(option_mode(senseless[i], &mode), 0);
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		assert_int_equal(option_mode(outside[i], &mode), -ERANGE);
}

static void ports(void **state)
{
	struct vgpu_port_config port;

	assert_int_equal(option_port("hdmi", &port), 0);
	assert_int_equal(port.kind, VGPU_PORT_HDMI);
	assert_true(port.plugged);
	assert_int_equal(port.width, 1024);
	assert_int_equal(port.height, 768);
	assert_int_equal(option_port("dp:1920x1080@75:off", &port), 0);
	assert_int_equal(port.kind, VGPU_PORT_DP);
	assert_false(port.plugged);
	assert_int_equal(port.width, 1920);
	assert_int_equal(port.refresh_hz, 75);
	assert_int_equal(option_port("dp:off", &port), 0);
	assert_false(port.plugged);
	assert_int_equal(option_port("none", &port), 0);
	assert_int_equal(port.kind, VGPU_PORT_NONE);
}

static void ports_refused(void **state)
{
	static const char *const texts[] = { "",
					     "vga",
					     "hdmi1024x768",
					     "hdmi:",
					     "hdmi:::",
					     "none:off",
					     "dp:1024",
					     "hdmi:on",
					     "hdmi:1024x768x32",
					     "HDMI",
					     "hdmi:1024x768:off:off",
					     "dp:off:off",
					     "dp:800x600:1024x768" };
	struct vgpu_port_config port = { .kind = VGPU_PORT_DP };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(option_port(texts[i], &port), -EINVAL);
	assert_int_equal(option_port("hdmi:5000x768", &port), -ERANGE);
	assert_int_equal(port.kind, VGPU_PORT_DP);
}

static void names(void **state)
{
	char name[OPTION_NAME_MAX + 1];

	assert_int_equal(option_name_check("vgpu-0.a_b"), 0);
	assert_int_equal(option_name_check(""), -EINVAL);
	assert_int_equal(option_name_check(".."), -EINVAL);
	assert_int_equal(option_name_check("-x"), -EINVAL);
	assert_int_equal(option_name_check("a/b"), -EINVAL);
	assert_int_equal(option_name_check("a\nb"), -EINVAL);
	assert_int_equal(option_name_check("0123456789012345678901234567890123456789012345678"),
			 -EINVAL);
	option_name_from_path("/run/user/7/vgpu0.sock", name);
	assert_string_equal(name, "vgpu0");
	option_name_from_path("plain", name);
	assert_string_equal(name, "plain");
	option_name_from_path("/tmp/my gpu.socket", name);
	assert_string_equal(name, "my_gpu");
	option_name_from_path("/tmp/.hidden", name);
	assert_string_equal(name, "vgpu");
	option_name_from_path("/tmp/", name);
	assert_string_equal(name, "vgpu");
}

static void engines(void **state)
{
	enum gpu_engine engine = GPU_RCS;

	assert_int_equal(option_engine("vecs0", &engine), 0);
	assert_int_equal(engine, GPU_VECS);
	assert_int_equal(option_engine("rcs", &engine), -EINVAL);
	assert_int_equal(engine, GPU_VECS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(numbers),	     leak_checked(numbers_refused), leak_checked(sizes),
		leak_checked(modes),	     leak_checked(modes_refused),   leak_checked(ports),
		leak_checked(ports_refused), leak_checked(names),	    leak_checked(engines),
	};

	return cmocka_run_group_tests_name("cmd options", tests, NULL, NULL);
}
