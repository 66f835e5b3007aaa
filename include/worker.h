/* One worker: builds the parts in order on a thread of its own, runs the loop, drains, and closes in reverse.
 */
#ifndef MILLRACE_WORKER_H
#define MILLRACE_WORKER_H

#include "config.h"
#include "pipeline.h"
#include "progress.h"
#include "source_errors.h"

#include <stdbool.h>

/* A run over descriptors instead of Kafka (`millrace enrich`). */
struct worker_files {
	int in, out, errors;
	const char *in_name; /* stands where a topic's name would */
	size_t max_line;
};

struct worker_config {
	const struct config *config; /* borrowed for the worker's life */
	struct config *
	        live; /* the same, where what needs no restart may change in it; NULL = nothing is reloaded */
	const struct worker_files *files; /* NULL = Kafka */
	/* The source is an error stream, and its records are what failed; NULL = it is not. */
	const struct source_errors_config *errors;
	bool strict_drain; /* what the drain leaves unfinished ends in exit code 75 */
	/* As pipeline_config.ended; called on the worker's thread. */
	void (*ended)(void *context, const struct record *record, const char *message);
	void *context;
	const struct http_player *player; /* as http_config.player */
	const struct observe *observe;    /* as pipeline_config.observe; called on the worker's thread */
};

/* How far a bounded run is. */
struct worker_progress {
	uint64_t done; /* records that ended in this process */
	uint64_t left; /* offsets up to the end of our partitions, some of which may hold no record */
	struct progress_partitions partitions; /* done: at their end, with nothing open */
	bool known;                            /* every partition knows where it starts and where it ends */
};

/* How often records were dropped or failed for one reason. */
struct worker_reason {
	enum outcome outcome;
	char *name; /* the script's reason, or the error's type */
	uint64_t count;
};

/* What there is to say of a run that has ended. */
struct worker_end {
	bool ran;      /* it was built; else the log has said why not, and the rest says nothing */
	bool finished; /* it came to its end by itself: nothing was left to read */
	struct pipeline_counts counts;
	struct worker_reason *reasons; /* the most frequent first */
	size_t reason_count;
	struct source_errors_counts errors; /* of an error stream as the source */
};

struct worker;

/* Starts the thread (256 MB of stack for deep Lua). */
struct worker *worker_start(const struct worker_config *config);
/* Ask for a drain, for the script to be loaded again; both are safe in a signal handler. */
void worker_stop(struct worker *worker);
void worker_stop_by(
        struct worker *worker, const char *reason); /* a literal, told in the last line of the log */
void worker_reload(struct worker *worker);
/* Likewise safe: tell the state in the log; log at debug for five minutes, or stop that. */
void worker_dump(struct worker *worker);
void worker_debug(struct worker *worker);
/* Waits for the end; answers the exit code: 0, 1, 69, 75 or 78; 1, too, for a bounded run that was stopped
 * before its end. counts: the final ones; may be NULL. */
int worker_join(struct worker *worker, struct pipeline_counts *counts);
const struct worker_end *worker_end(const struct worker *worker); /* after worker_join */
void worker_free(struct worker *worker);                          /* after worker_join */
/* The numbers as of a moment ago; false before the first turn. Any thread. */
bool worker_counts(struct worker *worker, struct pipeline_counts *counts);
/* Likewise, of a bounded run (source.until). */
struct worker_progress worker_progress(struct worker *worker);
/* It has come to its end, whatever the reason: worker_join will not wait. Any thread. */
bool worker_ended(struct worker *worker);
/* The admin port that was bound, 0 when none or not yet. Any thread. */
int worker_admin_port(struct worker *worker);

#endif
