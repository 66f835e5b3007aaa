/* An error stream as a source: what the error events are about, instead of the events.
 *
 * It stands between a source that reads the error stream (source_kafka.c) and the pipeline, behind the
 * handlers of the one and before those of the other. Positions, tickets and commits are those of the error
 * stream: an error event has ended when its original has. An original that is not whole in its event is read
 * again from its source, on the helper's thread; what came after it in the stream waits for it, so the order
 * of the stream stays. Events that are not taken end at once.
 *
 * Loop thread only. */
#ifndef MILLRACE_SOURCE_ERRORS_H
#define MILLRACE_SOURCE_ERRORS_H

#include "errorpick.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct source_errors;

struct source_errors_config {
	const struct errorfilter *filter;   /* borrowed */
	const struct source_config *source; /* of the job: topics, and how to read originals again. Borrowed
	                                     */
	const char *client_id;
	double rate; /* originals per second; 0 = no limit */
};

struct source_errors_counts {
	uint64_t picks[ERRORPICKS];
	uint64_t handed; /* to the pipeline */
	uint64_t again;  /* of them: read again from the source */
	uint64_t gone;   /* no longer in the source: left where they are */
};

/* handlers: the pipeline's. */
struct source_errors *source_errors_open(struct event_base *base, const struct source_errors_config *config,
        struct helper *helper, const struct source_handlers *handlers);
/* For the source that reads the error stream. */
void source_errors_handlers(struct source_errors *self, struct source_handlers *handlers);
bool source_errors_idle(const struct source_errors *self); /* nothing waits here */
struct source_errors_counts source_errors_counts(const struct source_errors *self);
/* After the source and the helper; NULL is fine. */
void source_errors_close(struct source_errors *self);

#endif
