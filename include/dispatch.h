/* When each lookup is asked: waiting, in flight, backing off; per upstream and host, the oldest record first.
 *
 * A lookup is one HTTP question of one record; a call is one HTTP exchange that answers one or more lookups
 * (each call carries one lookup until merging comes). Throttled hosts (429, `retry` with scope host) pause,
 * which costs no attempt and no deadline. A lookup ends answered (error_type NULL) or refused, by error_type:
 *   HttpStatus       a status that is no answer and is not asked again, or was asked for the last time
 *   HttpTimeout, HttpTransport, HttpUnparsable   attempts or deadline are used up
 *   RetryDeadline    split said retry until the deadline was over
 *   ContentTooLarge  the answer outgrew max_body;   HttpInvalid  the request cannot be sent
 * A call whose answer finds no room (hooks.grow) is cut, or a younger one in its place; what is cut is asked
 * again alone, which counts as no attempt. and what split's fail names. */
#ifndef MILLRACE_DISPATCH_H
#define MILLRACE_DISPATCH_H

#include "heap.h"
#include "http.h"
#include "limiter.h"
#include "list.h"
#include "request.h"

#include <stdbool.h>
#include <stdint.h>

struct dispatch;
struct host;
struct upstream;
struct metrics;

enum lookup_state {
	LOOKUP_IDLE,        /* not submitted, or given back */
	LOOKUP_WAITING,     /* for its turn: the limiter, or a paused host */
	LOOKUP_IN_FLIGHT,   /* in a call */
	LOOKUP_BACKING_OFF, /* until `due` */
	LOOKUP_DONE,        /* response is final */
};

/* Embedded in and owned by the caller (an element of the record's array). */
struct lookup {
	struct request request;   /* owned by the caller; borrowed until done or cancelled */
	struct response response; /* final when state is LOOKUP_DONE; the caller frees it */
	void *record;             /* whose it is; opaque here */
	void *script;             /* lookups of different Lua states never share a call; opaque here */
	int part;     /* reference of response.json in that state, set by hooks.answer; -2 (LUA_NOREF) else */
	uint64_t age; /* sequence of its record: the lower is served first */
	size_t reserved; /* bytes held ready for the answer; the hooks keep these four, dispatch does not
	                    look */
	size_t promised; /* bytes of Lua's heap likewise */
	size_t covered;  /* an answer of this size needs no more than them */
	size_t seen;     /* what the answer was seen to have or announce, in any call */
	size_t came;     /* bytes that the body of the final answer had */
	bool alone;      /* its call was cut: it shares none any more */
	enum lookup_state state;
	unsigned attempts; /* counted against retry.attempts */
	unsigned calls;    /* calls it was part of, uncounted ones included */
	int64_t submitted; /* steady ms */
	int64_t due;       /* when backing off */
	int64_t paused_ms; /* time its host was paused, as of its last call: does not count for the deadline
	                    */
	struct list_node node;  /* private to dispatch.c from here: of the call, the paused host, or those due
	                           for done */
	struct heap_node place; /* among the waiting by age, or the backing off by due */
	struct call *call;
	struct host *host;
	int64_t host_paused; /* what host had been paused in all when this was submitted, ms */
	uint64_t turn;       /* order of submission, among equals in age */
	bool fresh;          /* its next call takes a new connection: the last one was stale */
};

struct call {
	struct http_transfer transfer;
	struct list lookups; /* linked by lookup.node */
	size_t lookup_count;
	struct dispatch *dispatch;
	struct upstream *upstream; /* private to dispatch.c */
	struct list_node node;     /* among those in the air */
	bool doomed;               /* to be cut by the next tick, unless it ends before */
	char *url;
	int64_t wall; /* when the answer came, for Retry-After */
};

/* What the answer of a call means, said by hooks.answer for 2xx and accepted statuses. */
enum answer {
	ANSWER_OK,         /* every lookup of the call has its part (or none, and that is final) */
	ANSWER_UNPARSABLE, /* expect = json and it does not parse: as a transport failure */
	ANSWER_RETRY,      /* the script's split said retry */
	ANSWER_FAIL,       /* the script's split said fail, or failed itself */
};

struct answer_detail {
	double after;    /* seconds, for ANSWER_RETRY */
	bool host_scope; /* pause the whole host; no attempt */
	char reason[64]; /* retry reason or fail type */
	char message[512];
};

struct dispatch_hooks {
	void *context;
	/* Whether there is room for the answer of this lookup: asked, the oldest first, before each call, the
	 * one after a back-off included. After a no nothing more is sent for its upstream until the next
	 * tick. NULL: always. */
	bool (*room)(void *context, struct lookup *lookup);
	/* Whether the answer of this lookup (the oldest of its call) may come to `size` bytes; `announced` is
	 * how many there will be, 0 = unknown. Submits and cancels nothing. NULL: always. */
	bool (*grow)(void *context, struct lookup *lookup, size_t size, size_t announced);
	/* The lookup is in no call any more, or will not be soon, and is to be asked again: what was held
	 * ready for its answer is free. */
	void (*yield)(void *context, struct lookup *lookup);
	/* Runs once per call with 2xx or an accepted status: parse and split, store each lookup's part. The
	 * answer is call->transfer's (status, answer_headers, answer); may free its body where no lookup
	 * needs it. May pause hosts; submits and cancels nothing. */
	enum answer (*answer)(void *context, struct call *call, struct answer_detail *detail);
	/* The lookup is final (LOOKUP_DONE) and the caller's again. Not called from within dispatch_submit or
	 * dispatch_cancel. May submit and cancel others, and free this one. */
	void (*done)(void *context, struct lookup *lookup);
};

struct dispatch_config {
	const struct upstream_config *upstreams;
	size_t upstream_count;
	double (*random)(void); /* [0, 1) */
};

struct dispatch *dispatch_open(struct http *http, const struct dispatch_config *config,
        const struct dispatch_hooks *hooks, struct metrics *metrics);
void dispatch_close(struct dispatch *dispatch); /* every lookup must be done or cancelled */
/* Takes a lookup whose request is set; state must be LOOKUP_IDLE. Sends from dispatch_tick, not from here. */
void dispatch_submit(struct dispatch *dispatch, struct lookup *lookup, int64_t now);
/* Forgets a lookup, wherever it is, and makes it LOOKUP_IDLE; hooks are not called. One that is done stays
 * so. */
void dispatch_cancel(struct dispatch *dispatch, struct lookup *lookup);
/* Sends what may be sent, wakes what backed off. Answers the steady ms of the next thing to do, or -1:
 * nothing until something is submitted or a call ends (the end of a call itself happens on the loop, outside
 * of this, so call it after each turn of the loop). */
int64_t dispatch_tick(struct dispatch *dispatch, int64_t now);
/* Nothing is sent to this host before `until` (steady ms; at most 60 s ahead). host may be NULL (the
 * upstream's own). */
void dispatch_pause_host(struct dispatch *dispatch, size_t index, const char *name, int64_t until,
        int64_t now, const char *reason); /* an identifier, for the log; metrics tell "429" from "retry" */
size_t dispatch_in_flight(const struct dispatch *dispatch); /* calls */
size_t dispatch_waiting(const struct dispatch *dispatch);   /* lookups waiting or backing off */

#endif
