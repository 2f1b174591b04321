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

#endif
