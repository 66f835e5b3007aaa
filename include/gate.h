/* The gate before a lookup is sent: an answer has its room before it is asked for.
 *
 * Reserves for each lookup what its answer may take: what the script expects (`merge.bytes`) or what the
 * recent answers of its upstream took, at most `max_body`. The oldest open record is never refused: all
 * others may be waiting for it. */
#ifndef MILLRACE_GATE_H
#define MILLRACE_GATE_H

#include "dispatch.h"
#include "record.h"
#include "upstream.h"

#include <stdbool.h>
#include <stddef.h>

struct gate {
	struct records *records;
	size_t limit; /* bytes of open records, answers, outputs and their copies in sinks */
	const struct upstream_config *upstreams;
	size_t *typical; /* of each upstream's answers: bytes that most of the recent ones stay below; 0 =
	                    none yet */
	bool closed;     /* an answer found no room; the user clears it */
};

void gate_init(struct gate *gate, struct records *records, size_t limit,
        const struct upstream_config *upstreams, size_t upstream_count);
void gate_free(struct gate *gate);
/* Whether the lookup may be sent while `held` bytes are held; charges its record with the reservation, once.
 */
bool gate_admit(struct gate *gate, struct lookup *lookup, size_t held);
/* The lookup is final: its reservation becomes what its answer really holds. */
void gate_settle(struct gate *gate, struct lookup *lookup);

#endif
