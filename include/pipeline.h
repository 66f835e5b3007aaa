/* The walk of every record, from the door to its end: the one place where the parts meet.
 *
 * Owns the records, the lanes and the order of things; borrows the source, the sinks, the script and the
 * clock. */
#ifndef MILLRACE_PIPELINE_H
#define MILLRACE_PIPELINE_H

#include "backfill.h"
#include "conform.h"
#include "dispatch.h"
#include "ledger.h"
#include "metrics.h"
#include "observe.h"
#include "record.h"
#include "sink.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct pipeline;
struct http;

/* order: the records of one key, of one partition, or none wait for each other. */
enum pipeline_order { PIPELINE_ORDER_KEY, PIPELINE_ORDER_PARTITION, PIPELINE_ORDER_NONE };

struct pipeline_config {
	enum pipeline_order order;
	bool key_from_event;  /* the lane's key is made from the event's fields; else the record's own key */
	size_t limit_records; /* the door: most records from the oldest open one to the newest */
	size_t limit_bytes; /* the part of the ledger's limit that records, answers and outputs may have, with
	                       their copies in sinks: the door leaves a quarter of it to the gate */
	size_t limit_resident; /* the door: most bytes that the process may really take; 0 = whatever it takes
	                        */
	const struct upstream_config *upstreams;
	size_t upstream_count;
	int64_t retry_deadline_ms;       /* of a record that retries without an upstream; 0 = none */
	const struct sink_config *sinks; /* the error stream is the last */
	size_t sink_count;               /* error stream included */
	const char *emitter_id;
	struct differ *differ;     /* borrowed: makes the diffs that scripts ask for */
	struct conform *conform;   /* borrowed; NULL = events are not held against schemas */
	struct hookpage *hookpage; /* borrowed; NULL = deaths in hooks are told to nobody */
	/* Told of each record that ends, before it is freed; may be NULL. message: of a failure, else NULL.
	 */
	void (*ended)(void *context, const struct record *record, const char *message);
	void *ended_context;
	/* Told of each record once its outcome is decided: the number of the script that it began on (0: it
	 * began on none), the type of its failure or NULL, and the message. Must not call the pipeline. */
	void (*decided)(void *context, uint64_t script, const char *type, const char *message);
	void *decided_context;
	/* A fresh state of the script that new records begin on, since it is not to be trusted any more
	 * (script_sound); the caller keeps its own hold. NULL: it does not load. NULL: nothing is retired. */
	struct script *(*renew)(void *context);
	void *renew_context;
	const struct observe *observe; /* borrowed; NULL = nobody watches */
	bool files;             /* the sinks are files: what failed will not do better, and the owner stops */
	int64_t (*clock)(void); /* steady ms between turns; NULL = time stands still between them */
};

enum { PIPELINE_SCRIPTS = 4 };

struct pipeline_counts {
	uint64_t taken, outcomes[OUTCOMES], given_back, open;
};

struct pipeline *pipeline_open(const struct pipeline_config *config, struct http *http,
        struct metrics *metrics, struct ledger *ledger);
/* What to open the source and the sinks with. */
void pipeline_source_handlers(struct pipeline *pipeline, struct source_handlers *handlers);
void pipeline_sink_handlers(struct pipeline *pipeline, struct sink_handlers *handlers);
/* New records begin on this state, which is held; records in flight finish on the one they began on. False,
 * and nothing changed, while PIPELINE_SCRIPTS states live: one of the older ones has to end first. */
bool pipeline_use_script(struct pipeline *pipeline, struct script *script);
uint64_t pipeline_script_number(const struct pipeline *pipeline); /* of that state: from 1, one each */
size_t pipeline_scripts(struct pipeline *pipeline); /* states alive; those with no record left end here */
/* What it borrows of upstreams has changed, and the deadline of records that ask none. */
void pipeline_retune(struct pipeline *pipeline, int64_t retry_deadline_ms);
/* Other limits than an upstream's own from now on, until pipeline_retune; concurrency 0 = auto. */
void pipeline_limit(struct pipeline *pipeline, size_t upstream, unsigned concurrency, double rate);
void pipeline_limit_records(struct pipeline *pipeline, size_t records);
/* An operator wants intake to stand still: nothing is taken, what is open ends. */
void pipeline_hold(struct pipeline *pipeline, bool hold);
/* How much there is to do, and how late it is. */
void pipeline_lag(const struct pipeline *pipeline, int64_t wall, struct backfill_lag *lag);
/* From now on this one watches, or nobody (NULL); borrowed. It may have missed some of records on their way.
 */
void pipeline_observe(struct pipeline *pipeline, const struct observe *observe);
/* Borrows both; sinks in the order of the configuration. */
void pipeline_attach(struct pipeline *pipeline, struct source *source, struct sink **sinks);
/* Everything that is due: sends, wakes, settles, collects. Answers the steady ms of the next thing to do. */
int64_t pipeline_turn(struct pipeline *pipeline, int64_t now);
/* Takes nothing more; what only waits is given back at once, what is in the air may end. */
void pipeline_drain(struct pipeline *pipeline, int64_t now);
bool pipeline_drained(const struct pipeline *pipeline); /* nothing open, no sink holds an output */
/* Gives back whatever is open; sinks may still hold outputs of them. */
void pipeline_give_back(struct pipeline *pipeline, const char *reason);
void pipeline_counts(const struct pipeline *pipeline, struct pipeline_counts *counts);
/* Some schemas are there, or known not to be: what waits for one goes on with the next turn. */
void pipeline_schemas_changed(struct pipeline *pipeline);
/* Why intake stands still although there is room: "operator", "sink", "upstream", "schema", or NULL. */
const char *pipeline_paused(const struct pipeline *pipeline);
/* A delivery failed and waits to be sent again: over for good where the sink is a file or a pipe. */
bool pipeline_delivery_failed(const struct pipeline *pipeline);
/* Gauges that are computed when asked for: records by state, freshness, memory. */
void pipeline_refresh(struct pipeline *pipeline, int64_t wall);
/* To look at, no more: what is open, and what is asked. */
const struct records *pipeline_records(const struct pipeline *pipeline);
const struct dispatch *pipeline_dispatch(const struct pipeline *pipeline);
void pipeline_close(struct pipeline *pipeline); /* after the sinks are closed */

#endif
