/* SPDX-License-Identifier: MIT */
/*
 * The implementations of guest_ops, each in the same small machine: a few pages of memory that the
 * test sees directly, of which pieces can be put into the guest's address space.
 */
#ifndef TESTS_GUEST_MEM_KINDS_H
#define TESTS_GUEST_MEM_KINDS_H

#include <sys/types.h>

#include "tests/support/leaks.h"
#include "tests/vgpu/test_guest.h"

#define TRUTH_PAGES 8u
#define MAX_PIECES  16u

struct piece {
	uint64_t gpa, bytes, offset;
};

struct machine {
	const struct kind *kind;
	struct leaks before;
	struct guest *guest;
	uint8_t *truth; /* TRUTH_PAGES pages: what is behind the guest's addresses */
	int fd;		/* of the truth, where it is a file */
	/* Messages: what the VMM knows. */
	struct piece pieces[MAX_PIECES];
	unsigned int piece_count;
	bool lost;
	/* This process: a VM of KVM, -1: none. */
	int vm;
	/* Another process. */
	pid_t child;
	int pidfd, orders;
	struct test_guest test_guest;
};

struct kind {
	const char *name;
	bool maps;  /* guest_map() gives addresses */
	bool fixed; /* no pieces: all of the truth from address 0 on, always */
	/* NULL, or why this machine has no such thing. */
	const char *(*missing)(void);
	void (*open)(struct machine *m);
	void (*close)(struct machine *m);
	/* Bytes of the truth from @offset on; -errno. */
	int (*add)(struct machine *m, const struct piece *piece, unsigned int access);
	int (*remove)(struct machine *m, uint64_t gpa, uint64_t bytes);
	/* The VMM loses the truth from its third page on; NULL: it cannot. */
	void (*lose)(struct machine *m);
	int lost; /* what reading it then gives: 0 is zeros */
};

extern const struct kind kinds[];
extern const size_t kind_count;

/* With threads that are counted, descriptors too. */
void machine_open(struct machine *m, const struct kind *kind);
void machine_close(struct machine *m);

/* A process that shares @bytes at @memory and waits to be told what to unmap. */
pid_t child_start(int *pidfd, int *orders);
/* Ends it and waits; its pidfd stays. */
void child_end(pid_t child, int orders);

#endif
