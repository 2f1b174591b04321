/* SPDX-License-Identifier: MIT */
/*
 * Landlock: from here on no file, but what the sandbox names; no TCP port bound or connected to;
 * no abstract socket and no signal outside.  By raw system calls, as the C library has none, and
 * with numbers of our own, as the headers may be older than the kernel.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/sandbox.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

/* linux/landlock.h, up to ABI 6. */
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH      1
#define FS_READ_DIR	       BIT(3)
#define FS_REMOVE_FILE	       BIT(5)
#define NET_BIND_TCP	       BIT(0)
#define NET_CONNECT_TCP	       BIT(1)
#define SCOPE_ABSTRACT_SOCKET  BIT(0)
#define SCOPE_SIGNAL	       BIT(1)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* Rights of files that the kernel's ABI knows: all are denied. */
static uint64_t fs_rights(int abi)
{
	static const unsigned int count[] = { 0, 13, 14, 15, 15, 16 };

	return (1ull << count[MIN(abi, 5)]) - 1;
}

static int create(int abi)
{
	struct ruleset set = { .fs = fs_rights(abi) };
	size_t size = sizeof(set.fs);

	if (abi >= 4) {
		set.net = NET_BIND_TCP | NET_CONNECT_TCP;
		size += sizeof(set.net);
	}
	if (abi >= 6) {
		set.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
		size += sizeof(set.scoped);
	}
	return (int)syscall(SYS_landlock_create_ruleset, &set, size, 0);
}

static int allow(int ruleset, int folder, uint64_t rights)
{
	struct path_rule rule = { .allowed = rights, .parent_fd = folder };

	if (folder < 0)
		return 0;
	return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

static bool restrict_self(const struct sandbox *sandbox, int ruleset)
{
	bool good = !allow(ruleset, sandbox->look_in, FS_READ_DIR);

	for (unsigned int i = 0; good && i < SANDBOX_FOLDERS; i++)
		good = !allow(ruleset, sandbox->remove_in[i], FS_REMOVE_FILE);
	return good && !syscall(SYS_landlock_restrict_self, ruleset, 0);
}

void sandbox_leave_files(struct sandbox *sandbox)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	int ruleset = abi > 0 ? create(abi) : -1;

	if (ruleset < 0) {
		log_debug("landlock: %m");
		return;
	}
	sandbox->on[SANDBOX_LANDLOCK] = restrict_self(sandbox, ruleset);
	if (sandbox->on[SANDBOX_LANDLOCK])
		sandbox->landlock_abi = abi;
	else
		log_debug("landlock: %m");
	close(ruleset);
}
