/* Asks a running engine's admin port: one request, one answer, or one that goes on; blocking, bounded in time
 * and size.
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
	const char *form;   /* NAME=VALUE&..., the body of a POST; NULL = none */
	int64_t timeout_ms; /* of one request with its answer */
};

/* True when it is an http URL with a host and no query; else err says what was expected. */
bool adminclient_url_good(const char *url, struct err *err);
/* Every address that the URL's host has now, each as a URL of its own, and none twice: a name without an
 * address of its own (a headless Service) stands for as many engines. count is 0 and err set where there is
 * none. Free with adminclient_free_addresses. */
char **adminclient_addresses(const char *url, int64_t timeout_ms, size_t *count, struct err *err);
void adminclient_free_addresses(char **urls, size_t count);
/* Answers the status and appends the body (or NULL) to an initialised buf, whose limit is set. path begins
 * with "/". 0 and err (which names the address): nobody there, no answer in time, no HTTP, or more than
 * ADMINCLIENT_BODY_MAX. */
int adminclient_ask(const struct adminclient *client, const char *method, const char *path, struct buf *body,
        struct err *err);

/* Reads an answer that goes on, line by line. */
struct adminclient_follower {
	void *context;
	/* One line, without its newline; false: that is enough. */
	bool (*line)(void *context, const char *line, size_t size);
	/* Asked between lines, and five times a second while none come; true: that is enough. NULL = never.
	 */
	bool (*stop)(void *context);
};

enum adminclient_end {
	ADMINCLIENT_REFUSED, /* there was no stream: see the status */
	ADMINCLIENT_ENOUGH,  /* the follower said so */
	ADMINCLIENT_ENDED,   /* the other side said so */
	ADMINCLIENT_CUT,     /* the connection broke; err says how */
};

/* As adminclient_ask with GET, but a 200 is read for as long as it goes on; the client's time is for what
 * comes before its first line. body gets what comes with another status. */
int adminclient_follow(const struct adminclient *client, const char *path,
        const struct adminclient_follower *follower, struct buf *body, enum adminclient_end *end,
        struct err *err);

#endif
