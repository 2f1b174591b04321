/* SPDX-License-Identifier: MIT */
/*
 * What the guest's config writes mean to a hypervisor in this very process.  When memory decoding
 * comes on, or a BAR moves, the BARs become trapped ranges of the guest, with windows where their
 * bytes are plain memory; accesses then arrive here on the vCPU's own thread, past the owner of the
 * device.  When decoding goes off they are taken away again, and no access is being served once
 * that has returned.  MSIs become routes of the hypervisor.
 *
 * Called on the thread that owns the device, after each config write and reset; the accesses on any
 * thread.  With a hypervisor in another process (no guest_ops.trap) nothing here does anything.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/trace.h"
#include "vfio/device.h"

#define BARS 6u

/* ---- Accesses, on the vCPU's thread ------------------------------------------------------------
 */

static uint64_t value_of(const void *buf, size_t len)
{
	uint64_t value = 0;

	memcpy(&value, buf, MIN(len, sizeof(value)));
	return value;
}

static void bar_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	const struct vfio_decode *decode = opaque;
	const struct vfio_config *config = &decode->device->config;
	uint64_t start_ns = TRACE_CLOCK(vfio_access);

	config->ops->region_read(config->opaque, decode->bar, offset, buf, len);
	TRACE(vfio_region_read, decode->bar, offset, len, value_of(buf, len));
	TRACE_SINCE(start_ns, vfio_access, decode->bar, offset, len, value_of(buf, len));
}

static void bar_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	const struct vfio_decode *decode = opaque;
	const struct vfio_config *config = &decode->device->config;
	uint64_t start_ns = TRACE_CLOCK(vfio_access);

	TRACE(vfio_region_write, decode->bar, offset, len, value_of(buf, len));
	config->ops->region_write(config->opaque, decode->bar, offset, buf, len);
	TRACE_SINCE(start_ns, vfio_access, (uint64_t)1 << 32 | (uint64_t)decode->bar, offset, len,
		    value_of(buf, len));
}

/* ---- BARs --------------------------------------------------------------------------------------
 */

static bool is_memory_bar(const struct vfio_device *device, unsigned int bar)
{
	const struct vfio_region_config *region = &device->config.regions[bar];

	return region->size && !(region->bar_flags & PCI_BASE_ADDRESS_SPACE_IO);
}

static void set_windows(struct vfio_decode *decode, bool on)
{
	const struct guest_ops *ops = decode->device->guest->ops;

	if (!ops->window)
		return;
	for (unsigned int i = 0; i < decode->window_count; i++) {
		struct vfio_window *window = &decode->windows[i];
		struct guest_window at = {
			.gpa = gpa(decode->gpa + window->offset),
			.bytes = window->size,
			.host = window->host,
			.writable = window->writable,
		};

		/* Without the window its accesses trap: slower, and as right. */
		if (on)
			window->open = !ops->window(decode->device->guest, &at, true);
		else if (window->open)
			ops->window(decode->device->guest, &at, false);
		window->open &= on;
	}
}

static void set_runs(struct vfio_decode *decode, bool on)
{
	const struct guest_ops *ops = decode->device->guest->ops;

	if (!ops->run)
		return;
	for (unsigned int i = 0; i < decode->run_count; i++) {
		struct vfio_run *run = &decode->runs[i];
		struct guest_run at = {
			.gpa = gpa(decode->gpa + run->offset),
			.bytes = run->bytes,
			.slack = run->slack,
			.opaque = run->opaque,
		};

		if (on)
			run->open = !ops->run(decode->device->guest, &at, true);
		else if (run->open)
			ops->run(decode->device->guest, &at, false);
		run->open &= on;
	}
}

/* ---- Guest memory in a BAR ---------------------------------------------------------------------
 */

/*
 * With the lock held.  One that was refused stays closed: what is in its place is somebody else's.
 * One that its memory has taken with it is gone already.
 */
static void set_alias(struct vfio_decode *decode, struct vfio_alias *alias, bool on)
{
	struct guest *guest = decode->device->guest;
	struct guest_window window = {
		.gpa = gpa(decode->gpa + alias->offset),
		.bytes = alias->size,
		.alias = true,
		.of = alias->of,
		.writable = true,
	};

	if (!on && !alias->open)
		return;
	TRACE(vfio_alias, window.gpa.v, window.bytes, window.of.v, on);
	alias->open = !guest->ops->window(guest, &window, on) && on;
}

/* The one of @list that shows the same, or NULL. */
static const struct vfio_alias *listed(const struct vfio_alias *alias,
				       const struct vfio_alias *list, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (list[i].offset == alias->offset && list[i].size == alias->size &&
		    list[i].of.v == alias->of.v)
			return &list[i];
	return NULL;
}

static bool shows_already(const struct vfio_decode *decode, const struct vfio_alias *list,
			  unsigned int count)
{
	if (count != decode->alias_count)
		return false;
	for (unsigned int i = 0; i < count; i++)
		if (!listed(&list[i], &decode->aliases[i], 1))
			return false;
	return true;
}

/*
 * With the lock held: away with what is not listed, then the new ones.  When the memory map has
 * changed, what was open may have gone and what was refused may be there: all of them anew.
 */
static void show(struct vfio_decode *decode, struct vfio_alias *list, unsigned int count)
{
	uint64_t generation = guest_generation(decode->device->guest);
	bool anew = generation != decode->generation;

	if (likely(!anew && shows_already(decode, list, count)))
		return;
	for (unsigned int i = 0; i < decode->alias_count; i++)
		if (anew || !listed(&decode->aliases[i], list, count))
			set_alias(decode, &decode->aliases[i], false);
	for (unsigned int i = 0; i < count; i++) {
		const struct vfio_alias *old =
			listed(&list[i], decode->aliases, decode->alias_count);

		if (anew || !old)
			set_alias(decode, &list[i], true);
		else
			list[i].open = old->open;
	}
	memcpy(decode->aliases, list, count * sizeof(*list));
	decode->alias_count = count;
	decode->generation = generation;
}

static bool has_aliases(const struct vfio_decode *decode)
{
	return decode->source.list && decode->device->guest->ops->window;
}

static void set_aliases(struct vfio_decode *decode, bool on)
{
	struct vfio_alias list[VFIO_MAX_ALIASES];

	if (!has_aliases(decode))
		return;
	lock_acquire(&decode->device->aliases_lock);
	decode->shows = on;
	show(decode, list, on ? decode->source.list(decode->source.opaque, list) : 0);
	lock_release(&decode->device->aliases_lock);
}

void vfio_device_update_aliases(struct vfio_device *device, unsigned int region)
{
	struct vfio_decode *decode = &device->decode[region];
	struct vfio_alias list[VFIO_MAX_ALIASES];

	if (!has_aliases(decode))
		return;
	lock_acquire(&device->aliases_lock);
	if (decode->shows)
		show(decode, list, decode->source.list(decode->source.opaque, list));
	lock_release(&device->aliases_lock);
}

int vfio_device_add_aliases(struct vfio_device *device, unsigned int region,
			    const struct vfio_alias_source *source)
{
	if (region >= BARS || !is_memory_bar(device, region))
		return -EINVAL;
	device->decode[region].source = *source;
	return 0;
}

/* ---- Decoding ----------------------------------------------------------------------------------
 */

static void decode_off(struct vfio_decode *decode, uint64_t bytes)
{
	struct guest *guest = decode->device->guest;

	if (!decode->on)
		return;
	set_runs(decode, false);
	set_windows(decode, false);
	set_aliases(decode, false);
	int err = guest->ops->untrap(guest, gpa(decode->gpa), bytes);
	assert(!err);
	decode->on = false;
	TRACE(vfio_decode, decode->bar, decode->gpa, bytes, 0);
}

static void decode_on(struct vfio_decode *decode, uint64_t at, uint64_t bytes)
{
	struct guest *guest = decode->device->guest;
	struct guest_trap trap = {
		.gpa = gpa(at),
		.bytes = bytes,
		.read = bar_read,
		.write = bar_write,
		.opaque = decode,
	};
	int err = guest->ops->trap(guest, &trap);

	if (err) {
		log_limited(LOG_INFO, "BAR %u cannot be decoded at 0x%llx: %s", decode->bar,
			    (unsigned long long)at, strerror(-err));
		return;
	}
	decode->on = true;
	decode->gpa = at;
	set_windows(decode, true);
	set_aliases(decode, true);
	set_runs(decode, true);
	TRACE(vfio_decode, decode->bar, at, bytes, 1);
}

/* Away with what has moved first: two BARs may swap places. */
static void update_bars(struct vfio_device *device, bool enabled)
{
	for (unsigned int bar = 0; bar < BARS; bar++) {
		struct vfio_decode *decode = &device->decode[bar];

		if (!enabled || decode->gpa != vfio_pci_bar_address(device, bar))
			decode_off(decode, device->config.regions[bar].size);
	}
	for (unsigned int bar = 0; enabled && bar < BARS; bar++) {
		struct vfio_decode *decode = &device->decode[bar];
		uint64_t at = vfio_pci_bar_address(device, bar);

		if (is_memory_bar(device, bar) && at && !decode->on)
			decode_on(decode, at, device->config.regions[bar].size);
	}
}

int vfio_device_add_window(struct vfio_device *device, unsigned int region,
			   const struct vfio_window *window)
{
	struct vfio_decode *decode;

	if (region >= BARS || !is_memory_bar(device, region))
		return -EINVAL;
	decode = &device->decode[region];
	if (decode->on || decode->window_count == VFIO_MAX_WINDOWS)
		return -ENOSPC;
	if (PAGE_OFFSET(window->offset | window->size | (uintptr_t)window->host) ||
	    !range_fits(window->offset, window->size, device->config.regions[region].size))
		return -EINVAL;
	decode->windows[decode->window_count] = *window;
	decode->windows[decode->window_count++].open = false;
	return 0;
}

int vfio_device_add_run(struct vfio_device *device, unsigned int region, const struct vfio_run *run)
{
	struct vfio_decode *decode;

	if (region >= BARS || !is_memory_bar(device, region))
		return -EINVAL;
	decode = &device->decode[region];
	if (decode->on || decode->run_count == VFIO_MAX_RUNS)
		return -ENOSPC;
	if (!range_fits(run->offset, run->bytes, device->config.regions[region].size))
		return -EINVAL;
	decode->runs[decode->run_count] = *run;
	decode->runs[decode->run_count++].open = false;
	return 0;
}

/* ---- MSI ---------------------------------------------------------------------------------------
 */

/* With the lock of the interrupts held. */
static void route_vector(struct vfio_device *device, struct irq_vector *v,
			 const struct guest_msi *msi)
{
	struct guest *guest = device->guest;
	int err = -ENOTSUP;

	if (!v->in_hypervisor)
		return;
	if (guest->ops->irq_route)
		err = guest->ops->irq_route(guest, v->trigger_fd, msi);
	v->by_hand = msi && err;
	if (msi)
		v->msi = *msi;
}

static void update_msi(struct vfio_device *device)
{
	const struct pci_space *pci = &device->pci;
	bool enabled = atomic_load(&pci->msi_enabled);
	uint32_t count = MIN(device->irqs.counts[VFIO_PCI_MSI_IRQ_INDEX], 32u);
	struct guest_msi msi = { 0 };

	if (!pci->msi)
		return;
	if (enabled)
		pci_msi_message(pci, &msi.address, &msi.data);
	lock_acquire(&device->irqs.lock);
	for (uint32_t i = 0; i < count; i++) {
		struct guest_msi vector = { msi.address, msi.data + i };

		route_vector(device, &device->irqs.vectors[VFIO_PCI_MSI_IRQ_INDEX][i],
			     enabled ? &vector : NULL);
	}
	lock_release(&device->irqs.lock);
}

int vfio_device_interrupt_hypervisor(struct vfio_device *device)
{
	const struct guest_ops *ops = device->guest->ops;
	uint32_t count = device->irqs.counts[VFIO_PCI_MSI_IRQ_INDEX];

	if (!ops->irq_signal)
		return -ENOTSUP;
	for (uint32_t i = 0; i < count; i++) {
		struct vfio_irq_set set = {
			.argsz = sizeof(set) + sizeof(int),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSI_IRQ_INDEX,
			.start = i,
			.count = 1,
		};
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return -errno;
		int err = vfio_device_set_irqs(device, &set, NULL, 0, &fd, 1);
		if (err) {
			close(fd);
			return err;
		}
	}
	lock_acquire(&device->irqs.lock);
	for (uint32_t i = 0; i < count; i++)
		device->irqs.vectors[VFIO_PCI_MSI_IRQ_INDEX][i].in_hypervisor = true;
	lock_release(&device->irqs.lock);
	update_msi(device);
	return 0;
}

void vfio_decode_unroute(struct vfio_device *device, struct irq_vector *v)
{
	route_vector(device, v, NULL);
	v->in_hypervisor = false;
}

/* ---- From config space -------------------------------------------------------------------------
 */

void vfio_decode_init(struct vfio_device *device)
{
	lock_init(&device->aliases_lock, LOCK_ALIASES);
	for (unsigned int bar = 0; bar < BARS; bar++) {
		device->decode[bar].device = device;
		device->decode[bar].bar = bar;
	}
}

void vfio_decode_update(struct vfio_device *device)
{
	if (!device->guest->ops->trap)
		return;
	update_bars(device, vfio_pci_memory_enabled(device));
	update_msi(device);
}

void vfio_decode_fini(struct vfio_device *device)
{
	struct vfio_irqs *irqs = &device->irqs;

	if (!device->guest->ops->trap)
		return;
	update_bars(device, false);
	lock_acquire(&irqs->lock);
	for (uint32_t i = 0; i < irqs->counts[VFIO_PCI_MSI_IRQ_INDEX]; i++)
		vfio_decode_unroute(device, &irqs->vectors[VFIO_PCI_MSI_IRQ_INDEX][i]);
	lock_release(&irqs->lock);
}
