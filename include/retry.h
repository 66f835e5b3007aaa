/* Whether and when a refused call is asked again: attempts, deadline, full jitter, Retry-After. Pure.
 *
 * Full jitter: a random time between 0 and min(cap, base * 2^n) (AWS Architecture Blog, "Exponential Backoff
 * And Jitter", 2015). Retry-After in both forms: RFC 9110 §10.2.3. */
#ifndef MILLRACE_RETRY_H
#define MILLRACE_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RETRY_ON_MAX = 16 };

struct retry_config {
	unsigned attempts;    /* most calls for one lookup, the first included */
	int64_t base_ms;      /* back-off after the first failure */
	int64_t cap_ms;       /* longest back-off */
	int64_t deadline_ms;  /* from the lookup's submission: no retry is due after it; 0 = none */
	int on[RETRY_ON_MAX]; /* the statuses that are asked again; on_count 0: 408, 425, 429 and all 5xx */
	size_t on_count;
};

/* May this status be asked again? */
bool retry_status(const struct retry_config *config, int status);
/* May a lookup submitted at `submitted` be asked again at `at`? The deadline alone; attempts are not counted.
 */
bool retry_in_time(const struct retry_config *config, int64_t submitted, int64_t at);
/* After `attempts` failed calls of a lookup submitted at `submitted`: true and *wait_ms, or false: give up.
 * retry_after_ms < 0: the answer named none; else waits at least that long (at most 10 min).
 * random is a number in [0, 1). */
bool retry_next(const struct retry_config *config, unsigned attempts, int64_t submitted, int64_t now,
        int64_t retry_after_ms, double random, int64_t *wait_ms);
/* Reads Retry-After (seconds or an HTTP date, RFC 9110 §5.6.7) into ms from `wall` (ms since the epoch);
 * -1 when absent or nonsense; a date in the past gives 0. */
int64_t retry_after(const char *value, int64_t wall);

#endif
