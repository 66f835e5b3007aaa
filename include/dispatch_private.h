/* What dispatch's own files share: its queues and what becomes of a call. Private to core/dispatch*.c.
 *
 * Every lookup is a user of its host. One that waits stands in host.ready, by age, and also in a batch, where
 * it may share a call, or else in host.apart. host.next_up is the one to be sent next: the oldest, or, while
 * others gather, the oldest that need not. A host with such a lookup, no pause and a slot of its own free
 * stands in upstream.turns, by that lookup; one whose lookups all gather in upstream.gathering. One that
 * backs off stands in host.resting and in upstream.backing_off, by due. One in flight is in a call, which is
 * in host.calls. */
#ifndef MILLRACE_DISPATCH_PRIVATE_H
#define MILLRACE_DISPATCH_PRIVATE_H

#include "dispatch.h"
#include "hosts.h"
#include "log.h"
#include "metrics.h"

enum {
	DISPATCH_FAILURES = 5, /* in a row: from then on a host counts as failing */
	DISPATCH_TROUBLE_MS =
	        5000,            /* without a good answer: from then on it may have to give way to others */
	DISPATCH_LINGER_MS = 50, /* longest time for which lookups gather while there is a slot for them */
	/* 80 % of the 8 MiB that a MediaWiki puts into one answer ($wgAPIMaxResultSize) */
	DISPATCH_BATCH_BYTES = (8 << 20) / 5 * 4,
	DISPATCH_BATCH_LEAST = 64 << 10, /* what no truncated answer takes away */
	DISPATCH_STATUS_MAX = 600,
	DISPATCH_LABEL = 16
};

struct upstream {
	const struct upstream_config *config;
	struct limiter limiter;
	struct breaker breaker;
	struct hosts hosts;
	struct dispatch *dispatch;
	struct heap turns;     /* hosts by the lookup that is next up */
	struct heap gathering; /* hosts by when their lookups have gathered for long enough */
	struct batches batches;
	struct heap backing_off; /* lookups by due */
	size_t waiting, unasked; /* lookups ready or backing off; those of them that were in no call yet */
	bool wants_unasked;      /* a probe is due and would best be a lookup that was never asked */
	int64_t looked;          /* when the breaker's time was last counted */
	struct log_site failing, pausing, relieving;
	struct histogram *duration, *call_lookups;
	double *in_flight_value, *waiting_value, *lookups, *bytes, *limit, *open_seconds,
	        *circuit[BREAKER_STATES];
	double *requests[2][DISPATCH_STATUS_MAX]; /* first and retry, by status; 0 = no answer; NULL until
	                                             used */
};

struct dispatch {
	struct http *http;
	struct dispatch_config config;
	struct dispatch_hooks hooks;
	struct metrics *metrics;
	struct upstream *upstreams;
	struct list calls;    /* in the air */
	size_t doomed;        /* of them */
	struct list finished; /* lookups whose done is due */
	bool delivering;
	size_t in_flight; /* calls */
	uint64_t turns;   /* submissions so far */
	uint64_t parts;   /* of calls that were asked again in smaller ones, so far */
	uint64_t failed;  /* calls, so far */
	int64_t now;      /* as last heard */
	double *connections;
};

/* What becomes of the lookups of a call that ended. */
struct fate {
	enum { FATE_ANSWER, FATE_REFUSE, FATE_AGAIN, FATE_STALE, FATE_LATER, FATE_CUT, FATE_HALVE } kind;
	const char *type;            /* error_type of the refusal, now or when the retries are used up */
	const char *label;           /* why it is asked again, for the metric */
	int64_t wait_ms;             /* AGAIN: Retry-After, -1 = none; LATER: how long */
	char status[DISPATCH_LABEL]; /* what label points to, for a status */
	char message[768];
};

/* dispatch.c: the queues */
bool dispatch_is_older(const struct lookup *one, const struct lookup *two);
void dispatch_free_call(struct call *call); /* it has ended, and its lookups have left it */
struct upstream *dispatch_upstream_of(const struct dispatch *dispatch, const struct lookup *lookup);
void dispatch_make_ready(struct upstream *upstream, struct lookup *lookup);
void dispatch_back_off(struct upstream *upstream, struct lookup *lookup, int64_t now, int64_t wait_ms);
void dispatch_leave_queue(struct upstream *upstream, struct lookup *lookup); /* ready or backing off */
void dispatch_leave_call(struct dispatch *dispatch, struct lookup *lookup);  /* in flight */
void dispatch_pause(struct dispatch *dispatch, struct upstream *upstream, struct host *host, int64_t until,
        int64_t now, const char *reason);
/* The limiter and hooks.room let them pass, the oldest first: sends them in one call, or refuses them when
 * they cannot be sent. */
void dispatch_start_call(struct dispatch *dispatch, struct upstream *upstream, struct lookup *const *lookups,
        size_t count, bool probe, int64_t now);
void dispatch_end_lookup(struct dispatch *dispatch, struct lookup *lookup, int64_t now);
void dispatch_refuse(
        struct dispatch *dispatch, struct lookup *lookup, int64_t now, const struct fate *fate, int status);

/* dispatch_merge.c: who shares a call */
void dispatch_know_host(struct host *host); /* one that may be new */
void dispatch_enter_ready(struct upstream *upstream, struct lookup *lookup);
void dispatch_leave_ready(struct upstream *upstream, struct lookup *lookup);
void dispatch_choose(struct upstream *upstream, struct host *host);   /* host.next_up */
void dispatch_gathered(struct upstream *upstream, struct host *host); /* for long enough */
bool dispatch_ends_gathering_sooner(const struct heap_node *a, const struct heap_node *b);
/* The call that this lookup is sent in: the lookups, it first, and how many. */
size_t dispatch_gather(
        struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup, struct lookup **chosen);
bool dispatch_item_is_older(const struct heap_node *a, const struct heap_node *b);
/* The lookups of a call, before they leave it, are to be asked again in halves. */
void dispatch_halve(struct call *call, const char *reason);
/* Those without a part, likewise; hears what the call says about what fits in an answer. */
void dispatch_part(struct call *call);
void dispatch_share_bytes(struct call *call); /* sets `came` of its lookups */

/* dispatch_answer.c: what an answer means */
struct lookup *dispatch_oldest_of(const struct call *call);
void dispatch_judge(struct call *call, int64_t now, struct fate *fate);
void dispatch_apply(struct call *call, int64_t now, const struct fate *fate);

void dispatch_yield(struct dispatch *dispatch, struct lookup *lookup); /* hooks.yield */

/* dispatch_room.c: room for answers while they come */
bool dispatch_may_grow(struct http_transfer *transfer, size_t size);
void dispatch_cut_doomed(struct dispatch *dispatch, int64_t now);

/* dispatch_trouble.c: hosts and upstreams in trouble */
bool dispatch_host_failing(const struct host *host);
void dispatch_host_troubled(struct host *host, int64_t now); /* it paused, or a call of it failed */
/* Tells limiter, host and breaker; before dispatch_apply. */
void dispatch_note(struct call *call, const struct fate *fate, int64_t now);
void dispatch_probe_lost(struct call *call, int64_t now); /* a call ended without a word about its upstream */
/* While the breaker is not closed, in place of all other sending. Answers when to look again, -1 = no time.
 */
int64_t dispatch_send_probe(struct dispatch *dispatch, struct upstream *upstream, int64_t now);
void dispatch_count_breaker(struct upstream *upstream, int64_t now); /* the metrics of its state */

#endif
