/* The error event of a record that failed: what `/error/2.1.0` says and what a replay needs.
 *
 * Schema: https://schema.wikimedia.org/ "error" 2.1.0: $schema, dt, emitter_id, message, meta.stream are
 * required; error_type, stack, raw_event, errored_schema_uri, errored_stream_name optional; nothing else. */
#ifndef MILLRACE_FAILURE_H
#define MILLRACE_FAILURE_H

#include "output.h"
#include "script.h"

#include <stddef.h>
#include <stdint.h>

struct failure_config {
	const char *stream; /* meta.stream of error events */
	const char *emitter_id;
	size_t max_bytes; /* of the error stream's sink: no error event is larger */
	size_t sink;      /* index of the error stream among the sinks */
};

/* Fills an output with the error event. raw_event is the input verbatim where it is UTF-8 and fits; else a
 * readable part, and the header `millrace-raw: partial` says so; `millrace-timestamp` is the input's. event
 * may be zeroed (never decoded). */
void failure_make(const struct failure_config *config, const struct script_input *input,
        const struct script_event *event, const char *type, const char *message, const char *stack,
        int64_t wall, struct output *output);

#endif
