/* Whether events are what their schemas say: inputs before the script sees them, outputs before they leave.
 *
 * An input is held against the `$schema` it names; an output of a sink with a stream against the one in its
 * text (the sink's, where it pins one). Tombstones, and outputs to a plain topic, are no events of a schema.
 * Loop thread only. */
#ifndef MILLRACE_CONFORM_H
#define MILLRACE_CONFORM_H

#include "metrics.h"
#include "record.h"
#include "schemas.h"
#include "sink.h"

#include <stddef.h>
#include <stdint.h>

struct conform;

struct conform_config {
	struct schemas *schemas; /* borrowed */
	enum schemas_mode input, output;
	const struct sink_config
	        *sinks; /* borrowed; the error stream is not among those that are asked for */
	size_t sink_count;
	unsigned max_depth; /* as script_config has it: what was decoded can be checked; 0 = 128 */
};

enum conform_verdict {
	CONFORM_GOOD,
	CONFORM_LOADING, /* a schema is on its way: ask again when the schemas have changed */
	CONFORM_AWAY,    /* the same, and nobody knows when */
	CONFORM_BAD
};

/* Failure types: InputInvalid, OutputInvalid, UnknownSchema. */
struct conform_failure {
	const char *type;
	struct buf message; /* what is wrong, with values of the event: for its error event alone */
};

struct conform *conform_open(const struct conform_config *config, struct metrics *metrics);
void conform_close(struct conform *conform); /* NULL is fine */

/* CONFORM_GOOD at once where nobody looks (or conform is NULL). On CONFORM_BAD failure is filled; its message
 * is freed by the caller. */
enum conform_verdict conform_input(
        struct conform *conform, const struct record *record, int64_t now, struct conform_failure *failure);
/* Of all outputs of the record. Properties that a sink wants stripped are, once all schemas are there. */
enum conform_verdict conform_outputs(
        struct conform *conform, struct record *record, int64_t now, struct conform_failure *failure);

#endif
