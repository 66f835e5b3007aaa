/* A host's addresses, looked up for so long and no longer.
 *
 * The system's resolver has timeouts of its own, of half a minute and more. Here it runs on a thread, which
 * is left behind when it has not answered in time and then does no harm. */
#ifndef MILLRACE_LOOKUP_H
#define MILLRACE_LOOKUP_H

#include "err.h"

#include <stdint.h>

struct addrinfo;

/* For stream sockets; free with freeaddrinfo. NULL and err: no such name, or no answer in time. Blocks; any
 * thread. */
struct addrinfo *lookup_host(const char *host, const char *port, int64_t timeout_ms, struct err *err);

#endif
