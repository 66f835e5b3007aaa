/* One thread for everything that blocks: each job has a deadline and answers on the loop.
 *
 * A job that has not answered by its deadline is `late`: done is called with late = true, and its real answer
 * is thrown away when it comes (through `forget`, on the loop). Jobs run one after another in the order
 * given; while one hangs, the ones behind it become late too, each by its own deadline. */
#ifndef MILLRACE_HELPER_H
#define MILLRACE_HELPER_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct helper;

struct helper_job {
	const char *name;
	void *context;              /* the job's own; owned by the job until done or forget */
	void (*run)(void *context); /* on the helper's thread: touches only its context */
	void (*done)(
	        void *context, bool late); /* on the loop; when late the context still belongs to the job */
	void (*forget)(void *context);     /* on the loop: the late answer came after all, or never will */
	int64_t deadline_ms;               /* from submission */
};

struct helper *helper_open(struct event_base *base, struct err *err);
void helper_submit(struct helper *helper, const struct helper_job *own); /* copies the struct */
/* Waits for the job that runs now at most `wait_ms` and delivers its answer, or leaves it behind (its context
 * then belongs to nobody: the process is ending); queued jobs are forgotten, and so is what is submitted
 * meanwhile: nobody waits for their answers any more. Whoever needs an answer waits for it before it closes,
 * as the source does for its last files. */
void helper_close(struct helper *helper, int64_t wait_ms);

#endif
