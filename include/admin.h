/* The door for operators: metrics, probes and what else is told or done over HTTP, on the loop's own base.
 *
 * GET (and HEAD) /metrics, /livez, /readyz and / are there from the start; others are added by admin_route.
 * Requests are bounded in size and time, connections in number, so that nobody who opens many, sends a byte a
 * second or reads nothing keeps others out. No page tells a secret, and none content to who does not bear the
 * token. */
#ifndef MILLRACE_ADMIN_H
#define MILLRACE_ADMIN_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct admin;
struct event_base;
struct metrics;

struct admin_config {
	const char *listen; /* "127.0.0.1:9464", "[::1]:9464", "localhost:0" (any free port), ":9464"
	                       (everywhere) */
	const char *token;  /* what a caller from elsewhere must bear to change anything; NULL = only from
	                       loopback */
	char *const *hosts; /* names that callers from loopback may call it by, beside localhost and any
	                       address: a web page can make any other name mean this machine */
	size_t host_count;
	size_t connections;  /* at most so many are open, the oldest idle ones go first; 0 =
	                        ADMIN_CONNECTIONS */
	int64_t patience_ms; /* what asks or reads for longer is cut off, but streams; 0 = ADMIN_PATIENCE_MS
	                      */
};

enum { ADMIN_CONNECTIONS = 128, ADMIN_PATIENCE_MS = 30000 };

/* Each may be NULL. live and ready answer true when all is well and write one line per check with
 * admin_check. */
struct admin_hooks {
	void *context;
	void (*refresh)(void *context); /* gauges that are set when looked at; before metrics are printed */
	bool (*live)(void *context, struct buf *why);
	bool (*ready)(void *context, struct buf *why);
};

/* "[+] sink ok" or "[-] sink: no metadata of its topic yet"; answers `good`. */
bool admin_check(struct buf *why, const char *name, bool good, const char *reason);

enum admin_caller {
	ADMIN_STRANGER,    /* from another machine, or a web page's doing */
	ADMIN_WRONG_TOKEN, /* bears a token that is not ours, wherever it is */
	ADMIN_LOCAL,       /* from this machine: may change something, but is shown no content */
	ADMIN_TRUSTED,     /* bears the token */
};

struct admin_request {
	const char *path;
	const char *query; /* behind the "?", as it came; "" = none */
	struct bytes body;
	enum admin_caller caller;
	const char *accept; /* the header Accept; NULL = none */
};

/* An answer that goes on for as long as somebody reads it, sent in chunks. The loop waits for no reader: what
 * is not read stays with whoever fills, and a reader that takes nothing for ADMIN_STALLED_S is cut off. */
struct admin_stream {
	void *context;
	/* Appends what there is to send, ADMIN_SLICE bytes or about so many at most; false ends the answer
	 * behind it. Asked by admin_turn, while nothing of an earlier slice is left with the connection. */
	bool (*fill)(void *context, struct buf *out);
	void (*closed)(void *context); /* always the last call, however it ended */
};

enum { ADMIN_SLICE = 64 * 1024, ADMIN_STALLED_S = 60 };

struct admin_answer {
	int status;                 /* 200 */
	const char *type;           /* text/plain; charset=utf-8 */
	const char *policy;         /* Content-Security-Policy; NULL = none */
	bool varies;                /* it is another one by the header Accept */
	struct buf body;            /* freed by admin */
	struct admin_stream stream; /* where fill is set: in place of the body */
	struct admin_later *later;  /* private: see admin_later */
};

/* For an answer that takes its time: the handler takes this, leaves the answer as it is, and gives the real
 * one by admin_answer_late on the loop, once, unless the admin is closed before. */
struct admin_later;
struct admin_later *admin_later(struct admin_answer *answer);
/* Sends it, if anybody is still there, and frees both. body is taken. */
void admin_answer_late(struct admin_later *later, int status, const char *type, struct buf *body);

typedef void admin_handler(void *context, const struct admin_request *request, struct admin_answer *answer);

struct admin_route {
	const char
	        *method; /* "GET" (HEAD too) or "POST". What is posted changes something: only from loopback,
	                    and from no other site's page, or with `Authorization: Bearer TOKEN` */
	const char *path;
	const char *about; /* half a sentence for the list at `/` */
	admin_handler *handler;
	void *context;
};

/* NULL and err (which names `admin.listen`) when it cannot listen. Borrows config's texts. */
struct admin *admin_open(struct event_base *base, const struct admin_config *config,
        const struct admin_hooks *hooks, struct metrics *metrics, struct err *err);
void admin_close(struct admin *admin);
/* Adds a page, or replaces the one of the same method and path (so `/` can become a real page); copies the
 * struct. */
void admin_route(struct admin *admin, const struct admin_route *route);
/* Sends what streams have to send. Once a turn of the loop, or they end with it. */
void admin_turn(struct admin *admin);
uint16_t admin_port(const struct admin *admin);
/* True when the query has this name, with or without a value: "verbose", "a=1&verbose=true". */
bool admin_asked(const struct admin_request *request, const char *name);
/* The value of that name in the query, without its percent-encoding, in `value`; false: there is none, or it
 * is longer than `size` has room for. */
bool admin_value(const struct admin_request *request, const char *name, char *value, size_t size);

/* Takes the next NAME=VALUE of a form (or query) and moves *text behind it; false: there is no "=", or one of
 * the two is too long. */
bool admin_pair(const char **text, char *name, size_t name_size, char *value, size_t value_size);

#endif
