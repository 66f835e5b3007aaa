/* Fetches one small document (a schema, a stream's configuration) by its URL: file://, http:// or https://.
 *
 * Blocks, up to the timeout: only for a helper's thread, or before the loop runs. Follows no redirect and
 * uses no proxy of the environment. A route sends what is meant for one origin to another place with the Host
 * header of the first, as Wikimedia's services reach their wikis through a proxy on localhost. */
#ifndef MILLRACE_FETCH_H
#define MILLRACE_FETCH_H

#include "buf.h"
#include "err.h"
#include "tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch_route {
	char *origin; /* "https://meta.wikimedia.org": what a URL begins with, up to its path */
	char *to;     /* "http://localhost:6500": what stands in its place */
};

struct fetch_config {
	const char *user_agent;
	const struct fetch_route *routes;
	size_t route_count;
	int64_t timeout_ms;      /* of the whole exchange */
	size_t max_bytes;        /* after decompression */
	struct tls_config tls;   /* borrowed */
	const char *tls_section; /* where that stands in the configuration: "schemas.tls" */
};

enum fetch_outcome {
	FETCH_GOT,
	FETCH_ABSENT, /* there is no such document: no such file, 404 or 410 */
	FETCH_AWAY,   /* nobody knows: no connection, a time-out, another status, too large, unreadable */
};

/* Appends the document to `out`; but for FETCH_GOT out is as before and err names the URL and what was wrong.
 */
enum fetch_outcome fetch(
        const struct fetch_config *config, const char *url, struct buf *out, struct err *err);
/* Whether somebody answers a HEAD request there, whatever the status; http and https only. */
bool fetch_answers(const struct fetch_config *config, const char *url, struct err *err);
/* Whether it begins with a scheme that fetch knows and has something behind it; else err says what is
 * expected. */
bool fetch_url_valid(const char *url, struct err *err);

#endif
