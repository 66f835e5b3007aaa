/* HTTP exchanges on the event loop: curl_multi on libevent, and nothing of curl outside this file.
 *
 * Decides how, never when (dispatch.h does). http and https only, no redirects, no proxy from the
 * environment, no cookies; a body is counted after decompression and cut at max_body; `done` is never called
 * from within http_send or from within curl's own callbacks, so callers may send from `done`. */
#ifndef MILLRACE_HTTP_H
#define MILLRACE_HTTP_H

#include "buf.h"
#include "err.h"
#include "list.h"
#include "request.h"
#include "upstream.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct http;
struct http_exchange;
struct http_transfer;

enum { HTTP_HEADERS_MAX = 100, HTTP_HEADER_BYTES_MAX = 65536 }; /* of one answer */

enum http_failure {
	HTTP_ANSWERED, /* a whole answer with a status, whatever it is */
	HTTP_CONNECT,  /* refused, unreachable, no connection in time, DNS or TLS failure: nothing was sent */
	HTTP_TIMEOUT,  /* the call's time was up */
	HTTP_RESET,    /* the connection broke before the whole answer */
	HTTP_TRUNCATED, /* fewer bytes than announced */
	HTTP_STALE,     /* reset of a reused idle connection before the first byte: ask again at once */
	HTTP_OVERSLEPT, /* its time was up while this process stood still: ask again at once */
	HTTP_TOO_LARGE, /* the body outgrew max_body */
	HTTP_NO_ROOM,   /* `room` said so */
	HTTP_MALFORMED, /* not HTTP, undecodable content encoding, too many headers, ... */
	HTTP_INVALID,   /* the request itself cannot be sent (bad URL, bad header); never retried */
	HTTP_FAILURES
};

typedef void http_done(struct http_transfer *transfer);
/* Asked before the body grows to `size` bytes; false cuts the call. Called from within curl: sends and
 * cancels nothing. */
typedef bool http_room(struct http_transfer *transfer, size_t size);

/* Embedded in and owned by the caller, zeroed before its first use; from http_send until done (or
 * http_cancel) the asked texts are borrowed, upstream too. Content-Length, Transfer-Encoding, Connection and
 * Host are ours to send: a request that names them among its headers is HTTP_INVALID. */
struct http_transfer {
	/* asked */
	const struct upstream_config *upstream;
	const char *method;
	const char *url;  /* whole, with the query */
	const char *host; /* Host header, NULL = the URL's */
	const struct header *headers;
	size_t header_count;
	const char *body; /* NULL = none */
	size_t body_size;
	int64_t timeout_ms; /* from http_send to the last byte; 0 = the upstream's */
	bool fresh;         /* on a new connection only */
	http_done *done;
	http_room *room; /* NULL = there is always room */
	/* answered: owned by the transfer until http_transfer_free */
	enum http_failure failure;
	char reason[500];              /* what went wrong, for people; never content */
	int status;                    /* 0 unless HTTP_ANSWERED */
	struct header *answer_headers; /* names in lower case */
	size_t answer_header_count;
	struct buf answer;       /* decompressed body */
	size_t came;             /* bytes of the body, also where it is not kept */
	size_t announced;        /* bytes that it will have as its headers say; 0 = they do not say */
	double elapsed;          /* seconds */
	const char *played_from; /* the file that answered, the player's own; NULL = the network did */
	/* private to http.c */
	struct list_node node;
	struct http_exchange *exchange;
	int64_t due; /* steady ms at which a played answer comes */
	bool played; /* waits for that */
};

/* Answers calls in place of the network: fills failure, reason, status, answer_headers, answer, which is
 * empty and limited to max_body, and played_from, and says after how many ms that is there. An answer later
 * than the call's timeout becomes one, an answer over max_body too large. HTTP_PLAY_NETWORK: it filled
 * nothing, the network is asked. Called from within http_send. */
enum { HTTP_PLAY_NETWORK = -1 };
struct http_player {
	void *context;
	int64_t (*play)(void *context, struct http_transfer *transfer);
};

struct http_config {
	const char *user_agent;
	const struct http_player *player; /* NULL = the network */
};

struct http *http_open(struct event_base *base, const struct http_config *config, struct err *err);
void http_use_agent(struct http *http, const char *user_agent); /* from the next call on; copies */
void http_close(struct http *http); /* cancels what is in flight, without done; not from within done */
void http_send(struct http *http, struct http_transfer *transfer);
/* done is not called. At any time, from within another's done too; nothing happens to one that is not in
 * flight. */
void http_cancel(struct http *http, struct http_transfer *transfer);
void http_transfer_free(struct http_transfer *transfer); /* frees the answer's parts */
size_t http_in_flight(const struct http *http);          /* sent and not yet given back */
/* Most connections kept: the sum of the upstreams' concurrency, or more calls than that in flight would close
 * each other's. At least 1, which it is at first. */
void http_keep_connections(struct http *http, size_t count);
size_t http_connections(const struct http *http);        /* open now */
size_t http_connections_opened(const struct http *http); /* since the start */
/* No answer of the peer's, and no refusal either: our own doing, or an idle connection's end. */
bool http_failure_is_ours(enum http_failure failure);
const char *http_failure_name(enum http_failure failure); /* "connect", "timeout", ...: label values */
/* When the next played answer comes, or its done is due, steady ms; -1 = none is to come. Of the network
 * nobody knows. */
int64_t http_next(const struct http *http);
/* True when the text may stand in a header or URL: no CR, LF, NUL or other control bytes. */
bool http_text_ok(const char *text, size_t size);

#endif
