/* One Kafka message on its way through: its states, what it owns, and the lists it stands on.
 *
 * A record owns its bytes and its encoded outputs until it is settled, so it can be sent again or start
 * again.
 *
 *    TAKEN --> DECODED --> ASKING <--> ANSWERED --> MADE --> RELEASED --> SENDING --> SETTLED
 *      ^          |           |            |          ^          |           |
 *      |          +-- no hook, pass, fail -+----------+<---------+-----------+  not delivered: sent again
 *      +-------------- RESTING <-- retry --+
 *
 * DECODED, ASKING -> TAKEN: its Lua state is given up, and it begins again on another (carry.h).
 * ANSWERED -> ASKING: a hook that waits for a follow-up lookup or a diff. GIVEN_BACK is reached from every
 * state but SETTLED: the partition was revoked or lost, or the process stops; such a record moves no offset.
 */
#ifndef MILLRACE_RECORD_H
#define MILLRACE_RECORD_H

#include "differ.h"
#include "dispatch.h"
#include "lanes.h"
#include "ledger.h"
#include "list.h"
#include "output.h"
#include "script.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

enum record_state {
	RECORD_TAKEN,      /* copied, has a ticket */
	RECORD_DECODED,    /* a Lua value in its state */
	RECORD_ASKING,     /* lookups are on their way, or a diff is */
	RECORD_ANSWERED,   /* all lookups are final, or there are none */
	RECORD_RESTING,    /* starts again from its bytes at `due` */
	RECORD_MADE,       /* outcome decided, outputs encoded; waits for the elders of its lane */
	RECORD_RELEASED,   /* every elder has left; to be handed to the sinks */
	RECORD_SENDING,    /* with the sinks; or acknowledged, waiting for its elders to settle */
	RECORD_SETTLED,    /* ended; its ticket is given back and it is freed */
	RECORD_GIVEN_BACK, /* not ended here; freed once no sink holds an output of it */
	RECORD_STATES
};

/* No schema is waited for; one is on its way; its repository does not answer. */
enum record_schemas { RECORD_SCHEMAS_THERE, RECORD_SCHEMAS_LOADING, RECORD_SCHEMAS_AWAY };

enum outcome { OUTCOME_ENRICHED, OUTCOME_PASSED, OUTCOME_DROPPED, OUTCOME_FAILED, OUTCOMES };

struct record {
	enum record_state state;
	struct list_node node;  /* in the list of its state */
	struct list_node order; /* while open: among all of them, the oldest first */
	uint64_t age;           /* number in the order of taking, process-wide */
	struct partition *partition;
	uint64_t ticket;
	struct script_input input; /* points into what the record owns: key, value, headers */
	char *key, *value;
	struct output_header *headers;
	int64_t taken;     /* steady ms */
	int64_t paused_ms; /* time for which hosts and upstreams that it asked stood still */
	int64_t due;       /* RESTING: when to start again */
	unsigned attempt;  /* how often it began, from 1 */
	uint64_t began_on; /* the number of the script on which it did; 0 = none */
	struct script_event event;
	struct lookup *lookups;
	size_t lookup_count, lookups_open; /* open: not final */
	bool hook_waits;                   /* transform is suspended in millrace.fetch or diff */
	bool carries; /* begins again on another state, with the lookups that it had (carry.h) */
	bool suspect; /* a process died while a hook worked on it: its lookups share no call */
	bool diffed;  /* it was in millrace.diff: `diff` is what came of it */
	struct diff_task diff;
	enum record_schemas schemas; /* DECODED, MADE: waits for a schema */
	int64_t schemas_since;       /* steady ms, while it waits */
	bool unchecked;              /* MADE: its outputs are still to be held against their schemas */
	struct place place;
	enum outcome outcome;
	char *reason;  /* DROPPED: the reason; FAILED: the type */
	char *message; /* FAILED: in words */
	struct output *outputs;
	size_t output_count;
	size_t outputs_unsettled; /* with the sinks */
	bool undelivered;         /* one of them came back OUTPUT_FAILED */
	size_t charged[LEDGER_KINDS];
	size_t promised; /* bytes of Lua's heap that its answers in the air will take, where others are waited
	                    for */
	void *observed;  /* an observer's own (observe.h) */
};

/* The lists of all records, by state. */
struct records {
	struct list states[RECORD_STATES];
	struct list open; /* by record.order */
	struct ledger *ledger;
	uint64_t next_age;
	size_t promised; /* by all of them */
};

void records_init(struct records *records, struct ledger *ledger);
size_t records_open(const struct records *records); /* all but SETTLED and GIVEN_BACK */
/* Records taken since the oldest open one, that one included. */
uint64_t records_span(const struct records *records);
bool records_oldest(const struct records *records, const struct record *record); /* of the open ones */
/* All records in states before SETTLED that match, oldest first; *count of them. The caller frees the array.
 */
struct record **records_collect(struct records *records, bool (*match)(const struct record *, const void *),
        const void *with, size_t *count);
/* A TAKEN record with copies of the message's bytes, charged to the ledger. */
struct record *record_new(struct records *records, const struct source_message *message, int64_t now);
/* Moves to a state that the table of successors allows; anything else is a bug and aborts with both names. */
void record_move(struct records *records, struct record *record, enum record_state state);
/* Sets what the record is charged for under one kind. */
void record_charge(struct records *records, struct record *record, enum ledger_kind kind, size_t bytes);
/* Sets what of Lua's heap is promised to its answers. */
void record_promise(struct records *records, struct record *record, size_t bytes);
/* Forgets lookups (none may be with dispatch), outputs, the event in Lua. */
void record_forget_lookups(struct records *records, struct record *record);
/* Their answers alone: transform has them. */
void record_forget_answers(struct records *records, struct record *record);
/* Charges for the lookups' requests and answers, and so many bytes more. */
void record_charge_lookups(struct records *records, struct record *record, size_t more);
void record_forget_outputs(struct records *records, struct record *record);
/* Frees a record that is SETTLED or GIVEN_BACK. */
void record_free(struct records *records, struct record *record);
const char *record_state_name(enum record_state state); /* "taken", ...: label values */
const char *outcome_name(enum outcome outcome);

#endif
