/* Can a TCP connection be opened? */
#include "reach.h"
#include "lookup.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* 0, or the errno of the failure. */
static int try_address(const struct addrinfo *address, int timeout_ms)
{
	int failure = 0, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof failure;
	if (fd < 0)
		return errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		failure = errno;
		if (failure == EINPROGRESS && poll(&wait, 1, timeout_ms) > 0)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
		else if (failure == EINPROGRESS)
			failure = ETIMEDOUT;
	}
	close(fd);
	return failure;
}

bool reach_host(const char *host, const char *port, int timeout_ms, struct err *err)
{
	struct err why;
	struct addrinfo *addresses = lookup_host(host, port, timeout_ms, &why);
	if (addresses == NULL)
		return err_set(err, "%s port %s: %s", host, port, why.text);
	int failure = ECONNREFUSED;
	for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
		failure = try_address(at, timeout_ms);
		if (failure == 0)
			break;
	}
	freeaddrinfo(addresses);
	return failure == 0 || err_set(err, "%s port %s: %s", host, port, strerror(failure));
}

/* "host", "host:port", "[v6]:port" of `size` bytes. */
static bool reach_authority(const char *text, size_t size, const char *port, int timeout_ms, struct err *err)
{
	char *copy = mem_dup(text, size), *host = copy, *end = NULL, *colon = strrchr(copy, ':');
	if (copy[0] == '[' && (end = strchr(copy, ']')) != NULL) {
		*end = '\0';
		host = copy + 1;
		colon = end[1] == ':' ? end + 1 : NULL;
	}
	if (colon) {
		*colon = '\0';
		port = colon + 1;
	}
	bool reached = reach_host(host, port, timeout_ms, err);
	mem_free(copy);
	return reached;
}

bool reach_url(const char *url, int timeout_ms, struct err *err)
{
	bool tls = strncmp(url, "https://", 8) == 0;
	const char *authority = url + (tls ? 8 : 7);
	return reach_authority(authority, strcspn(authority, "/?#"), tls ? "443" : "80", timeout_ms, err);
}

bool reach_brokers(const char *servers, int timeout_ms, struct err *err)
{
	bool reached = false;
	err_set(err, "no broker is named");
	while (*servers && !reached) {
		servers += strspn(servers, ", ");
		size_t size = strcspn(servers, ", ");
		const char *scheme = strstr(servers, "://");
		size_t skip =
		        scheme && (size_t)(scheme - servers) < size ? (size_t)(scheme - servers) + 3 : 0;
		if (size > skip)
			reached = reach_authority(servers + skip, size - skip, "9092", timeout_ms, err);
		servers += size;
	}
	return reached;
}
