/* SPDX-License-Identifier: MIT */
/* How long the messages of a VNC client are, within the layer.  Pure functions. */
#ifndef DISPLAY_REQUEST_H
#define DISPLAY_REQUEST_H

#include "base/types.h"

/* Longer ones (but for text, which is skipped) are no viewer's. */
#define DISPLAY_REQUEST_MAX_BYTES 4096u

/* True for ClientCutText, which may be long and is of no use here. */
bool display_request_is_text(const uint8_t *head, size_t have);

/*
 * The length of the message at @head as far as its first @have bytes tell (at least 1): more than
 * @have when it is not whole.  UINT64_MAX: nothing that a client of ours may send.
 */
uint64_t display_request_bytes(const uint8_t *head, size_t have);

#endif
