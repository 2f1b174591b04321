/* SPDX-License-Identifier: MIT */
/*
 * Opens the VNC server's socket.  We listen ourselves, because the library's own listening takes
 * no port 0, opens IPv6 beside IPv4, and knows no close-on-exec.  Called once for a server, on
 * the thread that creates it.
 */
#include "display/display.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VNC_PORT_BASE 5900u
#define BACKLOG	      8

struct endpoint {
	char host[256];
	char port[8];
};

static int number_parse(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, 10);
	return errno || *end || *value > max ? -EINVAL : 0;
}

static int endpoint_parse(const char *address, struct endpoint *endpoint)
{
	const char *colon = strrchr(address, ':'), *host = address;
	unsigned long number;
	size_t len;
	int err;

	if (!colon)
		return -EINVAL;
	len = (size_t)(colon - address);
	err = number_parse(colon + 1, len ? 65535 : 65535 - VNC_PORT_BASE, &number);
	if (err)
		return err;
	if (!len) {
		host = "127.0.0.1";
		len = strlen(host);
		number += VNC_PORT_BASE;
	} else if (host[0] == '[' && len > 2 && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len >= sizeof(endpoint->host))
		return -EINVAL;
	memcpy(endpoint->host, host, len);
	endpoint->host[len] = '\0';
	snprintf(endpoint->port, sizeof(endpoint->port), "%lu", number & 0xffff);
	return 0;
}

static int socket_open(const struct addrinfo *info)
{
	int one = 1, err;
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, info->ai_addr, info->ai_addrlen) || listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int socket_port(int fd, uint16_t *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name = { .v6 = { 0 } };
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len))
		return -errno;
	*port = ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
	return 0;
}

int display_listen(const char *address, uint16_t *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *info = NULL;
	struct endpoint endpoint;
	int err = endpoint_parse(address, &endpoint);
	int fd;

	if (err)
		return err;
	if (getaddrinfo(endpoint.host, endpoint.port, &hints, &info))
		return -EINVAL;
	fd = socket_open(info);
	freeaddrinfo(info);
	if (fd < 0)
		return fd;
	err = socket_port(fd, port);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
