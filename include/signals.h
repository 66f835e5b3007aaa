/* What signals mean to a running worker: the first TERM or INT asks for a drain, the second quits at once;
 * HUP loads the script again; USR1 tells the state in the log (the watchdog's own USR1 are told apart,
 * watchdog.h), USR2 switches debug lines on for five minutes, and off again. */
#ifndef MILLRACE_SIGNALS_H
#define MILLRACE_SIGNALS_H

#include <stdbool.h>

struct worker;

/* Before anything else: who asks too early for what USR1 and USR2 tell does no harm. */
void signals_prepare(void);
/* Borrows it until signals_forget. reloads: HUP loads the script again; else it keeps its meaning. */
void signals_install(struct worker *worker, bool reloads);
void signals_forget(void); /* before the worker is freed */

#endif
