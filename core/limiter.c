/* May one more call start now, and if not, when? */
#include "limiter.h"

#include <assert.h>
#include <math.h>

/* A bucket never holds less than one whole lookup, or a rate below 1/s could never start any. */
static double bucket_size(const struct limiter *limiter)
{
	return limiter->rate > 1 ? limiter->rate : 1;
}

void limiter_init(struct limiter *limiter, unsigned concurrency, double rate, int64_t now)
{
	*limiter = (struct limiter){.concurrency = concurrency, .rate = rate, .filled = now};
	limiter->tokens = bucket_size(limiter);
}

static void refill(struct limiter *limiter, int64_t now)
{
	if (now <= limiter->filled)
		return;
	limiter->tokens += (double)(now - limiter->filled) * limiter->rate / 1000;
	limiter->filled = now;
	if (limiter->tokens > bucket_size(limiter))
		limiter->tokens = bucket_size(limiter);
}

bool limiter_take(struct limiter *limiter, unsigned lookups, int64_t now, int64_t *wait_ms)
{
	*wait_ms = -1;
	if (limiter->in_flight >= limiter->concurrency)
		return false;
	if (limiter->rate > 0) {
		refill(limiter, now);
		/* A call larger than the bucket starts on a full one and leaves a debt. */
		double need = lookups < bucket_size(limiter) ? lookups : bucket_size(limiter);
		double missing = need - limiter->tokens;
		if (missing > 1e-9) {
			double wait = ceil(missing / limiter->rate * 1000);
			*wait_ms = wait < 1 ? 1 : wait > LIMITER_WAIT_MAX ? LIMITER_WAIT_MAX : (int64_t)wait;
			return false;
		}
		limiter->tokens -= lookups;
	}
	limiter->in_flight++;
	return true;
}

void limiter_end(struct limiter *limiter)
{
	assert(limiter->in_flight > 0);
	limiter->in_flight--;
}
