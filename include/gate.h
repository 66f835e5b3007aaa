/* The gate before a lookup is sent: an answer has its room before it is asked for.
 *
 * Reserves for all lookups of a record at once, BUDGET_PER_BODY bytes for each that its answer is expected to
 * have: what the script says (`merge.bytes`), else what most of the recent answers of its upstream had, at
 * most `max_body`; where a script told too little again and again, the larger of both. An answer that
 * outgrows half of its reservation enlarges it or is cut; then it is expected to be as large as it was seen
 * to be. A part of the room is kept for those that grow. Answers of a record that waits for others of its own
 * live in Lua's heap meanwhile: so many are asked for as fit there. The oldest open record is never refused
 * and never cut: all others may be waiting for it. */
#ifndef MILLRACE_GATE_H
#define MILLRACE_GATE_H

#include "dispatch.h"
#include "record.h"
#include "upstream.h"

#include <stdbool.h>
#include <stddef.h>

enum { GATE_RECENT = 64 };

/* Sizes of an upstream's last answers. */
struct gate_sizes {
	size_t recent[GATE_RECENT];
	bool outgrown[GATE_RECENT]; /* they were far larger than the script had told */
	size_t count;               /* learned so far */
	size_t lies;                /* of the recent ones: outgrown */
	size_t most;                /* 95 of 100 of the recent ones are not larger; 0 = none yet */
};

struct gate {
	struct records *records; /* its ledger is what there is room in */
	size_t limit; /* bytes that records may have in all, to guess by before anything is known */
	const struct upstream_config *upstreams;
	struct gate_sizes *sizes; /* of each upstream */
	bool closed;              /* an answer found no room; the user clears it */
	bool lua_full;            /* it was Lua's heap that had none; likewise */
};

void gate_init(struct gate *gate, struct records *records, size_t limit,
        const struct upstream_config *upstreams, size_t upstream_count);
void gate_free(struct gate *gate);
/* Whether the lookup may be sent; charges its record with the reservations of all its lookups, once. */
bool gate_admit(struct gate *gate, struct lookup *lookup);
/* The answer of this call has come to `size` bytes, of `announced` (0 = unknown): whether it may go on.
 * Lookups that share it have what all of them reserved. */
bool gate_grow(struct gate *gate, struct call *call, size_t size, size_t announced);
/* The lookup is in no call any more and will be asked again: its reservation is free. */
void gate_yield(struct gate *gate, struct lookup *lookup);
/* The lookup is final: its reservation becomes what its answer really holds. */
void gate_settle(struct gate *gate, struct lookup *lookup);

#endif
