/* Places where a test build dies on purpose. */
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
static atomic_long passings; /* left until the death */

static void read_environment(void)
{
	const char *text = getenv("MILLRACE_FAULT");
	const char *colon = text ? strchr(text, ':') : NULL;
	if (text == NULL)
		return;
	wanted_size = colon ? (size_t)(colon - text) : strlen(text);
	atomic_store(&passings, colon ? strtol(colon + 1, NULL, 10) : 1);
	wanted = text;
}

void fault_point(const char *place)
{
	pthread_once(&once, read_environment);
	if (wanted == NULL || strlen(place) != wanted_size || memcmp(place, wanted, wanted_size) != 0)
		return;
	if (atomic_fetch_sub(&passings, 1) == 1)
		raise(SIGKILL);
}

#endif
