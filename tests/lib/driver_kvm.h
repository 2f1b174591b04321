/* SPDX-License-Identifier: MIT */
/* What the driver's transport over KVM can do that others cannot. */
#ifndef TESTS_LIB_DRIVER_KVM_H
#define TESTS_LIB_DRIVER_KVM_H

#include "tests/support/kvm_rig.h"
#include "tests/vgpu/driver.h"

/*
 * A vCPU makes @count accesses to BAR0 (rig_access.at is from its start) in one stay, which ends
 * with a store to RIG_MAILBOX_AT; how many exits they took, without that one.
 */
unsigned int driver_kvm_sequence(struct driver *d, const struct rig_access *accesses, size_t count);
/* A vCPU stores to memory; how many exits it took. */
unsigned int driver_kvm_store64(struct driver *d, gpa_t at, uint64_t value);
/*
 * Has those page tables tracked that the GPU asked for, and how many are now.  No vCPU runs
 * meanwhile; ram_write64() is not a vCPU's store.
 */
uint64_t driver_kvm_track(struct driver *d);

#endif
