/* A helper without a thread: its one job runs when the test says so. Include once, after helper.h. */
#ifndef MILLRACE_HELPER_FAKES_H
#define MILLRACE_HELPER_FAKES_H

#include "helper.h"

static struct helper_job held_job; /* run NULL = none */

struct helper *helper_open(struct event_base *base, struct err *err)
{
	(void)base, (void)err;
	return (struct helper *)&held_job;
}

void helper_submit(struct helper *helper, const struct helper_job *own)
{
	(void)helper;
	assert_null(held_job.run);
	held_job = *own;
}

/* late: its deadline came before the answer. False when there is no job. */
static inline bool helper_answer(bool late)
{
	struct helper_job job = held_job;
	held_job.run = NULL;
	if (job.run == NULL)
		return false;
	if (!late)
		job.run(job.context);
	job.done(job.context, late);
	if (late) {
		job.run(job.context);
		job.forget(job.context);
	}
	return true;
}

void helper_close(struct helper *helper, int64_t wait_ms)
{
	(void)helper, (void)wait_ms;
	if (held_job.run)
		held_job.forget(held_job.context);
	held_job.run = NULL;
}

#endif
