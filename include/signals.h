/* What signals mean to a running worker: the first TERM or INT asks for a drain, the second quits at once. */
#ifndef MILLRACE_SIGNALS_H
#define MILLRACE_SIGNALS_H

struct worker;

void signals_install(struct worker *worker); /* borrows it until signals_forget */
void signals_forget(void); /* before the worker is freed */

#endif
