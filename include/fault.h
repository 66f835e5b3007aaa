/* Places where a test build dies on purpose: MILLRACE_FAULT=after_ack|after_file|after_commit|in_hook:N kills
 * the process at the N-th passing of that place. Compiled to nothing unless MILLRACE_FAULTS is defined
 * (`make FAULTS=1`). */
#ifndef MILLRACE_FAULT_H
#define MILLRACE_FAULT_H

#ifdef MILLRACE_FAULTS
void fault_point(const char *place);
#else
static inline void fault_point(const char *place)
{
	(void)place;
}
#endif

#endif
