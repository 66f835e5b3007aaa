/* When each lookup is asked: waiting, in flight, backing off; per upstream and host, the oldest record first.
 *
 * A lookup is one HTTP question of one record; a call is one HTTP exchange that answers one or more lookups.
 * Lookups that batch.h finds alike share a call:
 * - With nothing in flight to their host they are sent at once, as many as there are and fit. Else they
 * gather until they fill a call, the host has nothing in flight any more, or DISPATCH_LINGER_MS are over; at
 * the limit of concurrency until there is a slot. The oldest lookup decides what is sent next.
 * - Lookups without a part in an answer that brought others theirs are asked again together, and nobody joins
 *   them; after an answer that brought none, each alone; alone, no part is the answer. None of it is an
 * attempt. An answer that left some out tells how many bytes fit (host.batch_bytes), which grows again in
 * time.
 * - A shared call that is refused, whose answer means a failure, or that is cut is asked again in halves,
 * which is no attempt, until the lookup at fault is alone. One that failed or timed out likewise, which is
 * one (of each lookup); the last attempt of a lookup is its alone, so nobody is refused for a neighbour's
 * sake.
 * - One bad value can fail whatever it shares a call with. So the breaker does not open for calls that failed
 * one out of the other (a call, its half, the half of that), but when two failed that have no lookup in
 * common.
 *
 * A lookup ends answered (error_type NULL) or refused, by
 * error_type:
 *   HttpStatus       a status that is no answer and is not asked again, or was asked for the last time
 *   HttpTimeout, HttpTransport, HttpUnparsable   attempts or deadline are used up
 *   RetryDeadline    split said retry until the deadline was over
 *   ContentTooLarge  the answer outgrew max_body;   HttpInvalid  the request cannot be sent
 *   HostUnavailable  its host is in trouble and holds up the others: see dispatch_relieve
 *   and what split's fail names.
 * A call whose answer finds no room (hooks.grow) is cut, or a younger one in its place; a lookup that was cut
 * alone is asked again alone, which counts as no attempt.
 *
 * Trouble, from small to large:
 * - One call: asked again by retry.h, with attempts, a deadline, full jitter and Retry-After.
 * - One host that throttles (429, `retry` with scope host) pauses: no attempt is counted, no deadline runs.
 *   No host has more calls in flight than its share (`host_concurrency`), so that one whose calls wait for
 *   their timeouts leaves slots to the others; one that failed five times in a row gets fewer.
 * - The upstream, by breaker.h: when most lookups of most hosts fail it stands still. Nothing is sent but one
 *   probe at a time; attempts and deadlines of its lookups stand still; what was in flight comes back
 *   uncounted, and whoever failed on the way there gets that attempt back. The caller stops taking records
 *   (dispatch_takes).
 *
 * A probe is best a lookup that was never asked: one that fails by its own fault would else keep the breaker
 * open for ever. When none waits, the door is opened for one record; if none comes within a second, those
 * that wait are tried in turn. */
#ifndef MILLRACE_DISPATCH_H
#define MILLRACE_DISPATCH_H

#include "batch.h"
#include "breaker.h"
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

enum { DISPATCH_PAUSE_MAX_MS = 60000 }; /* longest pause of a host that one answer can cause */

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
	int part; /* reference of response.json in that state, set by hooks.answer; -2 (LUA_NOREF) else */
	char *carried; /* its part as JSON text, between two states; the caller's, like the next two */
	size_t carried_size;
	bool lost;       /* it had a part, and has not any more */
	bool suspect;    /* never shares a call: a process died of one that it may have been in */
	uint64_t age;    /* sequence of its record: the lower is served first */
	size_t reserved; /* bytes held ready for the answer; the hooks keep these four, dispatch does not
	                    look */
	size_t promised; /* bytes of Lua's heap likewise */
	size_t covered;  /* an answer of this size needs no more than them */
	size_t seen;     /* what the answer was seen to have or announce, in any call */
	size_t came;     /* bytes that the body of the final answer had */
	bool alone;      /* it shares no call any more */
	enum lookup_state state;
	unsigned attempts; /* counted against retry.attempts */
	unsigned calls;    /* calls it was part of, uncounted ones included */
	int64_t submitted; /* steady ms */
	int64_t due;       /* when backing off */
	int64_t paused_ms; /* time for which its host or the upstream stood still, as of its last call: does
	                      not count for the deadline */
	struct list_node node;  /* private to dispatch*.c from here: of the call, the host's that back off, or
	                           those due for done */
	struct heap_node place; /* among its host's waiting by age, or the upstream's backing off by due */
	struct call *call;
	struct host *host;
	int64_t host_paused; /* for how long host had stood still in all when this was submitted, ms */
	struct breaker_mark mark;
	uint64_t failed;        /* number of its latest call that failed, 0 = none */
	unsigned probes;        /* calls of it that were probes */
	uint64_t turn;          /* order of submission, among equals in age */
	bool fresh;             /* its next call takes a new connection: the last one was stale */
	struct batch_item item; /* while it waits, among those that share a call, or in host.apart */
};

struct call {
	struct http_transfer transfer;
	struct list lookups; /* linked by lookup.node */
	size_t lookup_count;
	struct dispatch *dispatch;
	struct upstream *upstream; /* private to dispatch*.c, as is what follows */
	struct host *host;
	struct list_node at_host; /* in host.calls */
	struct list_node node;    /* among those in the air */
	int64_t started;
	bool probe;
	bool doomed; /* to be cut by the next tick, unless it ends before */
	char *url;
	int64_t wall; /* when the answer came, for Retry-After */
};

/* What the answer of a call means, said by hooks.answer for 2xx and accepted statuses. */
enum answer {
	ANSWER_OK,         /* each lookup of the call has its part, or none */
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
	/* Whether there is room for the answer of this lookup: asked for each of a call, the oldest first,
	 * before each call, the one after a back-off included. After a no for the oldest nothing more is sent
	 * for its upstream until the next tick; after one for another it is left out. NULL: always. */
	bool (*room)(void *context, struct lookup *lookup);
	/* Whether the answer of this call may come to `size` bytes; `announced` is how many there will be, 0
	 * = unknown. Submits and cancels nothing. NULL: always. */
	bool (*grow)(void *context, struct call *call, size_t size, size_t announced);
	/* The lookup is in no call any more, or will not be soon, and is to be asked again: what was held
	 * ready for its answer is free. */
	void (*yield)(void *context, struct lookup *lookup);
	/* Runs once per call with 2xx or an accepted status: parse and split, store each lookup's part. The
	 * answer is call->transfer's (status, answer_headers, answer); may free its body where no lookup
	 * needs it (of a call that several share none does). May pause hosts; submits and cancels
	 * nothing. Of a shared call only a 2xx is heard. */
	enum answer (*answer)(void *context, struct call *call, struct answer_detail *detail);
	/* The call has ended, its lookups have not left it: answered or failed, body included. Only to look
	 * at. NULL: nobody looks, as for the next. */
	void (*came)(void *context, const struct call *call);
	/* The lookup has left its call and is to be asked again: why, when at the earliest, and whether that
	 * counts as one of retry.attempts. Only to look at. */
	void (*again)(
	        void *context, const struct lookup *lookup, const char *reason, int64_t wait_ms, bool counts);
	/* The lookup is final (LOOKUP_DONE) and the caller's again. Not called from within dispatch_submit or
	 * dispatch_cancel. May submit and cancel others, and free this one. */
	void (*done)(void *context, struct lookup *lookup);
};

struct dispatch_config {
	const struct upstream_config *upstreams;
	size_t upstream_count;
	double (*random)(void); /* [0, 1) */
	bool no_breaker;        /* who reads a file to its end is told of failures rather than made to wait */
};

struct dispatch *dispatch_open(struct http *http, const struct dispatch_config *config,
        const struct dispatch_hooks *hooks, struct metrics *metrics);
/* Rates and concurrencies of the upstreams have changed, in the structs that it borrows. */
void dispatch_retune(struct dispatch *dispatch, int64_t now);
/* Others than those of one upstream's struct, until dispatch_retune; concurrency 0 = auto. */
void dispatch_limit(struct dispatch *dispatch, size_t index, unsigned concurrency, double rate, int64_t now);
void dispatch_close(struct dispatch *dispatch); /* every lookup must be done or cancelled */
/* Takes a lookup whose request is set; state must be LOOKUP_IDLE. Sends from dispatch_tick, not from here. */
void dispatch_submit(struct dispatch *dispatch, struct lookup *lookup, int64_t now);
/* Forgets a lookup, wherever it is, and makes it LOOKUP_IDLE; hooks are not called. One that is done stays
 * so. */
void dispatch_cancel(struct dispatch *dispatch, struct lookup *lookup);
/* Another state takes its answer: all lookups of one call must go there in one go, or be cancelled. Of one
 * that is done nothing changes. */
void dispatch_hand_over(struct dispatch *dispatch, struct lookup *lookup, void *script);
/* Sends what may be sent, wakes what backed off. Answers the steady ms of the next thing to do, or -1:
 * nothing until something is submitted or a call ends (the end of a call itself happens on the loop, outside
 * of this, so call it after each turn of the loop). */
int64_t dispatch_tick(struct dispatch *dispatch, int64_t now);
/* Nothing is sent to this host before `until` (steady ms; at most 60 s ahead). host may be NULL (the
 * upstream's own). */
void dispatch_pause_host(struct dispatch *dispatch, size_t index, const char *name, int64_t until,
        int64_t now, const char *reason); /* an identifier, for the log; metrics tell "429" from "retry" */
/* Whether new records may be taken: no breaker is open, or a probe is due and wants a lookup that was never
 * asked. Changes within dispatch_submit and dispatch_tick and when calls end. */
bool dispatch_takes(const struct dispatch *dispatch);
bool dispatch_stands(const struct dispatch *dispatch); /* a breaker is not closed */
/* Whether this lookup waits for nothing but the end of its host's pause or of the upstream's trouble. */
bool dispatch_held(const struct dispatch *dispatch, const struct lookup *lookup);
/* Ends as HostUnavailable the lookups of records with an age of at most `line` at hosts in trouble: paused,
 * or failing five calls in a row, and nothing good came from it for five seconds; or more than half of at
 * least twenty of its lookups of the last 30 s failed. One that throttles now and then sets the pace, no
 * more. Of those in flight only the ones of at most `late`: what was sent has time to be answered, so that a
 * host can get well. Nothing is ended while trouble is general, which is when all hosts asked are in trouble,
 * or three or more that hold more than half of the `open` records from the oldest open one to the newest, or
 * a breaker is open: then nobody is held up by one host, and to wait is right. A host that is merely slow is
 * not in trouble: it gives back-pressure.
 *
 * This is how one host holds at most half of `limits.records`. What is bounded there is the distance from the
 * oldest open record to the newest, so a host holds what stands between them, however few its own records
 * are; hence its oldest ones go, each after it has had half of the limit's time, not the ones that just came.
 * Answers how many. */
size_t dispatch_relieve(struct dispatch *dispatch, uint64_t line, uint64_t late, uint64_t open, int64_t now);

/* A host to look at. */
struct dispatch_host {
	const char *upstream;
	const char *name;                       /* NULL = the upstream's own; good until the next tick */
	size_t waiting, in_flight, backing_off; /* lookups, calls, lookups */
	unsigned failures;                      /* calls in a row */
	int64_t paused_ms;                      /* from now on; 0 = it is not */
	int64_t troubled_ms;                    /* for how long it has been in trouble; -1 = it is not */
};

/* At most `most` of those that are asked or in trouble, the worst first; answers how many, *all of how many.
 */
size_t dispatch_hosts(
        const struct dispatch *dispatch, int64_t now, struct dispatch_host *hosts, size_t most, size_t *all);
/* Share of what may be in flight that is, over all upstreams: 0 to 1. */
double dispatch_occupied(const struct dispatch *dispatch);
size_t dispatch_in_flight(const struct dispatch *dispatch); /* calls */
size_t dispatch_waiting(const struct dispatch *dispatch);   /* lookups waiting or backing off */

#endif
