/* One HTTP question as a script put it, and its answer: plain data, no behaviour but freeing. */
#ifndef MILLRACE_REQUEST_H
#define MILLRACE_REQUEST_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct header {
	char *name;
	char *value; /* NUL-terminated; holds no CR, LF or NUL inside */
};

enum expect { EXPECT_JSON, EXPECT_BYTES };

enum { REQUEST_ACCEPT_MAX = 16 };

struct request {
	size_t upstream; /* index into the configured upstreams */
	char *method;    /* "GET" */
	char *host;      /* Host header, or NULL: the upstream's own */
	char *path;      /* appended to the upstream's URL; "" when none */
	char *query;     /* encoded, without '?', without the merge parameter; NULL when none */
	struct header *headers;
	size_t header_count;
	char *body; /* NULL when none */
	size_t body_size;
	int64_t timeout_ms; /* 0: the upstream's */
	int accept[REQUEST_ACCEPT_MAX];
	size_t accept_count; /* statuses that, besides 2xx, are an answer */
	bool optional;       /* a final refusal reaches transform as a response with error */
	enum expect expect;
	char *merge_param; /* query parameter whose values may be joined; NULL: never merged */
	char *merge_value; /* this question's value of it (not yet percent-encoded) */
	unsigned merge_max;
	size_t merge_bytes; /* expected bytes of this question's part of the answer; 0 = unknown */
	char *split;        /* name of the script's function that splits the answer; NULL = none */
};

struct response {
	int status;             /* 0: no acceptable answer */
	struct header *headers; /* names in lower case */
	size_t header_count;
	char *body; /* owned; followed by a NUL */
	size_t body_size;
	char *error_type; /* NULL when answered; "HttpStatus", "HttpTimeout", "HttpTransport", ... */
	char *error_message;
	unsigned attempts; /* calls made for it, this answer's included */
	double elapsed;    /* seconds from submission to the end */
};

void request_free(struct request *request);    /* frees what it owns and zeroes it */
void response_free(struct response *response); /* likewise */
/* Bytes held by the texts of a request or response, for the ledger. */
size_t request_bytes(const struct request *request);
size_t response_bytes(const struct response *response);
void headers_free(struct header *headers, size_t count);
/* Whether the answer to one answers the other: equal but for headers and timeout. */
bool request_same(const struct request *a, const struct request *b);
/* Case-insensitive; NULL when absent. */
const char *headers_get(const struct header *headers, size_t count, const char *name);

#endif
