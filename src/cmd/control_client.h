/* SPDX-License-Identifier: MIT */
/* The control socket's client: finds a vGPU by its name and calls one method.  It may block. */
#ifndef CMD_CONTROL_CLIENT_H
#define CMD_CONTROL_CLIENT_H

#include <jansson.h>

#include "cmd/runtime_dir.h"

/*
 * Calls @method of the vGPU @name with @params (a reference taken over; NULL for none).  0 with a
 * new reference in *@result and, when @fd is not NULL, a descriptor or -1 in *@fd.  Otherwise
 * -errno, and the trouble was told on stderr: unknown names with those that run.
 */
int control_call(const char *name, const char *method, json_t *params, json_t **result, int *fd);

/* A connection to the vGPU @name; -errno, told on stderr. */
int control_connect(const char *name);
/* The same over a connected socket, which stays open; -EPROTO when the peer makes no sense. */
int control_call_on(int socket_fd, const char *name, const char *method, json_t *params,
		    json_t **result, int *fd);

#endif
