/* Places where a test build dies or fails on purpose. */
#include "fault.h"

#ifdef MILLRACE_FAULTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *wanted;   /* "place:N", NULL = live for ever */
static size_t wanted_size;   /* of the place's name */
static atomic_long passings; /* left until the death, or the next failure */
static long every;           /* how many there were at first */

static void read_environment(void)
{
	const char *text = getenv("MILLRACE_FAULT");
	const char *colon = text ? strchr(text, ':') : NULL;
	if (text == NULL)
		return;
	wanted_size = colon ? (size_t)(colon - text) : strlen(text);
	every = colon ? strtol(colon + 1, NULL, 10) : 1;
	atomic_store(&passings, every);
	wanted = text;
}

/* Whether this is the N-th passing of the wanted place. */
static bool passes(const char *place)
{
	pthread_once(&once, read_environment);
	if (wanted == NULL || strlen(place) != wanted_size || memcmp(place, wanted, wanted_size) != 0)
		return false;
	return atomic_fetch_sub(&passings, 1) == 1;
}

void fault_point(const char *place)
{
	if (passes(place))
		raise(SIGKILL);
}

void fault_stuck(const char *place)
{
	if (passes(place))
		for (volatile bool ever = true; ever;)
			;
}

bool fault_due(const char *place)
{
	if (!passes(place))
		return false;
	atomic_store(&passings, every);
	return true;
}

#endif
