/* Which error events a replay takes: those of the job's own source that are meant, and each record once.
 *
 * A record that failed again in an earlier replay has several events. The first one met stands for all of
 * them: its lane's later records follow it in the stream, while the later event may follow them. */
#ifndef MILLRACE_ERRORPICK_H
#define MILLRACE_ERRORPICK_H

#include "errorevent.h"

struct source_config;

enum errorpick {
	ERRORPICK_TAKEN,
	ERRORPICK_FILTERED, /* not meant */
	ERRORPICK_FOREIGN,  /* of a topic that is none of the job's, or of another program's making */
	ERRORPICK_REPEATED, /* another event has spoken of its record before */
	ERRORPICK_UNREADABLE,
	ERRORPICKS
};

struct errorpicker {
	const struct errorfilter *filter;   /* borrowed */
	const struct source_config *source; /* of the job, borrowed: its topics */
	struct origins *met;                /* owned */
	struct errorevent_reader reader;
	uint64_t counts[ERRORPICKS];
};

/* An error event as it came; borrowed. */
struct errorpick_message {
	int32_t partition; /* of the error stream */
	int64_t offset;
	struct bytes value;
	const struct output_header *headers;
	size_t header_count;
};

void errorpicker_init(
        struct errorpicker *picker, const struct errorfilter *filter, const struct source_config *source);
void errorpicker_free(struct errorpicker *picker);
/* Judges, and counts. *topic, when taken: the original's, as the source's configuration has it. */
enum errorpick errorpicker_judge(struct errorpicker *picker, const struct errorpick_message *message,
        struct errorevent *event, const char **topic);

#endif
