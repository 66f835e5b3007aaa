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
	*limiter = (struct limiter){.concurrency = concurrency ? concurrency : LIMITER_AUTO_FIRST,
	        .automatic = concurrency == 0,
	        .rate = rate,
	        .filled = now,
	        .halved = INT64_MIN};
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

void limiter_use(struct limiter *limiter, unsigned concurrency, double rate, int64_t now)
{
	refill(limiter, now); /* by the old rate up to now */
	limiter->filled = now;
	limiter->rate = rate;
	if (limiter->tokens > bucket_size(limiter))
		limiter->tokens = bucket_size(limiter);
	if (concurrency)
		limiter->concurrency = concurrency;
	else if (!limiter->automatic)
		limiter->concurrency = LIMITER_AUTO_FIRST;
	limiter->automatic = concurrency == 0;
	limiter->good = 0;
	limiter->full = false;
}

bool limiter_is_full(const struct limiter *limiter)
{
	return limiter->in_flight >= limiter->concurrency;
}

bool limiter_take(struct limiter *limiter, unsigned lookups, int64_t now, int64_t *wait_ms)
{
	*wait_ms = -1;
	if (limiter_is_full(limiter))
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
	limiter->full |= ++limiter->in_flight >= limiter->concurrency;
	return true;
}

static void move_limit(struct limiter *limiter, unsigned concurrency)
{
	limiter->concurrency = concurrency;
	limiter->good = 0;
	limiter->full = false;
}

void limiter_hear(struct limiter *limiter, bool overload, int64_t started, int64_t now)
{
	if (!limiter->automatic || (overload && started <= limiter->halved))
		return;
	if (overload) {
		limiter->halved = now;
		move_limit(limiter, limiter->concurrency > 1 ? limiter->concurrency / 2 : 1);
		return;
	}
	if (limiter->good < limiter->concurrency)
		limiter->good++;
	if (limiter->good == limiter->concurrency && limiter->full)
		move_limit(limiter, limiter->concurrency + (limiter->concurrency < LIMITER_AUTO_MAX));
}

void limiter_end(struct limiter *limiter)
{
	assert(limiter->in_flight > 0);
	limiter->in_flight--;
}

unsigned limiter_of_host(const struct limiter *limiter, unsigned share, bool alone, bool failing)
{
	unsigned most = share ? share : alone ? limiter->concurrency : limiter->concurrency / 2;
	if (failing && !alone)
		most /= 8;
	return most > 1 ? most : 1;
}
