/* The door for operators: metrics, probes and what else is told or done over HTTP, on the loop's own base.
 *
 * GET (and HEAD) /metrics, /livez, /readyz and / are there from the start; others are added by admin_route.
 * Requests are bounded in size and time. No page tells a secret. */
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
};

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

struct admin_request {
	const char *path;
	const char *query; /* behind the "?", as it came; "" = none */
	struct bytes body;
};

struct admin_answer {
	int status;                /* 200 */
	const char *type;          /* text/plain; charset=utf-8 */
	struct buf body;           /* freed by admin */
	struct admin_later *later; /* private: see admin_later */
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
/* Adds a page, or replaces the one of the same path (so `/` can become a real page); copies the struct. */
void admin_route(struct admin *admin, const struct admin_route *route);
uint16_t admin_port(const struct admin *admin);
/* True when the query has this name, with or without a value: "verbose", "a=1&verbose=true". */
bool admin_asked(const struct admin_request *request, const char *name);

#endif
