/* What `millrace run --until` adds to a run: a check before it, its progress, a summary of it. Private to
 * command_run.c. */
#ifndef MILLRACE_COMMAND_BOUNDED_H
#define MILLRACE_COMMAND_BOUNDED_H

#include "config.h"
#include "worker.h"

#include <stdbool.h>

/* The options of a bounded run, as given; NULL = not. */
struct bounds {
	const char *group, *from, *until;
	bool resume; /* go on where the group is; else it must be a new one */
	bool json;   /* the summary as one JSON object */
};

/* What is wrong with them at this time (wall ms), in words, or NULL. */
const char *bounded_fault(const struct bounds *bounds, int64_t wall);
/* Asks the brokers and the checkpoint files whether the group has positions. EXIT_SUCCESS when it has none,
 * else an exit code, and told why. Blocks, but does not join the group: its members notice nothing. */
int bounded_check(const struct config *config);
/* Shows how far the worker is until it has ended: by a bar on a terminal, else (and where `quiet`, or under
 * CI) in the log now and then. */
void bounded_watch(struct worker *worker, bool quiet);
/* After worker_join: what became of the records, on standard output; ms: how long it took. */
void bounded_summary(
        const struct bounds *bounds, const struct config *config, const struct worker *worker, int64_t ms);

#endif
