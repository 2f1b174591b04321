/* SPDX-License-Identifier: MIT */
/* A listening TCP socket from an address a person wrote, within the layer. */
#ifndef DISPLAY_LISTEN_H
#define DISPLAY_LISTEN_H

#include "base/types.h"

/*
 * @address: "HOST:PORT", "[HOST]:PORT", or ":DISPLAY" for 127.0.0.1 port 5900 + DISPLAY; port 0
 * takes any.  Returns a non-blocking descriptor and sets *@port; -EINVAL: no such address.
 */
int display_listen(const char *address, uint16_t *port);

#endif
