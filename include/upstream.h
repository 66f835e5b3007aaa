/* What is configured about one HTTP service (`http.upstreams.NAME`). */
#ifndef MILLRACE_UPSTREAM_H
#define MILLRACE_UPSTREAM_H

#include "backfill.h"
#include "retry.h"
#include "tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct upstream_config {
	char *name;
	char *url; /* http or https; "{host}" in it is replaced by the request's host, and demands `hosts` */
	char **hosts; /* hosts a request may name: exact, "*.example.org", or "*"; none given = any, sent as
	                 Host header */
	size_t host_count;
	int64_t timeout_ms; /* of one call, from its start to its last byte */
	int64_t connect_timeout_ms;
	unsigned concurrency;      /* calls in flight; 0 = auto (limiter.h) */
	unsigned host_concurrency; /* of them to one host; 0 = half, or all while no other host is asked */
	double rate;               /* lookups per second; 0 = no limit */
	struct backfill_limits backfill; /* in place of both while there is a backlog */
	size_t max_body;                 /* bytes after decompression */
	int64_t max_idle_ms;             /* a connection idle for longer is not used again */
	bool http2;
	bool merge;                /* lookups may share a call, where the script says so */
	char **per_record_headers; /* headers in which merged lookups may differ */
	size_t per_record_header_count;
	struct retry_config retry;
	struct tls_config tls;
};

#endif
