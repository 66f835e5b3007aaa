/* One budget for every byte that events cause to be held (promise: memory has a bound).
 *
 * Whoever holds bytes charges them and returns them; the ledger knows the sum, by kind, and the maximum seen.
 * It refuses nothing by itself: the door and the gate ask ledger_room. Pure, no I/O. */
#ifndef MILLRACE_LEDGER_H
#define MILLRACE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

enum ledger_kind {
	LEDGER_ENGINE, /* code, libraries, threads, connections: a constant */
	LEDGER_INPUT,  /* records: key, value, headers, and the struct */
	LEDGER_ANSWER, /* request texts and answers of lookups, from the first byte until the record settles
	                */
	LEDGER_OUTPUT, /* encoded outputs and error events until they are settled */
	LEDGER_LUA,    /* heaps of the live Lua states */
	LEDGER_SOURCE, /* the consumer's prefetch: its configured maximum */
	LEDGER_SINK,   /* the producers' queues: copies of outputs, and the same compressed on its way */
	LEDGER_TAP,    /* queues of taps: what their readers have not taken yet */
	LEDGER_KINDS
};

struct ledger {
	size_t limit;  /* bytes; `limits.memory` */
	size_t script; /* kept for the Lua heaps: they may grow to it at any time, unasked */
	size_t used[LEDGER_KINDS];
	size_t maximum[LEDGER_KINDS]; /* highest seen */
	size_t total;                 /* sum of used */
	size_t total_maximum;
};

void ledger_init(struct ledger *ledger, size_t limit);
void ledger_charge(struct ledger *ledger, enum ledger_kind kind, size_t bytes);
void ledger_return(struct ledger *ledger, enum ledger_kind kind, size_t bytes); /* asserts used >= bytes */
void ledger_set(struct ledger *ledger, enum ledger_kind kind, size_t bytes);    /* for gauges such as LUA */
/* Bytes left under the limit, less what the Lua heaps may still grow to; 0 when over it. */
size_t ledger_room(const struct ledger *ledger);
const char *ledger_kind_name(enum ledger_kind kind); /* "input", "answer", ... : label values */

#endif
