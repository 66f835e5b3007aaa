/* How much the log says while the process runs. */
#include "loudness.h"

enum log_level loudness_toggle(struct loudness *loudness, enum log_level level, int64_t now)
{
	if (loudness->until && level == LOG_DEBUG) {
		loudness->until = 0;
		return loudness->before;
	}
	loudness->before = level == LOG_DEBUG ? LOG_INFO : level;
	loudness->until = now + LOUDNESS_DEBUG_MS;
	return LOG_DEBUG;
}

void loudness_set(struct loudness *loudness)
{
	loudness->until = 0;
}

enum log_level loudness_turn(struct loudness *loudness, enum log_level level, int64_t now)
{
	if (loudness->until == 0 || now < loudness->until)
		return level;
	loudness->until = 0;
	return level == LOG_DEBUG ? loudness->before : level;
}
