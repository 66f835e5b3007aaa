/* May one more call start now, and if not, when? Concurrency and a token bucket, per upstream. Pure.
 *
 * With a concurrency of 0 ("auto") the limit looks for the upstream's capacity by additive increase and
 * multiplicative decrease (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
 * Avoidance in Computer Networks", 1989; as TCP's congestion avoidance does it, RFC 5681 §3.1):
 *   + a refusal for load (429, 503) or a timeout halves it, never below 1; once per round trip, because calls
 *     that were under way when it was halved say nothing about the new limit (RFC 6582 §3.2 for TCP)
 *   + as many good answers as the limit is high raise it by one, hence one per round trip; only if the limit
 *     was reached meanwhile, since one that nobody needs is not tried out (RFC 7661 for TCP)
 * It begins at LIMITER_AUTO_FIRST and ends at LIMITER_AUTO_MAX. Latency has no say: a large page is slow, not
 * sick. (Netflix's concurrency-limits has the same as AIMDLimit, with a gentler decrease of a tenth.) */
#ifndef MILLRACE_LIMITER_H
#define MILLRACE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LIMITER_WAIT_MAX = 3600000, /* longest wait ever named, ms: ask again then */
	LIMITER_AUTO_FIRST = 16,
	LIMITER_AUTO_MAX = 512
};

struct limiter {
	unsigned concurrency; /* calls in flight at most, now */
	bool automatic;       /* concurrency moves */
	double rate;          /* lookups per second; 0 = no limit */
	unsigned in_flight;   /* calls */
	double tokens;  /* lookups that may start now; at most one second's worth, at least 1; below 0 = debt
	                 */
	int64_t filled; /* steady ms of the last refill */
	unsigned good;  /* answers since the limit last moved, at most as many as move it */
	bool full;      /* it was reached since it last moved */
	int64_t halved; /* steady ms of the last decrease */
};

/* Begins with a full bucket. concurrency 0 = auto. */
void limiter_init(struct limiter *limiter, unsigned concurrency, double rate, int64_t now);
/* Other limits from now on: calls in flight go on, an automatic one stays where it has got to. */
void limiter_use(struct limiter *limiter, unsigned concurrency, double rate, int64_t now);
/* Takes one call of `lookups` lookups and answers true; else false and *wait_ms: -1 = until a call ends, else
 * ms. A call of more lookups than the bucket holds starts when the bucket is full, and the next ones wait for
 * it. */
bool limiter_take(struct limiter *limiter, unsigned lookups, int64_t now, int64_t *wait_ms);
bool limiter_is_full(const struct limiter *limiter); /* nothing starts before a call ends */
/* What a call that started then says about the load, before its limiter_end. Nothing without auto. */
void limiter_hear(struct limiter *limiter, bool overload, int64_t started, int64_t now);
void limiter_end(struct limiter *limiter); /* one call ended */
/* Most calls in flight to one host: its share, or with none (0) half of the concurrency, or all of it while
 * no other host is asked. A host that only fails gets an eighth of that where there are others: what its
 * calls wait for is not worth more of the slots. */
unsigned limiter_of_host(const struct limiter *limiter, unsigned share, bool alone, bool failing);

#endif
