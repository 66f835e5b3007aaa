/* May one more call start now, and if not, when? Concurrency and a token bucket, per upstream. Pure. */
#ifndef MILLRACE_LIMITER_H
#define MILLRACE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

enum { LIMITER_WAIT_MAX = 3600000 }; /* longest wait ever named, ms: ask again then */

struct limiter {
	unsigned concurrency; /* calls in flight at most */
	double rate;          /* lookups per second; 0 = no limit */
	unsigned in_flight;   /* calls */
	double tokens;  /* lookups that may start now; at most one second's worth, at least 1; below 0 = debt
	                 */
	int64_t filled; /* steady ms of the last refill */
};

/* Begins with a full bucket. */
void limiter_init(struct limiter *limiter, unsigned concurrency, double rate, int64_t now);
/* Takes one call of `lookups` lookups and answers true; else false and *wait_ms: -1 = until a call ends, else
 * ms. A call of more lookups than the bucket holds starts when the bucket is full, and the next ones wait for
 * it. */
bool limiter_take(struct limiter *limiter, unsigned lookups, int64_t now, int64_t *wait_ms);
void limiter_end(struct limiter *limiter); /* one call ended */

#endif
