/* SPDX-License-Identifier: MIT */
/*
 * The description of a plain device, read from JSON (docs/vfio-user.md has the format).  A
 * key nobody
 * knows is an error: a typing mistake must not give a device other than the one meant.
 *
 * Called once, at set-up.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vfio/plain_value.h"

/* ---- pci -------------------------------------------------------------------------------- */

static const char *const irq_names[] = { "intx", "msi", "msix", "err", "req", NULL };

static int put_msi(const json_t *object, struct vfio_pci_cap *cap, const struct plain_place *place)
{
	uint64_t vectors = 1;
	bool wide = true, maskable = false;
	unsigned int log = 0;
	int err = plain_get_number(object, "vectors", 32, &vectors, place);

	if (!err)
		err = plain_get_bool(object, "64bit", &wide, place);
	if (!err)
		err = plain_get_bool(object, "maskable", &maskable, place);
	if (err)
		return err;
	while (BIT(log) < vectors)
		log++;
	cap->bytes[2] = (uint8_t)(log << 1 | (wide ? PCI_MSI_FLAGS_64BIT : 0));
	cap->bytes[3] = maskable ? PCI_MSI_FLAGS_MASKBIT >> 8 : 0;
	cap->len = (uint8_t)((wide ? 14 : 10) + (maskable ? 10 : 0));
	return 0;
}

static int put_bytes(const json_t *object, struct vfio_pci_cap *cap,
		     const struct plain_place *place)
{
	size_t count, masks;
	int err = plain_get_hex(object, "bytes", cap->bytes + 2, sizeof(cap->bytes) - 2, &count,
				place);

	if (!err)
		err = plain_get_hex(object, "write_mask", cap->write_mask + 2,
				    sizeof(cap->write_mask) - 2, &masks, place);
	if (!err && masks > count)
		err = plain_bad(place, "write_mask must not be longer than bytes");
	cap->len = (uint8_t)(2 + count);
	return err;
}

static int load_cap(const json_t *object, struct plain_device *plain, unsigned int argument,
		    const struct plain_place *place)
{
	static const char *const keys[] = { "id",	"offset", "vectors",	"64bit",
					    "maskable", "bytes",  "write_mask", NULL };
	struct vfio_pci_config *pci = &plain->config.pci;
	struct vfio_pci_cap *cap = &pci->caps[pci->cap_count];
	const char *name = json_string_value(json_object_get(object, "id"));
	uint64_t id = 0, offset = 0;
	int err = plain_check_keys(object, keys, place);

	(void)argument;
	if (err)
		return err;
	if (name && !strcmp(name, "msi"))
		id = PCI_CAP_ID_MSI;
	else if (name && !strcmp(name, "pm"))
		id = PCI_CAP_ID_PM;
	else
		err = plain_get_number(object, "id", 0xff, &id, place);
	if (!err && !id)
		err = plain_bad(place, "needs an id: \"msi\", \"pm\" or a number");
	if (!err)
		err = plain_get_number(object, "offset", 0xfc, &offset, place);
	if (err)
		return err;
	cap->id = (uint8_t)id;
	cap->offset = (uint8_t)offset;
	if (id == PCI_CAP_ID_MSI && !json_object_get(object, "bytes"))
		err = put_msi(object, cap, place);
	else
		err = put_bytes(object, cap, place);
	if (id == PCI_CAP_ID_PM && !json_object_get(object, "bytes")) {
		cap->bytes[2] = 3; /* version 3: D0 and D3hot, no PME */
		cap->len = PCI_PM_SIZEOF;
	}
	pci->cap_count++;
	return err;
}

static int load_config_bytes(const json_t *object, struct plain_device *plain,
			     unsigned int argument, const struct plain_place *place)
{
	static const char *const keys[] = { "offset", "bytes", "write_mask", NULL };
	struct plain_config_bytes *extra = &plain->extra;
	uint64_t offset = 0;
	size_t room, count, masks;
	int err = plain_check_keys(object, keys, place);

	(void)argument;
	if (!err)
		err = plain_get_number(object, "offset", plain->config.pci.config_bytes - 1u,
				       &offset, place);
	if (err)
		return err;
	room = plain->config.pci.config_bytes - offset;
	err = plain_get_hex(object, "bytes", &extra->value[offset], room, &count, place);
	if (!err)
		err = plain_get_hex(object, "write_mask", &extra->write_mask[offset], room, &masks,
				    place);
	for (size_t i = offset; !err && i < offset + count; i++)
		extra->present[i / 8] |= (uint8_t)BIT(i % 8);
	return err;
}

static int load_pci(const json_t *object, struct plain_device *plain,
		    const struct plain_place *place)
{
	static const char *const keys[] = { "vendor",	     "device",	    "subsystem_vendor",
					    "subsystem",     "class",	    "revision",
					    "interrupt_pin", "config_size", "capabilities",
					    "bytes",	     NULL };
	uint64_t vendor = 0x1b36, device = 0x0010, subsystem_vendor = 0, subsystem = 0,
		 class_code = 0xff0000, revision = 0, pin = 0, bytes = 256;
	struct vfio_pci_config *pci = &plain->config.pci;
	int err = object ? plain_check_keys(object, keys, place) : 0;

	if (err || plain_get_number(object, "vendor", 0xffff, &vendor, place) ||
	    plain_get_number(object, "device", 0xffff, &device, place) ||
	    plain_get_number(object, "subsystem_vendor", 0xffff, &subsystem_vendor, place) ||
	    plain_get_number(object, "subsystem", 0xffff, &subsystem, place) ||
	    plain_get_number(object, "class", 0xffffff, &class_code, place) ||
	    plain_get_number(object, "revision", 0xff, &revision, place) ||
	    plain_get_number(object, "interrupt_pin", 4, &pin, place) ||
	    plain_get_number(object, "config_size", 4096, &bytes, place))
		return -EINVAL;
	if (bytes != 256 && bytes != 4096) {
		struct plain_place key = plain_at_key(place, "config_size");

		return plain_bad(&key, "must be 256 or 4096");
	}
	*pci = (struct vfio_pci_config){
		.vendor = (uint16_t)vendor,
		.device = (uint16_t)device,
		.subsystem_vendor = (uint16_t)subsystem_vendor,
		.subsystem = (uint16_t)subsystem,
		.class_code = (uint32_t)class_code,
		.revision = (uint8_t)revision,
		.interrupt_pin = (uint8_t)pin,
		.config_bytes = (uint16_t)bytes,
	};
	err = plain_for_each(object, "capabilities", VFIO_MAX_CAPS, plain, 0, load_cap, place);
	return err ? err : plain_for_each(object, "bytes", 64, plain, 0, load_config_bytes, place);
}

/* ---- regions ---------------------------------------------------------------------------- */

static int load_area(const json_t *object, struct plain_device *plain, unsigned int index,
		     const struct plain_place *place)
{
	static const char *const keys[] = { "offset", "size", NULL };
	struct vfio_region_config *region = &plain->config.regions[index];
	struct vfio_mmap_area area = { 0 };
	int err = plain_check_keys(object, keys, place);

	if (!err)
		err = plain_get_number(object, "offset", INT64_MAX, &area.offset, place);
	if (!err)
		err = plain_get_number(object, "size", INT64_MAX, &area.size, place);
	if (!err && region->mmap_area_count == VFIO_MAX_MMAP_AREAS)
		err = plain_bad(place, "is one area too many: %u", VFIO_MAX_MMAP_AREAS);
	if (err)
		return err;
	region->mmap = true;
	region->mmap_areas[region->mmap_area_count++] = area;
	return 0;
}

static int load_io_fd(const json_t *object, struct plain_device *plain, unsigned int index,
		      const struct plain_place *place)
{
	static const char *const keys[] = { "offset",	 "size",    "type",	     "flags",
					    "datamatch", "same_as", "shadow_offset", NULL };
	static const char *const types[] = { "ioeventfd", "ioregionfd", "shadow", NULL };
	struct vfio_region_config *region = &plain->config.regions[index];
	struct vfio_io_fd *io;
	uint64_t flags = 0, same_as = UINT64_MAX;
	unsigned int type = 0;
	int err = plain_check_keys(object, keys, place);

	if (!err && region->io_fd_count == VFIO_MAX_IO_FDS)
		err = plain_bad(place, "is one descriptor too many: %u", VFIO_MAX_IO_FDS);
	if (err)
		return err;
	io = &region->io_fds[region->io_fd_count];
	if (plain_get_number(object, "offset", INT64_MAX, &io->offset, place) ||
	    plain_get_number(object, "size", INT64_MAX, &io->size, place) ||
	    plain_get_choice(object, "type", types, &type, place) ||
	    plain_get_number(object, "flags", UINT32_MAX, &flags, place) ||
	    plain_get_number(object, "datamatch", UINT64_MAX, &io->datamatch, place) ||
	    plain_get_number(object, "shadow_offset", PAGE_BYTES - 8, &io->shadow_offset, place) ||
	    plain_get_number(object, "same_as", UINT64_MAX, &same_as, place))
		return -EINVAL;
	if (json_object_get(object, "same_as") && same_as >= region->io_fd_count)
		return plain_bad(place, "same_as must be the number of an earlier element");
	io->type = type;
	io->flags = (uint32_t)flags;
	io->fd = io->shadow_fd = -1;
	plain->regions[index].io_same_as[region->io_fd_count++] =
		json_object_get(object, "same_as") ? (int)same_as : -1;
	return 0;
}

static int get_irq(const json_t *object, struct plain_doorbell *bell,
		   const struct plain_place *place)
{
	uint64_t vector = 0;
	int err = plain_get_choice(object, "irq", irq_names, &bell->irq, place);

	if (!err)
		err = plain_get_number(object, "vector", VFIO_MAX_VECTORS - 1, &vector, place);
	bell->vector = (unsigned int)vector;
	return err;
}

static int load_doorbell(const json_t *object, struct plain_device *plain, unsigned int index,
			 const struct plain_place *place)
{
	static const char *const keys[] = { "offset", "irq", "vector", NULL };
	struct plain_doorbell bell = { .region = index, .irq = VFIO_PCI_MSI_IRQ_INDEX };
	int err = plain_check_keys(object, keys, place);

	if (!err)
		err = plain_get_number(object, "offset", INT64_MAX, &bell.offset, place);
	if (!err)
		err = get_irq(object, &bell, place);
	if (!err && plain->doorbell_count == PLAIN_MAX_DOORBELLS)
		err = plain_bad(place, "is one doorbell too many: %u", PLAIN_MAX_DOORBELLS);
	if (!err)
		plain->doorbells[plain->doorbell_count++] = bell;
	return err;
}

static int load_flags(const json_t *object, uint32_t *flags, const struct plain_place *outer)
{
	const json_t *array = json_object_get(object, "flags");
	struct plain_place place = plain_at_key(outer, "flags");

	*flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (!array)
		return 0;
	if (!json_is_array(array))
		return plain_bad(&place, "must be an array of \"read\" and \"write\"");
	*flags = 0;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *name = json_string_value(json_array_get(array, i));

		if (name && !strcmp(name, "read"))
			*flags |= VFIO_REGION_INFO_FLAG_READ;
		else if (name && !strcmp(name, "write"))
			*flags |= VFIO_REGION_INFO_FLAG_WRITE;
		else
			return plain_bad(&place, "must be an array of \"read\" and \"write\"");
	}
	return 0;
}

static int load_bar_type(const json_t *object, struct vfio_region_config *region,
			 const struct plain_place *place)
{
	static const char *const types[] = { "mem32", "mem64", "io", NULL };
	static const uint32_t bits[] = { PCI_BASE_ADDRESS_MEM_TYPE_32, PCI_BASE_ADDRESS_MEM_TYPE_64,
					 PCI_BASE_ADDRESS_SPACE_IO };
	unsigned int type = 0;
	bool prefetchable = false;
	int err = plain_get_choice(object, "type", types, &type, place);

	if (!err)
		err = plain_get_bool(object, "prefetchable", &prefetchable, place);
	region->bar_flags = bits[type] | (prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
	return err;
}

static int load_file(const json_t *object, struct plain_region *region,
		     const struct plain_place *place)
{
	const json_t *file = json_object_get(object, "file");
	int err = plain_get_number(object, "file_offset", INT64_MAX, &region->file_offset, place);

	if (err || !file)
		return err;
	if (!json_is_string(file))
		return plain_bad(place, "file must be a path");
	region->file = strdup(json_string_value(file));
	return region->file ? 0 : -ENOMEM;
}

static int load_engine(const json_t *object, struct plain_device *plain, unsigned int index,
		       const struct plain_place *outer)
{
	static const char *const keys[] = { "offset", "irq", "vector", NULL };
	const json_t *engine = json_object_get(object, "copy_engine");
	struct plain_place place = plain_at_key(outer, "copy_engine");
	int err;

	if (!engine)
		return 0;
	plain->engine_at =
		(struct plain_doorbell){ .region = index, .irq = VFIO_PCI_MSI_IRQ_INDEX };
	err = plain_check_keys(engine, keys, &place);
	if (!err && plain->has_engine)
		err = plain_bad(&place, "there can be only one");
	if (!err)
		err = plain_get_number(engine, "offset", INT64_MAX, &plain->engine_at.offset,
				       &place);
	plain->has_engine = true;
	return err ? err : get_irq(engine, &plain->engine_at, &place);
}

static int load_region(const json_t *object, struct plain_device *plain, unsigned int argument,
		       const struct plain_place *place)
{
	static const char *const keys[] = {
		"index", "size",	"flags",  "type",      "prefetchable", "mmap", "mmap_areas",
		"file",	 "file_offset", "io_fds", "doorbells", "copy_engine",  NULL
	};
	struct vfio_region_config *region;
	uint64_t index = VFIO_MAX_REGIONS;
	int err = plain_check_keys(object, keys, place);

	(void)argument;
	if (!err)
		err = plain_get_number(object, "index", VFIO_MAX_REGIONS - 1, &index, place);
	if (!err && index == VFIO_MAX_REGIONS)
		err = plain_bad(place, "needs an index");
	if (!err && index == VFIO_PCI_CONFIG_REGION_INDEX)
		err = plain_bad(place, "index 7 is config space, which \"pci\" describes");
	if (err)
		return err;
	region = &plain->config.regions[index];
	if (plain->described & BIT(index))
		return plain_bad(place, "region %llu is described twice",
				 (unsigned long long)index);
	plain->described |= (uint32_t)BIT(index);
	if (plain_get_number(object, "size", (uint64_t)1 << 40, &region->size, place) ||
	    load_flags(object, &region->flags, place) || load_bar_type(object, region, place) ||
	    plain_get_bool(object, "mmap", &region->mmap, place) ||
	    load_file(object, &plain->regions[index], place) ||
	    load_engine(object, plain, (unsigned int)index, place))
		return -EINVAL;
	if (!region->size)
		return plain_bad(place, "needs a size");
	plain->config.region_count = MAX(plain->config.region_count, (unsigned int)index + 1);
	err = plain_for_each(object, "mmap_areas", VFIO_MAX_MMAP_AREAS, plain, (unsigned int)index,
			     load_area, place);
	if (!err)
		err = plain_for_each(object, "io_fds", VFIO_MAX_IO_FDS, plain, (unsigned int)index,
				     load_io_fd, place);
	return err ? err
		   : plain_for_each(object, "doorbells", PLAIN_MAX_DOORBELLS, plain,
				    (unsigned int)index, load_doorbell, place);
}

/* ---- The whole -------------------------------------------------------------------------- */

static int load_irqs(const json_t *object, struct plain_device *plain,
		     const struct plain_place *place)
{
	int err = object ? plain_check_keys(object, irq_names, place) : 0;

	for (unsigned int i = 0; !err && i < VFIO_PCI_NUM_IRQS; i++) {
		/* ERR and REQ are single events. */
		uint64_t most = i == VFIO_PCI_MSIX_IRQ_INDEX  ? VFIO_MAX_VECTORS
				: i == VFIO_PCI_MSI_IRQ_INDEX ? 32
							      : 1;
		uint64_t count = 0;

		err = plain_get_number(object, irq_names[i], most, &count, place);
		plain->config.irq_counts[i] = (uint32_t)count;
	}
	return err;
}

static int load_dma(const json_t *object, struct plain_device *plain,
		    const struct plain_place *place)
{
	static const char *const keys[] = { "max_maps", "max_bytes", NULL };
	uint64_t maps = 0, bytes = 0;
	int err = object ? plain_check_keys(object, keys, place) : 0;

	if (!err)
		err = plain_get_number(object, "max_maps", VFIO_DEFAULT_DMA_MAPS, &maps, place);
	if (!err)
		err = plain_get_number(object, "max_bytes", UINT64_MAX, &bytes, place);
	plain->config.max_dma_maps = (uint32_t)maps;
	plain->config.max_dma_bytes = bytes;
	return err;
}

static int load_device(const json_t *top, struct plain_device *plain,
		       const struct plain_place *root)
{
	static const char *const keys[] = {
		"name", "pci", "regions", "irqs", "dma", "lenient", NULL
	};
	struct plain_place pci = plain_at_key(root, "pci"), irqs = plain_at_key(root, "irqs"),
			   dma = plain_at_key(root, "dma");
	int err = plain_check_keys(top, keys, root);

	if (!err)
		err = load_pci(json_object_get(top, "pci"), plain, &pci);
	if (!err)
		err = plain_for_each(top, "regions", VFIO_MAX_REGIONS, plain, 0, load_region, root);
	if (!err)
		err = load_irqs(json_object_get(top, "irqs"), plain, &irqs);
	if (!err)
		err = load_dma(json_object_get(top, "dma"), plain, &dma);
	return err ? err : plain_get_bool(top, "lenient", &plain->config.lenient, root);
}

int plain_load(const char *path, struct plain_device *plain)
{
	struct plain_place root = { .file = path };
	json_error_t error;
	json_t *top = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (!top) {
		if (error.line > 0)
			log_error("%s: line %d: %s", path, error.line, error.text);
		else
			log_error("%s: %s", path, error.text);
		return -EINVAL;
	}
	plain->config.region_count = VFIO_PCI_NUM_REGIONS;
	int err = load_device(top, plain, &root);
	json_decref(top);
	return err;
}

void plain_unload(struct plain_device *plain)
{
	for (unsigned int i = 0; i < VFIO_MAX_REGIONS; i++)
		free(plain->regions[i].file);
}
