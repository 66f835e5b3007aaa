/* Whether the process itself stood still, by beats that come too late. */
#include "standstill.h"

void standstill_begin(struct standstill *standstill, int64_t now)
{
	standstill->beat = now;
}

void standstill_beat(struct standstill *standstill, int64_t now)
{
	if (standstill->beat && now - standstill->beat >= STANDSTILL_MS)
		standstill->woke = now;
	standstill->beat = now;
}

bool standstill_hit(struct standstill *standstill, int64_t began, int64_t now)
{
	if (standstill->beat && now - standstill->beat >= STANDSTILL_MS)
		standstill_beat(standstill, now);
	return standstill->woke && began < standstill->woke && now - standstill->woke < STANDSTILL_AFTER_MS;
}
