/* SPDX-License-Identifier: MIT */
/*
 * VERSION: what the client can do, checked, and what we answer.  Pure functions of their
 * arguments, called by the dispatcher.
 *
 * A client that does not say how many descriptors it can receive gets what a reply has, as from
 * every other server, and not the single one the specification would have it default to.
 *
 * The answer names only what the client named, besides the two limits every client understands:
 * QEMU warns of names it does not know, and takes no answer longer than its request.
 */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vfio_user/server.h"

#define VERSION_MAX_JSON_BYTES (64u * 1024)

/* A whole number in [@least, @most] under @key; absent is fine and changes nothing. */
static bool get_number(const json_t *object, const char *key, json_int_t least, json_int_t most,
		       json_int_t *value)
{
	const json_t *item = json_object_get(object, key);

	if (!item)
		return true;
	if (!json_is_integer(item) || json_integer_value(item) < least ||
	    json_integer_value(item) > most) {
		log_limited(LOG_WARN, "the client's %s is no number from %lld to %lld", key,
			    (long long)least, (long long)most);
		return false;
	}
	*value = json_integer_value(item);
	return true;
}

static bool get_bool(const json_t *object, const char *key, bool *value)
{
	const json_t *item = json_object_get(object, key);

	if (!item)
		return true;
	*value = json_is_true(item);
	return json_is_boolean(item);
}

static bool check_migration(const json_t *caps)
{
	const json_t *migration = json_object_get(caps, "migration");
	json_int_t pgsize = 4096, bitmap = 0;

	if (!migration)
		return true;
	return json_is_object(migration) &&
	       get_number(migration, "pgsize", 4096, INT64_MAX, &pgsize) &&
	       !(pgsize & (pgsize - 1)) &&
	       get_number(migration, "max_bitmap_size", 0, INT64_MAX, &bitmap);
}

static bool take_twin(const json_t *caps, struct vfu_peer *peer)
{
	const json_t *twin = json_object_get(caps, "twin_socket");

	if (!twin)
		return true;
	return json_is_object(twin) && get_bool(twin, "supported", &peer->twin_socket);
}

static bool take_caps(const json_t *caps, struct vfu_peer *peer)
{
	json_int_t fds = VFU_FDS_LIMIT, xfer = VFU_MAX_XFER_BYTES, maps = 0, pgsizes = 4096;

	if (!json_is_object(caps) ||
	    !get_number(caps, "max_msg_fds", 0, VFU_PEER_FDS_LIMIT, &fds) ||
	    !get_number(caps, "max_data_xfer_size", 1, INT64_MAX, &xfer) ||
	    !get_number(caps, "max_dma_maps", 0, INT64_MAX, &maps) ||
	    !get_number(caps, "pgsizes", 1, INT64_MAX, &pgsizes) ||
	    !get_bool(caps, "write_multiple", &peer->write_multiple) || !check_migration(caps) ||
	    !take_twin(caps, peer))
		return false;
	peer->max_msg_fds = (uint32_t)fds;
	peer->max_xfer_bytes = (uint32_t)MIN(xfer, (json_int_t)VFU_MAX_XFER_BYTES);
	peer->offers_max_dma_maps = json_object_get(caps, "max_dma_maps");
	peer->max_dma_maps = (uint64_t)maps;
	peer->offers_pgsizes = json_object_get(caps, "pgsizes");
	return true;
}

static int parse_json(const char *text, size_t bytes, struct vfu_peer *peer)
{
	json_error_t error;

	if (bytes > VERSION_MAX_JSON_BYTES || text[bytes - 1] != '\0')
		return -EINVAL;
	json_t *top = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!top)
		return -EINVAL;
	const json_t *caps = json_object_get(top, "capabilities");
	bool good = json_is_object(top) && (!caps || take_caps(caps, peer));
	json_decref(top);
	return good ? 0 : -EINVAL;
}

int vfu_version_parse(const uint8_t *payload, size_t bytes, struct vfu_peer *peer)
{
	struct vfu_version version;

	*peer = (struct vfu_peer){
		.max_msg_fds = VFU_FDS_LIMIT,
		.max_xfer_bytes = VFU_MAX_XFER_BYTES,
	};
	memcpy(&version, payload, sizeof(version));
	if (version.major != VFU_MAJOR)
		return -EINVAL;
	peer->minor = (uint16_t)MIN((unsigned int)version.minor, VFU_MINOR);
	bytes -= sizeof(version);
	return bytes ? parse_json((const char *)payload + sizeof(version), bytes, peer) : 0;
}

struct text {
	char *at;
	size_t room;
};

PRINTF_LIKE(2, 3) static void put(struct text *text, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text->at, text->room, fmt, args);
	va_end(args);
	text->at += n;
	text->room -= (size_t)n;
}

size_t vfu_version_answer(const struct vfu_peer *peer, uint32_t max_dma_maps, uint8_t *out,
			  size_t room)
{
	struct vfu_version version = { .major = VFU_MAJOR, .minor = peer->minor };
	struct text text = { .at = (char *)out + sizeof(version), .room = room - sizeof(version) };

	memcpy(out, &version, sizeof(version));
	put(&text, "{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":%u",
	    VFU_MAX_MSG_FDS, VFU_MAX_XFER_BYTES);
	if (peer->offers_max_dma_maps)
		put(&text, ",\"max_dma_maps\":%llu",
		    (unsigned long long)MIN(peer->max_dma_maps, (uint64_t)max_dma_maps));
	if (peer->offers_pgsizes)
		put(&text, ",\"pgsizes\":%llu", (unsigned long long)PAGE_BYTES);
	if (peer->write_multiple)
		put(&text, ",\"write_multiple\":true");
	if (peer->twin_socket)
		put(&text, ",\"twin_socket\":{\"supported\":true,\"fd_index\":0}");
	put(&text, "}}");
	return (size_t)(text.at - (char *)out) + 1;
}
