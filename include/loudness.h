/* How much the log says while the process runs: what was configured, what somebody asked for, and debug for
 * five minutes. Pure, but for the clock's `now`.
 *
 * Debug by a signal ends by itself: nobody has to remember it. Where the level was set to another one
 * meanwhile, that stays. */
#ifndef MILLRACE_LOUDNESS_H
#define MILLRACE_LOUDNESS_H

#include "log.h"

#include <stdint.h>

enum { LOUDNESS_DEBUG_MS = 5 * 60 * 1000 };

struct loudness {
	enum log_level before; /* debug */
	int64_t until;         /* when debug ends; 0 = it was not switched on */
};

/* Debug on, or off again: answers the level from now on, of which `level` was the one until now. */
enum log_level loudness_toggle(struct loudness *loudness, enum log_level level, int64_t now);
/* Somebody asked for this level: it stays. */
void loudness_set(struct loudness *loudness);
/* Likewise, as time goes on. */
enum log_level loudness_turn(struct loudness *loudness, enum log_level level, int64_t now);

#endif
