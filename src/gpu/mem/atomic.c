/* SPDX-License-Identifier: MIT */
/*
 * Accesses of one dword or qword, and read-modify-write: what the command streamer needs towards
 * memory that guest CPUs and other engines look at in the same moment.  On the lane that runs the
 * workload.
 *
 * Everything is little-endian, the guest and this host alike.
 */
#include "gpu/mem/mem.h"

bool as_read32(struct gpu_as *as, gma_t gma_, uint32_t *value)
{
	uint8_t *host = as_host(as, as_cut(as, gma_), GPU_READ);

	if (likely(host && !((uintptr_t)host & 3))) {
		*value = __atomic_load_n((uint32_t *)host, __ATOMIC_ACQUIRE);
		return true;
	}
	return gpu_as_read(as, gma_, value, sizeof(*value), NULL) == 0;
}

bool as_read64(struct gpu_as *as, gma_t gma_, uint64_t *value)
{
	uint8_t *host = as_host(as, as_cut(as, gma_), GPU_READ);

	if (likely(host && !((uintptr_t)host & 7))) {
		*value = __atomic_load_n((uint64_t *)host, __ATOMIC_ACQUIRE);
		return true;
	}
	return gpu_as_read(as, gma_, value, sizeof(*value), NULL) == 0;
}

bool as_write32(struct gpu_as *as, gma_t gma_, uint32_t value)
{
	uint8_t *host = as_host(as, as_cut(as, gma_), GPU_WRITE);

	if (likely(host && !((uintptr_t)host & 3))) {
		__atomic_store_n((uint32_t *)host, value, __ATOMIC_RELEASE);
		return true;
	}
	return gpu_as_write(as, gma_, &value, sizeof(value), NULL) == 0;
}

bool as_write64(struct gpu_as *as, gma_t gma_, uint64_t value)
{
	uint8_t *host = as_host(as, as_cut(as, gma_), GPU_WRITE);

	if (likely(host && !((uintptr_t)host & 7))) {
		__atomic_store_n((uint64_t *)host, value, __ATOMIC_RELEASE);
		return true;
	}
	if (!host || (gma_.v & 7) == 0)
		return gpu_as_write(as, gma_, &value, sizeof(value), NULL) == 0;
	return as_write32(as, gma_, (uint32_t)value) &&
	       as_write32(as, gma(gma_.v + 4), (uint32_t)(value >> 32));
}

/* What memory holds after @op on @old, for operands of @bits (32 or 64). */
static uint64_t combine(enum as_atomic op, unsigned int bits, uint64_t old,
			const uint64_t operand[2])
{
	int64_t signed_old = bits == 32 ? (int32_t)old : (int64_t)old;
	int64_t signed_new = bits == 32 ? (int32_t)operand[0] : (int64_t)operand[0];

	switch (op) {
	case AS_ATOMIC_AND:
		return old & operand[0];
	case AS_ATOMIC_OR:
		return old | operand[0];
	case AS_ATOMIC_XOR:
		return old ^ operand[0];
	case AS_ATOMIC_MOVE:
		return operand[0];
	case AS_ATOMIC_INC:
		return old + 1;
	case AS_ATOMIC_DEC:
	case AS_ATOMIC_PREDEC:
		return old - 1;
	case AS_ATOMIC_ADD:
		return old + operand[0];
	case AS_ATOMIC_SUB:
		return old - operand[0];
	case AS_ATOMIC_RSUB:
		return operand[0] - old;
	case AS_ATOMIC_IMAX:
		return signed_old > signed_new ? old : operand[0];
	case AS_ATOMIC_IMIN:
		return signed_old < signed_new ? old : operand[0];
	case AS_ATOMIC_UMAX:
		return MAX(old, operand[0]);
	case AS_ATOMIC_UMIN:
		return MIN(old, operand[0]);
	case AS_ATOMIC_CMPWR:
		return old == operand[0] ? operand[1] : old;
	}
	return old;
}

bool as_atomic32(struct gpu_as *as, gma_t gma_, enum as_atomic op, const uint64_t operand[2],
		 uint64_t *returned)
{
	const uint64_t cut[2] = { (uint32_t)operand[0], (uint32_t)operand[1] };
	uint32_t *host = (uint32_t *)as_host(as, as_cut(as, gma_), GPU_WRITE);
	uint32_t old, new;

	if (!host) {
		if (gpu_as_read(as, gma_, &old, sizeof(old), NULL) < 0)
			return false;
		new = (uint32_t)combine(op, 32, old, cut);
		*returned = op == AS_ATOMIC_PREDEC ? new : old;
		return gpu_as_write(as, gma_, &new, sizeof(new), NULL) == 0;
	}
	old = __atomic_load_n(host, __ATOMIC_RELAXED);
	do {
		new = (uint32_t)combine(op, 32, old, cut);
	} while (!__atomic_compare_exchange_n(host, &old, new, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	*returned = op == AS_ATOMIC_PREDEC ? new : old;
	return true;
}

bool as_atomic64(struct gpu_as *as, gma_t gma_, enum as_atomic op, const uint64_t operand[2],
		 uint64_t *returned)
{
	uint64_t *host = (uint64_t *)as_host(as, as_cut(as, gma_), GPU_WRITE);
	uint64_t old, new;

	if (!host) {
		if (gpu_as_read(as, gma_, &old, sizeof(old), NULL) < 0)
			return false;
		new = combine(op, 64, old, operand);
		*returned = op == AS_ATOMIC_PREDEC ? new : old;
		return gpu_as_write(as, gma_, &new, sizeof(new), NULL) == 0;
	}
	old = __atomic_load_n(host, __ATOMIC_RELAXED);
	do {
		new = combine(op, 64, old, operand);
	} while (!__atomic_compare_exchange_n(host, &old, new, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	*returned = op == AS_ATOMIC_PREDEC ? new : old;
	return true;
}

#ifdef __x86_64__
/* The compilers' own would call libatomic, or refuse, without a flag for the whole build. */
static unsigned __int128 compare_exchange128(unsigned __int128 *at, unsigned __int128 compare,
					     unsigned __int128 value)
{
	uint64_t low = (uint64_t)compare, high = (uint64_t)(compare >> 64);

	__asm__ volatile("lock cmpxchg16b %0"
			 : "+m"(*at), "+a"(low), "+d"(high)
			 : "b"((uint64_t)value), "c"((uint64_t)(value >> 64))
			 : "cc", "memory");
	return low | (unsigned __int128)high << 64;
}
#else
static unsigned __int128 compare_exchange128(unsigned __int128 *at, unsigned __int128 compare,
					     unsigned __int128 value)
{
	unsigned __int128 old = *at;

	if (old == compare)
		*at = value;
	return old;
}
#endif

bool as_compare_write128(struct gpu_as *as, gma_t gma_, unsigned __int128 compare,
			 unsigned __int128 value, unsigned __int128 *old)
{
	uint8_t *host = as_host(as, as_cut(as, gma_), GPU_WRITE);

	if (host) {
		*old = compare_exchange128((unsigned __int128 *)host, compare, value);
		return true;
	}
	if (gpu_as_read(as, gma_, old, sizeof(*old), NULL) < 0)
		return false;
	return *old != compare || gpu_as_write(as, gma_, &value, sizeof(value), NULL) == 0;
}
