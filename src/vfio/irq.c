/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: the eventfds the client gave, masks, what is pending, and the level of INTx.
 *
 * Firing happens on any thread (a GPU lane, the display's timer); the client's SET_IRQS on the
 * thread that owns the device.  The lock covers the write to the eventfd, so that the descriptor
 * is not closed under it; it is safe to hold because the write cannot block: the eventfd is made
 * O_NONBLOCK when it arrives.  The flag belongs to the open file and so to the client as well,
 * which must not count on a read() that waits; to ask with poll() first would leave the client a
 * moment in which to fill the eventfd, and with it the thread that owns the device.
 *
 * INTx is level-triggered over an edge: firing masks it, and unmasking fires again while the line
 * is asserted or an event came meanwhile.  That is what VFIO_IRQ_INFO_AUTOMASKED promises.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "vfio/device.h"

#define ACTIONS VFIO_IRQ_SET_ACTION_TYPE_MASK
#define DATA	VFIO_IRQ_SET_DATA_TYPE_MASK

/* An eventfd by which the client masks or unmasks.  Owner: the thread that owns the device. */
struct irq_switch {
	struct loop_source source;
	struct vfio_device *device;
	unsigned int index, vector;
	bool mask;
	bool watched;
};

static struct irq_vector *vector_at(struct vfio_irqs *irqs, unsigned int index, unsigned int vector)
{
	return &irqs->vectors[index][vector];
}

/* ---- Firing ----------------------------------------------------------------------------- */

static void signal_eventfd(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	uint64_t one = 1;

	/*
	 * Full: the client has not looked at 2^64 - 2 events, one more says nothing new.  It is
	 * asked for all the same, for the client that has taken O_NONBLOCK off again.
	 */
	if (poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT))
		(void)!write(fd, &one, sizeof(one));
}

static bool held_back(struct vfio_device *device, unsigned int index, const struct irq_vector *v)
{
	return v->masked ||
	       (index == VFIO_PCI_INTX_IRQ_INDEX &&
		atomic_load_explicit(&device->pci.intx_disabled, memory_order_relaxed));
}

/* With the lock held. */
static void fire(struct vfio_device *device, unsigned int index, unsigned int vector)
{
	struct irq_vector *v = vector_at(&device->irqs, index, vector);

	if (held_back(device, index, v)) {
		v->pending = true;
		return;
	}
	v->pending = false;
	if (v->trigger_fd < 0)
		return;
	TRACE(vfio_irq, index, vector, 0, 0);
	if (v->by_hand)
		device->guest->ops->irq_signal(device->guest, &v->msi);
	else
		signal_eventfd(v->trigger_fd);
	atomic_fetch_add_explicit(&device->interrupts, 1, memory_order_relaxed);
	v->masked = index == VFIO_PCI_INTX_IRQ_INDEX;
}

void vfio_irq_trigger(struct vfio_device *device, unsigned int index, unsigned int vector)
{
	struct vfio_irqs *irqs = &device->irqs;

	if (index >= VFIO_PCI_NUM_IRQS || vector >= irqs->counts[index])
		return;
	lock_acquire(&irqs->lock);
	fire(device, index, vector);
	lock_release(&irqs->lock);
}

void vfio_device_interrupt(struct vfio_device *device)
{
	bool msi = atomic_load_explicit(&device->pci.msi_enabled, memory_order_acquire);

	vfio_irq_trigger(device, msi ? VFIO_PCI_MSI_IRQ_INDEX : VFIO_PCI_INTX_IRQ_INDEX, 0);
}

void vfio_irq_set_level(struct vfio_device *device, bool asserted)
{
	struct vfio_irqs *irqs = &device->irqs;

	lock_acquire(&irqs->lock);
	bool rises = asserted && !irqs->intx_asserted;
	irqs->intx_asserted = asserted;
	if (irqs->counts[VFIO_PCI_INTX_IRQ_INDEX]) {
		if (rises)
			fire(device, VFIO_PCI_INTX_IRQ_INDEX, 0);
		else if (!asserted)
			vector_at(irqs, VFIO_PCI_INTX_IRQ_INDEX, 0)->pending = false;
	}
	lock_release(&irqs->lock);
}

bool vfio_irq_is_pending(struct vfio_device *device, unsigned int index, unsigned int vector)
{
	lock_acquire(&device->irqs.lock);
	bool pending = vector_at(&device->irqs, index, vector)->pending;
	lock_release(&device->irqs.lock);
	return pending;
}

bool vfio_intx_pending(struct vfio_device *device)
{
	struct vfio_irqs *irqs = &device->irqs;

	if (!irqs->counts[VFIO_PCI_INTX_IRQ_INDEX])
		return false;
	lock_acquire(&irqs->lock);
	bool pending = irqs->intx_asserted || vector_at(irqs, VFIO_PCI_INTX_IRQ_INDEX, 0)->pending;
	lock_release(&irqs->lock);
	return pending;
}

void vfio_irq_mask(struct vfio_device *device, unsigned int index, unsigned int vector, bool mask)
{
	struct vfio_irqs *irqs = &device->irqs;
	struct irq_vector *v = vector_at(irqs, index, vector);

	lock_acquire(&irqs->lock);
	v->masked = mask;
	if (!mask && (v->pending || (index == VFIO_PCI_INTX_IRQ_INDEX && irqs->intx_asserted)))
		fire(device, index, vector);
	lock_release(&irqs->lock);
}

/* ---- Eventfds that mask and unmask ------------------------------------------------------ */

/*
 * Edge-triggered, so that the counter need not be read: a read could block when the client reads
 * its own eventfd in between.
 */
static void switch_ready(struct loop_source *source, uint32_t events)
{
	struct irq_switch *sw = container_of(source, struct irq_switch, source);

	(void)events;
	vfio_irq_mask(sw->device, sw->index, sw->vector, sw->mask);
}

static void switch_close(struct irq_switch **slot)
{
	struct irq_switch *sw = *slot;

	if (!sw)
		return;
	if (sw->watched)
		loop_remove(sw->device->irqs.loop, &sw->source);
	close(sw->source.fd);
	free(sw);
	*slot = NULL;
}

static int switch_open(struct vfio_device *device, unsigned int index, unsigned int vector,
		       bool mask, int fd)
{
	struct irq_vector *v = vector_at(&device->irqs, index, vector);
	struct irq_switch **slot = mask ? &v->mask : &v->unmask;
	struct irq_switch *sw = calloc(1, sizeof(*sw));

	if (!sw)
		return -ENOMEM;
	*sw = (struct irq_switch){
		.source = { .fd = fd, .events = EPOLLIN | EPOLLET, .ready = switch_ready },
		.device = device,
		.index = index,
		.vector = vector,
		.mask = mask,
	};
	switch_close(slot);
	if (device->irqs.loop) {
		int err = loop_add(device->irqs.loop, &sw->source);

		if (err) {
			free(sw);
			return err;
		}
		sw->watched = true;
	}
	*slot = sw;
	return 0;
}

/* ---- Life ------------------------------------------------------------------------------- */

static void set_trigger(struct vfio_device *device, unsigned int index, unsigned int vector, int fd)
{
	struct vfio_irqs *irqs = &device->irqs;
	struct irq_vector *v = vector_at(irqs, index, vector);

	lock_acquire(&irqs->lock);
	/* The one that the hypervisor listened to goes. */
	vfio_decode_unroute(device, v);
	int old = v->trigger_fd;
	v->trigger_fd = fd;
	/* A line that is up already is heard by whoever starts to listen. */
	if (fd >= 0 && index == VFIO_PCI_INTX_IRQ_INDEX && irqs->intx_asserted)
		fire(device, index, vector);
	lock_release(&irqs->lock);
	if (old >= 0)
		close(old);
}

static void disable_index(struct vfio_device *device, unsigned int index)
{
	struct vfio_irqs *irqs = &device->irqs;

	for (uint32_t i = 0; i < irqs->counts[index]; i++) {
		struct irq_vector *v = vector_at(irqs, index, i);

		set_trigger(device, index, i, -1);
		switch_close(&v->mask);
		switch_close(&v->unmask);
		lock_acquire(&irqs->lock);
		v->masked = v->pending = false;
		lock_release(&irqs->lock);
	}
}

void vfio_irqs_disable(struct vfio_device *device)
{
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		disable_index(device, i);
}

void vfio_irqs_reset(struct vfio_device *device)
{
	struct vfio_irqs *irqs = &device->irqs;

	lock_acquire(&irqs->lock);
	irqs->intx_asserted = false;
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		for (uint32_t j = 0; j < irqs->counts[i]; j++)
			irqs->vectors[i][j].masked = irqs->vectors[i][j].pending = false;
	lock_release(&irqs->lock);
}

void vfio_irqs_fini(struct vfio_device *device)
{
	vfio_irqs_disable(device);
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		free(device->irqs.vectors[i]);
	lock_fini(&device->irqs.lock);
}

int vfio_irqs_init(struct vfio_device *device)
{
	struct vfio_irqs *irqs = &device->irqs;

	lock_init(&irqs->lock, LOCK_IRQ);
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		uint32_t count = device->config.irq_counts[i];

		if (!count)
			continue;
		irqs->vectors[i] = calloc(count, sizeof(struct irq_vector));
		if (!irqs->vectors[i]) {
			vfio_irqs_fini(device);
			return -ENOMEM;
		}
		irqs->counts[i] = count;
		for (uint32_t j = 0; j < count; j++)
			irqs->vectors[i][j].trigger_fd = -1;
	}
	return 0;
}

void vfio_device_set_loop(struct vfio_device *device, struct loop *loop)
{
	vfio_irqs_disable(device);
	device->irqs.loop = loop;
}

/* ---- SET_IRQS --------------------------------------------------------------------------- */

/*
 * Eventfds are files of no type at all; pipes, sockets, terminals and plain files have one, and a
 * write to them could block or do harm.
 */
static bool may_be_eventfd(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !(st.st_mode & S_IFMT);
}

static int make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK)))
		return -errno;
	return 0;
}

static bool is_one_bit(uint32_t bits)
{
	return bits && !(bits & (bits - 1));
}

/* ERR and REQ only ever trigger. */
static bool action_allowed(uint32_t index, uint32_t action)
{
	return action == VFIO_IRQ_SET_ACTION_TRIGGER ||
	       (index != VFIO_PCI_ERR_IRQ_INDEX && index != VFIO_PCI_REQ_IRQ_INDEX);
}

static int check_set(struct vfio_device *device, const struct vfio_irq_set *set, size_t bool_bytes,
		     const int *fds, unsigned int fd_count)
{
	uint32_t action = set->flags & ACTIONS, data = set->flags & DATA;
	uint32_t count;

	if ((set->flags & ~(ACTIONS | DATA)) || !is_one_bit(action) || !is_one_bit(data))
		return -EINVAL;
	if (set->index >= VFIO_PCI_NUM_IRQS || !action_allowed(set->index, action))
		return -EINVAL;
	count = device->irqs.counts[set->index];
	if (set->start >= count || set->count > count - set->start)
		return -EINVAL;
	if (!set->count &&
	    (set->start || action != VFIO_IRQ_SET_ACTION_TRIGGER || data != VFIO_IRQ_SET_DATA_NONE))
		return -EINVAL;
	if (data == VFIO_IRQ_SET_DATA_BOOL && bool_bytes != set->count)
		return -EINVAL;
	if (fd_count && (data != VFIO_IRQ_SET_DATA_EVENTFD || fd_count != set->count))
		return -EINVAL;
	for (unsigned int i = 0; i < fd_count; i++)
		if (!may_be_eventfd(fds[i]))
			return -EINVAL;
	return 0;
}

static int set_eventfds(struct vfio_device *device, const struct vfio_irq_set *set, int *fds,
			unsigned int fd_count)
{
	uint32_t action = set->flags & ACTIONS;
	bool mask = action == VFIO_IRQ_SET_ACTION_MASK;

	for (uint32_t i = 0; i < set->count; i++) {
		uint32_t vector = set->start + i;
		struct irq_vector *v = vector_at(&device->irqs, set->index, vector);
		int err = 0;

		if (action == VFIO_IRQ_SET_ACTION_TRIGGER && fd_count)
			err = make_nonblocking(fds[i]);
		if (err)
			return err;
		if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
			set_trigger(device, set->index, vector, fd_count ? fds[i] : -1);
		else if (fd_count)
			err = switch_open(device, set->index, vector, mask, fds[i]);
		else
			switch_close(mask ? &v->mask : &v->unmask);
		if (err)
			return err;
		if (fd_count)
			fds[i] = -1;
	}
	return 0;
}

/*
 * The client fires a vector itself, to test its own plumbing: as in the kernel, that does not
 * count as the device's interrupt, so INTx is not masked by it.
 */
static void loop_back(struct vfio_device *device, unsigned int index, unsigned int vector)
{
	struct vfio_irqs *irqs = &device->irqs;
	struct irq_vector *v = vector_at(irqs, index, vector);

	lock_acquire(&irqs->lock);
	if (held_back(device, index, v))
		v->pending = true;
	else if (v->trigger_fd >= 0)
		signal_eventfd(v->trigger_fd);
	lock_release(&irqs->lock);
}

static void act(struct vfio_device *device, uint32_t action, unsigned int index,
		unsigned int vector)
{
	if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
		loop_back(device, index, vector);
	else
		vfio_irq_mask(device, index, vector, action == VFIO_IRQ_SET_ACTION_MASK);
}

int vfio_device_set_irqs(struct vfio_device *device, const struct vfio_irq_set *set,
			 const uint8_t *bools, size_t bool_bytes, int *fds, unsigned int fd_count)
{
	int err = check_set(device, set, bool_bytes, fds, fd_count);

	if (err)
		return err;
	if (!set->count)
		disable_index(device, set->index);
	else if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return set_eventfds(device, set, fds, fd_count);
	else
		for (uint32_t i = 0; i < set->count; i++)
			if (!(set->flags & VFIO_IRQ_SET_DATA_BOOL) || bools[i])
				act(device, set->flags & ACTIONS, set->index, set->start + i);
	return 0;
}
