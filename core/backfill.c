/* Is this a backlog, to be worked gently and recognisably, or live work, to be done at once? */
#include "backfill.h"

const char *backfill_why_name(enum backfill_why why)
{
	static const char *const names[] = {[BACKFILL_NONE] = "none",
	        [BACKFILL_RECORDS] = "records",
	        [BACKFILL_FRESHNESS] = "freshness",
	        [BACKFILL_BOUNDED] = "bounded"};
	return names[why];
}

static enum backfill_why reason(
        const struct backfill_config *config, const struct backfill_lag *lag, unsigned part)
{
	if (config->records && lag->records > config->records / part)
		return BACKFILL_RECORDS;
	if (config->freshness_ms && lag->behind_ms > config->freshness_ms / part)
		return BACKFILL_FRESHNESS;
	return BACKFILL_NONE;
}

static bool become(struct backfill *backfill, enum backfill_why why, int64_t now)
{
	bool changed = (backfill->why == BACKFILL_NONE) != (why == BACKFILL_NONE);
	backfill->why = why;
	backfill->calm = -1;
	if (changed)
		backfill->since = now;
	return changed;
}

bool backfill_look(struct backfill *backfill, const struct backfill_config *config, bool bounded,
        const struct backfill_lag *lag, int64_t now)
{
	bool thresholds = config->records || config->freshness_ms;
	if (bounded)
		return become(backfill, BACKFILL_BOUNDED, now);
	if (!thresholds)
		return become(backfill, BACKFILL_NONE, now);
	if (!lag->known)
		return false;
	enum backfill_why above = reason(config, lag, 1);
	if (above != BACKFILL_NONE)
		return become(backfill, above, now);
	if (backfill->why == BACKFILL_NONE)
		return false;
	if (reason(config, lag, 2) != BACKFILL_NONE) {
		backfill->calm = -1;
		return false;
	}
	if (backfill->calm < 0)
		backfill->calm = now;
	return now - backfill->calm >= BACKFILL_CALM_MS && become(backfill, BACKFILL_NONE, now);
}
