/* What happens to records on their way, told to one who watches.
 *
 * An observer is told on the loop's thread, in the order in which things happen, and must be quick: it
 * neither blocks nor submits, cancels, frees or changes anything but `record->observed`, which is its own.
 * What it is shown is borrowed until it returns. Every callback may be NULL; without an observer nothing of
 * this costs more than looking whether there is one.
 *
 *   in         taken      the record with its bytes, before anything is made of it
 *   hook       hooked     what a hook answered, and the CPU time that it took; several times per record
 *   request    asked      the record's lookups with their requests, before the first is sent
 *   response   came       a call is over: its answer as it came, or its failure, and the lookups it was for
 *              again      one lookup is to be asked again, and why
 *              answered   one lookup is final: its response, or its refusal
 *   out,error  made       the outcome is decided, the outputs are encoded (of one that failed: the error
 *                         event); again when an error event takes the place of an output that was refused
 *              ended      the outputs have left; the record is freed after this
 *              left       the record was given back: no outcome; it is freed after this
 *
 * A record that starts again (`retry`) goes through hooked, asked, ... again, with a higher `attempt`. */
#ifndef MILLRACE_OBSERVE_H
#define MILLRACE_OBSERVE_H

#include "dispatch.h"
#include "record.h"

#include <stdbool.h>
#include <stdint.h>

struct observe_hook {
	const char *name; /* "request" or "transform" */
	double cpu_seconds;
	const struct script_result *result;
};

struct observe_again {
	const char *reason; /* "timeout", "5xx", "429", "retry", "partial", ...: as in the metrics */
	int64_t wait_ms;    /* until then, at least; 0 = as soon as there is a slot */
	bool counts;        /* as one of retry.attempts */
};

struct observe {
	void *context;
	void (*taken)(void *context, struct record *record);
	void (*hooked)(void *context, struct record *record, const struct observe_hook *hook);
	void (*asked)(void *context, struct record *record);
	/* Its lookups: list_each (&call->lookups, node, after) container_of(node, struct lookup, node);
	 * lookup->record is the struct record. call->transfer is asked and answered (http.h), its body whole.
	 */
	void (*came)(void *context, const struct call *call);
	void (*again)(void *context, const struct lookup *lookup, const struct observe_again *again);
	void (*answered)(void *context, const struct lookup *lookup);
	void (*made)(void *context, struct record *record);
	void (*ended)(void *context, struct record *record);
	void (*left)(void *context, struct record *record);
};

#endif
