/* SPDX-License-Identifier: MIT */
/*
 * Copies and fills between linear surfaces without a buffer in between: as fast as memory is.
 * Pages that follow each other in the host's memory, as those of a big guest page do, are moved in
 * one go.  Called by the blitter on the lane.
 *
 * Stores past the caches were tried and left out: with a big last-level cache they made fills of
 * 16 MiB slower by half, and what a guest draws is read again soon.  The string instructions, which
 * memset() and memmove() use too, fetch no line that they overwrite as a whole.
 */
#include <emmintrin.h>
#include <string.h>

#include "gpu/blt/op.h"

#define BOUNCE_BYTES 4096u

/* ---- Inner loops ---------------------------------------------------------------------------- */

/* From here on the string instruction is faster than a loop. */
#define STRING_BYTES 2048u

static uint32_t rotate(uint32_t color, size_t bytes)
{
	unsigned int bits = 8 * (bytes & 3);

	return bits ? color >> bits | color << (32 - bits) : color;
}

/* @to is aligned to 16; whole blocks of 16 bytes. */
static void fill_blocks(uint8_t *to, uint32_t color, size_t n)
{
	uint64_t value = color | (uint64_t)color << 32;
	size_t words = n / 8;

	if (n >= STRING_BYTES) {
		__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(value) : "memory");
		return;
	}
	for (; n; n -= 16, to += 16)
		_mm_store_si128((__m128i *)to, _mm_set1_epi64x((long long)value));
}

static void fill_few(uint8_t *to, uint32_t color, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(color >> 8 * (i & 3));
}

void blt_fill_bytes(uint8_t *to, uint32_t color, size_t n)
{
	size_t head = MIN(-(uintptr_t)to & 15, n);

	fill_few(to, color, head);
	color = rotate(color, head);
	fill_blocks(to + head, color, (n - head) & ~(size_t)15);
	fill_few(to + n - (n - head) % 16, color, (n - head) % 16);
}

/* ---- Runs of the host's memory -------------------------------------------------------------- */

/*
 * Host address of @at, and in *@len how many of @n bytes are contiguous there; NULL: no mapping,
 * *@len ends with the page.
 */
static uint8_t *contiguous(struct gpu_as *as, uint64_t at, unsigned int access, uint32_t n,
			   uint32_t *len)
{
	uint8_t *host = as_host(as, at, access);
	uint32_t got = MIN(n, (uint32_t)(PAGE_BYTES - PAGE_OFFSET(at)));

	while (host && got < n) {
		uint64_t next = as_cut(as, gma(at + got));

		/* A fault there is met when its turn comes. */
		if (as_host(as, next, access) != host + got)
			break;
		got += as_run(as, next, (n - got - 1) / (uint32_t)PAGE_BYTES + 1) *
		       (uint32_t)PAGE_BYTES;
	}
	*len = MIN(n, got);
	return host;
}

/* Through a buffer, where a page has no mapping; @n stays within a page on both sides. */
static bool bounce(struct blt_surface *dst, uint64_t to, struct blt_surface *src, uint64_t from,
		   uint32_t n, struct blt_fault *fault)
{
	uint8_t buf[BOUNCE_BYTES];

	src->slow++;
	dst->slow++;
	fault->write = false;
	if (gpu_as_read(src->as, gma(from), buf, n, &fault->at) < 0)
		return false;
	fault->write = true;
	return gpu_as_write(dst->as, gma(to), buf, n, &fault->at) == 0;
}

static bool copy_forwards(struct blt_surface *dst, uint64_t to, struct blt_surface *src,
			  uint64_t from, uint32_t n, struct blt_fault *fault)
{
	while (n) {
		uint64_t t = as_cut(dst->as, gma(to)), f = as_cut(src->as, gma(from));
		uint32_t read_len, write_len;
		const uint8_t *in = contiguous(src->as, f, GPU_READ, n, &read_len);
		uint8_t *out = contiguous(dst->as, t, GPU_WRITE, read_len, &write_len);
		uint32_t part = MIN(read_len, write_len);

		if (unlikely(!in || !out)) {
			part = MIN(part, (uint32_t)(PAGE_BYTES - PAGE_OFFSET(f)));
			part = MIN(part, (uint32_t)(PAGE_BYTES - PAGE_OFFSET(t)));
			if (!bounce(dst, t, src, f, part, fault))
				return false;
		} else {
			memmove(out, in, part);
		}
		to += part;
		from += part;
		n -= part;
	}
	return true;
}

/* Bytes from the start of its page to the one at @at, that one included. */
static uint32_t from_page_start(uint64_t at, uint32_t n)
{
	return MIN(n, (uint32_t)PAGE_OFFSET(at) + 1);
}

static bool copy_backwards(struct blt_surface *dst, uint64_t to, struct blt_surface *src,
			   uint64_t from, uint32_t n, struct blt_fault *fault)
{
	while (n) {
		uint64_t t = as_cut(dst->as, gma(to + n - 1));
		uint64_t f = as_cut(src->as, gma(from + n - 1));
		uint32_t part = MIN(from_page_start(t, n), from_page_start(f, n));
		const uint8_t *in = as_host(src->as, f, GPU_READ);
		uint8_t *out = as_host(dst->as, t, GPU_WRITE);

		if (likely(in && out))
			memmove(out - (part - 1), in - (part - 1), part);
		else if (!bounce(dst, t - (part - 1), src, f - (part - 1), part, fault))
			return false;
		n -= part;
	}
	return true;
}

bool blt_linear_copy(struct blt_surface *dst, uint64_t to, struct blt_surface *src, uint64_t from,
		     uint32_t n, bool backwards, struct blt_fault *fault)
{
	if (backwards)
		return copy_backwards(dst, to, src, from, n, fault);
	return copy_forwards(dst, to, src, from, n, fault);
}

bool blt_linear_fill(struct blt_surface *dst, uint64_t to, uint32_t color, uint32_t n,
		     struct blt_fault *fault)
{
	uint8_t buf[BOUNCE_BYTES];

	while (n) {
		uint64_t t = as_cut(dst->as, gma(to));
		uint32_t part;
		uint8_t *out = contiguous(dst->as, t, GPU_WRITE, n, &part);

		if (likely(out)) {
			blt_fill_bytes(out, color, part);
		} else {
			dst->slow++;
			blt_fill_bytes(buf, color, part);
			fault->write = true;
			if (gpu_as_write(dst->as, gma(t), buf, part, &fault->at) < 0)
				return false;
		}
		color = rotate(color, part); /* the next run may begin inside a pixel */
		to += part;
		n -= part;
	}
	return true;
}
