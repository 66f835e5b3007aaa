/* The parts of `limits.memory`, declared once: who may have how many bytes. Pure.
 *
 *   engine    code, libraries, threads, connections: there before the first record
 *   prefetch  what the consumer fetches ahead: its queue, and the answer that fills it
 *   script    one Lua state at its `script.memory`
 *   records   the rest: records, answers, outputs and the producers' copies of them; and what older Lua
 * states hold beside the one that new records begin on. The ledger's door and gate keep this one.
 *
 * The configuration is checked against it, `millrace check` prints it, the worker hands its parts out. */
#ifndef MILLRACE_BUDGET_H
#define MILLRACE_BUDGET_H

#include "buf.h"

#include <stddef.h>

struct budget_needs {
	size_t memory;          /* limits.memory */
	size_t script_memory;   /* script.memory */
	size_t largest_body;    /* of the upstreams' max_body; 0 = there are none */
	size_t largest_message; /* of the sinks' max_bytes, the error stream's too */
};

struct budget {
	size_t total;
	size_t engine, prefetch, script, records; /* the parts: their sum is the total */
	size_t needed;                            /* less than that is refused: records would be too small */
	size_t fetch_queue;                       /* of the prefetch: bytes that wait to be taken */
	size_t fetch_answer;                      /* of the prefetch: bytes of one answer of a broker */
	size_t produce_queue; /* of the records: most that a producer may hold at one time */
};

enum {
	BUDGET_PER_BODY = 4,   /* bytes that a byte of an answer may need at one time: itself, what the script
	                          makes   of it, the producer's copy, and that copy compressed */
	BUDGET_PER_MESSAGE = 3 /* the same of an output */
};

/* What the parts are; records is 0 where the memory is less than what is needed. */
struct budget budget_of(const struct budget_needs *needs);
/* "engine 40 MiB, prefetch 32 MiB, ...": for people. */
void budget_print(const struct budget *budget, struct buf *out);

#endif
