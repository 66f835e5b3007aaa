/* Asks a running engine's admin port: one request, one answer, blocking, bounded in time and size.
 *
 * Plain HTTP/1.1 (RFC 9112) without libraries, for the verbs of the command line; no part of the engine
 * itself. */
#ifndef MILLRACE_ADMINCLIENT_H
#define MILLRACE_ADMINCLIENT_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADMINCLIENT_BODY_MAX = 16 << 20 };

struct adminclient {
	const char
	        *url; /* "http://127.0.0.1:9464", "http://[::1]:9464", maybe with the beginning of a path */
	const char *token;  /* sent as a bearer token; NULL = none */
	int64_t timeout_ms; /* of one request with its answer */
};

/* True when it is an http URL with a host and no query; else err says what was expected. */
bool adminclient_url_good(const char *url, struct err *err);
/* Answers the status and appends the body (or NULL) to an initialised buf, whose limit is set. path begins
 * with "/". 0 and err (which names the address): nobody there, no answer in time, no HTTP, or more than
 * ADMINCLIENT_BODY_MAX. */
int adminclient_ask(const struct adminclient *client, const char *method, const char *path, struct buf *body,
        struct err *err);

#endif
