/* What signals mean to a running worker: the first TERM or INT asks for a drain, the second quits at once;
 * HUP loads the script again. */
#ifndef MILLRACE_SIGNALS_H
#define MILLRACE_SIGNALS_H

#include <stdbool.h>

struct worker;

/* Borrows it until signals_forget. reloads: HUP loads the script again; else it keeps its meaning. */
void signals_install(struct worker *worker, bool reloads);
void signals_forget(void); /* before the worker is freed */

#endif
