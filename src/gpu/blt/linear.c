/* SPDX-License-Identifier: MIT */
/*
 * Copies and fills between linear surfaces without a buffer in between: as fast as memory is.
 * Pages that follow each other in the host's memory, as those of a big guest page do, are moved in
 * one go.  Called by the blitter on the lane.
 *
 * A blit bigger than the caches stores past them ("stream"): a store that first fetches the line
 * it is about to overwrite costs a third of the memory's speed.
 */
#include <emmintrin.h>
#include <string.h>

#include "gpu/blt/op.h"

#define BOUNCE_BYTES 4096u

/* ---- Inner loops ---------------------------------------------------------------------------- */

static void stream_copy(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t head = -(uintptr_t)to & 15;

	if (n < 256) {
		memcpy(to, from, n);
		return;
	}
	memcpy(to, from, head);
	to += head;
	from += head;
	n -= head;
	for (; n >= 64; n -= 64, to += 64, from += 64) {
		__m128i a = _mm_loadu_si128((const __m128i *)from);
		__m128i b = _mm_loadu_si128((const __m128i *)(from + 16));
		__m128i c = _mm_loadu_si128((const __m128i *)(from + 32));
		__m128i d = _mm_loadu_si128((const __m128i *)(from + 48));

		_mm_stream_si128((__m128i *)to, a);
		_mm_stream_si128((__m128i *)(to + 16), b);
		_mm_stream_si128((__m128i *)(to + 32), c);
		_mm_stream_si128((__m128i *)(to + 48), d);
	}
	_mm_sfence();
	memcpy(to, from, n);
}

/* @color repeats every four bytes, its lowest byte first at @to. */
static void fill(uint8_t *to, uint32_t color, size_t n, bool stream)
{
	size_t head = -(uintptr_t)to & 15;
	uint32_t block[4];
	__m128i value;

	if (n < 32) {
		for (size_t i = 0; i < n; i++)
			to[i] = (uint8_t)(color >> 8 * (i & 3));
		return;
	}
	for (unsigned int i = 0; i < 4; i++)
		block[i] = color;
	memcpy(to, block, 16);
	to += head;
	n -= head;
	/* What the next aligned place starts with. */
	if (head & 3)
		color = color >> 8 * (head & 3) | color << (32 - 8 * (head & 3));
	value = _mm_set1_epi32((int)color);
	if (stream) {
		for (; n >= 64; n -= 64, to += 64) {
			_mm_stream_si128((__m128i *)to, value);
			_mm_stream_si128((__m128i *)(to + 16), value);
			_mm_stream_si128((__m128i *)(to + 32), value);
			_mm_stream_si128((__m128i *)(to + 48), value);
		}
		_mm_sfence();
	}
	for (; n >= 16; n -= 16, to += 16)
		_mm_store_si128((__m128i *)to, value);
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(color >> 8 * (i & 3));
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
		got = MIN(n, got + (uint32_t)PAGE_BYTES);
	}
	*len = got;
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
			  uint64_t from, uint32_t n, bool stream, struct blt_fault *fault)
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
		} else if (stream && (out + part <= in || in + part <= out)) {
			stream_copy(out, in, part);
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
		     uint32_t n, bool backwards, bool stream, struct blt_fault *fault)
{
	if (backwards)
		return copy_backwards(dst, to, src, from, n, fault);
	return copy_forwards(dst, to, src, from, n, stream, fault);
}

bool blt_linear_fill(struct blt_surface *dst, uint64_t to, uint32_t color, uint32_t n, bool stream,
		     struct blt_fault *fault)
{
	uint8_t buf[BOUNCE_BYTES];

	while (n) {
		uint64_t t = as_cut(dst->as, gma(to));
		uint32_t part;
		uint8_t *out = contiguous(dst->as, t, GPU_WRITE, n, &part);

		if (likely(out)) {
			fill(out, color, part, stream);
		} else {
			dst->slow++;
			fill(buf, color, part, false);
			fault->write = true;
			if (gpu_as_write(dst->as, gma(t), buf, part, &fault->at) < 0)
				return false;
		}
		/* The next run may begin inside a pixel. */
		if (part & 3)
			color = color >> 8 * (part & 3) | color << (32 - 8 * (part & 3));
		to += part;
		n -= part;
	}
	return true;
}
