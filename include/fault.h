/* Places where a test build dies or fails on purpose.
 *
 * MILLRACE_FAULT=after_ack|after_file|after_commit|in_hook:N kills the process at the N-th passing of that
 * place; stuck_in_hook:N never leaves it, as C code would that nothing stops; fatal_producer:N fails a Kafka
 * producer for good at every N-th output. Compiled to nothing unless MILLRACE_FAULTS is defined (`make
 * FAULTS=1`). */
#ifndef MILLRACE_FAULT_H
#define MILLRACE_FAULT_H

#include <stdbool.h>

#ifdef MILLRACE_FAULTS
void fault_point(const char *place);
void fault_stuck(const char *place);
bool fault_due(const char *place); /* true at every N-th passing */
#else
static inline bool fault_due(const char *place)
{
	(void)place;
	return false;
}

static inline void fault_stuck(const char *place)
{
	(void)place;
}

static inline void fault_point(const char *place)
{
	(void)place;
}
#endif

#endif
