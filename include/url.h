/* The URL of a call: the upstream's, the host in it, the path, the query, the merged values. Pure. */
#ifndef MILLRACE_URL_H
#define MILLRACE_URL_H

#include "buf.h"
#include "err.h"
#include "request.h"
#include "upstream.h"

#include <stdbool.h>
#include <stddef.h>

/* Does the upstream's URL hold "{host}"? Then the host stands in the URL and no Host header is needed. */
bool url_holds_host(const struct upstream_config *upstream);
/* `pattern` as in upstream.hosts: a name, "*.example.org", or "*" for any. */
bool url_host_matches(const char *host, const char *pattern);
/* May a request to this upstream name the host? It must look like one, and match `hosts` where given. */
bool url_host_allowed(const struct upstream_config *upstream, const char *host);
/* Appends the text with all but the unreserved characters encoded (RFC 3986 §2.3). */
void url_append_encoded(struct buf *out, const char *text);
void url_append_encoded_bytes(struct buf *out, const char *text, size_t size);
/* Appends what the encoded text of a query means: %XX and `+` resolved, what is no code as it stands. */
void url_append_decoded(struct buf *out, const char *text, size_t size);
/* Appends the URL of a call that asks `request` for `values` (joined by '|', percent-encoded, under
 * request->merge_param; count 0: none). False and err: the request names a host that it may not, or none
 * where one is needed. Nothing is escaped but the values: path and query are the script's. */
bool url_build(struct buf *out, const struct upstream_config *upstream, const struct request *request,
        const char *const *values, size_t count, struct err *err);

#endif
