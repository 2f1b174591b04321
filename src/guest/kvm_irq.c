/* SPDX-License-Identifier: MIT */
/*
 * Doorbells and interrupts by KVM: a store that ends as an eventfd (KVM_IOEVENTFD), an eventfd that
 * ends as an interrupt message (KVM_IRQFD on an interrupt number the VMM lent and routes for us), a
 * message sent by hand (KVM_SIGNAL_MSI).  irq_signal on any thread, the rest on the thread that
 * changes the device.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "guest/kvm.h"

int guest_kvm_doorbell(struct guest *guest, const struct guest_doorbell *doorbell, bool on)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	struct kvm_ioeventfd ioeventfd = {
		.addr = doorbell->gpa.v,
		.len = doorbell->bytes,
		.fd = doorbell->eventfd,
		.datamatch = doorbell->match ? doorbell->value : 0,
		.flags = (doorbell->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
			 (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(kvm->config.vm_fd, KVM_IOEVENTFD, &ioeventfd) ? -errno : 0;
}

static int set_irqfd(struct guest_kvm *kvm, int eventfd, uint32_t gsi, uint32_t flags)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd, .gsi = gsi, .flags = flags };

	return ioctl(kvm->config.vm_fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}

/* With the lock held: the number @eventfd has, or the first free one (-1: @eventfd -1). */
static struct kvm_gsi *find_gsi(struct guest_kvm *kvm, int eventfd)
{
	for (uint32_t i = 0; i < kvm->config.gsi_count; i++)
		if (kvm->gsis[i].eventfd == eventfd)
			return &kvm->gsis[i];
	return NULL;
}

static uint32_t number_of(struct guest_kvm *kvm, const struct kvm_gsi *gsi)
{
	return kvm->config.first_gsi + (uint32_t)(gsi - kvm->gsis);
}

static void disconnect(struct guest_kvm *kvm, struct kvm_gsi *gsi)
{
	uint32_t number = number_of(kvm, gsi);

	set_irqfd(kvm, gsi->eventfd, number, KVM_IRQFD_FLAG_DEASSIGN);
	kvm->config.route(kvm->config.opaque, number, NULL);
	gsi->eventfd = -1;
}

/* The route first: an irqfd without one would drop what is pending in the eventfd. */
static int connect(struct guest_kvm *kvm, struct kvm_gsi *gsi, int eventfd,
		   const struct guest_msi *msi)
{
	uint32_t number = number_of(kvm, gsi);
	int err = kvm->config.route(kvm->config.opaque, number, msi);

	if (err)
		return err;
	err = set_irqfd(kvm, eventfd, number, 0);
	if (err) {
		kvm->config.route(kvm->config.opaque, number, NULL);
		return err;
	}
	gsi->eventfd = eventfd;
	gsi->msi = *msi;
	return 0;
}

static bool same_msi(const struct guest_msi *a, const struct guest_msi *b)
{
	return a->address == b->address && a->data == b->data;
}

/* With the lock held. */
static int route(struct guest_kvm *kvm, int eventfd, const struct guest_msi *msi)
{
	struct kvm_gsi *gsi = find_gsi(kvm, eventfd);

	if (!msi) {
		if (gsi)
			disconnect(kvm, gsi);
		return gsi ? 0 : -ENOENT;
	}
	if (gsi) {
		int err = same_msi(&gsi->msi, msi)
				  ? 0
				  : kvm->config.route(kvm->config.opaque, number_of(kvm, gsi), msi);

		if (!err)
			gsi->msi = *msi;
		return err;
	}
	gsi = find_gsi(kvm, -1);
	return gsi ? connect(kvm, gsi, eventfd, msi) : -ENOSPC;
}

int guest_kvm_irq_route(struct guest *guest, int eventfd, const struct guest_msi *msi)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);

	if (!kvm->config.route || eventfd < 0)
		return -ENOTSUP;
	lock_acquire(&kvm->lock);
	int err = route(kvm, eventfd, msi);
	lock_release(&kvm->lock);
	return err;
}

int guest_kvm_irq_signal(struct guest *guest, const struct guest_msi *msi)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	struct kvm_msi message = {
		.address_lo = (uint32_t)msi->address,
		.address_hi = (uint32_t)(msi->address >> 32),
		.data = msi->data,
	};

	if (ioctl(kvm->config.vm_fd, KVM_SIGNAL_MSI, &message) >= 0)
		return 0;
	int err = -errno;
	log_limited(LOG_WARN, "KVM takes no interrupt message for address 0x%llx: %m",
		    (unsigned long long)msi->address);
	return err;
}

void guest_kvm_irq_init(struct guest_kvm *kvm)
{
	for (uint32_t i = 0; i < KVM_GUEST_MAX_GSIS; i++)
		kvm->gsis[i].eventfd = -1;
}

void guest_kvm_irq_fini(struct guest_kvm *kvm)
{
	for (uint32_t i = 0; i < kvm->config.gsi_count; i++)
		if (kvm->gsis[i].eventfd >= 0)
			disconnect(kvm, &kvm->gsis[i]);
}
