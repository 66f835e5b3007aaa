/* Is this a backlog, to be worked gently and recognisably, or live work, to be done at once? Pure.
 *
 * A job that is behind asks an API as fast as it may, for hours, about what nobody waits for. So there are
 * limits and a User-Agent for such times. They begin as soon as the lag is above a threshold, and end when it
 * has been at most half of it for BACKFILL_CALM_MS, so that they do not flap where arrivals and rate are
 * close. A bounded run is a backlog from its beginning to its end. */
#ifndef MILLRACE_BACKFILL_H
#define MILLRACE_BACKFILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BACKFILL_CALM_MS = 5000 };

struct backfill_config {
	size_t records;       /* behind by more than so many; 0 = whatever it is */
	int64_t freshness_ms; /* or by so much time; 0 = likewise */
	char *user_agent;     /* NULL = the usual one */
};

/* Of one upstream, in place of its own. */
struct backfill_limits {
	double rate;          /* lookups per second; 0 = its own */
	unsigned concurrency; /* calls in flight; 0 = its own */
};

struct backfill_lag {
	bool known;
	uint64_t records;  /* not read yet, or open */
	int64_t behind_ms; /* age of what is asked about next; 0 = nothing waits */
};

enum backfill_why { BACKFILL_NONE, BACKFILL_RECORDS, BACKFILL_FRESHNESS, BACKFILL_BOUNDED };

/* Zeroed: live. */
struct backfill {
	enum backfill_why why;
	int64_t since; /* steady ms of the last change */
	int64_t calm;  /* when the lag came to be at most half, -1 = it is more */
};

/* Takes a look; true when `why` changed between none and any. */
bool backfill_look(struct backfill *backfill, const struct backfill_config *config, bool bounded,
        const struct backfill_lag *lag, int64_t now);
const char *backfill_why_name(enum backfill_why why); /* "none", "records", "freshness", "bounded" */

#endif
