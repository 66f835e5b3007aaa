/* The store of checkpoint files: when it is written to, and what is done while it is away.
 *
 * Files are written on a thread of the store's own, so that one that hangs holds up neither the loop nor what
 * is asked of the brokers. The store is tested when it is opened; one that fails, or has not answered in
 * time, is away: nothing is written, commits go on alone, it is told loudly, and the store is tested again
 * from time to time until it is back. */
#ifndef MILLRACE_CHECKPOINT_H
#define MILLRACE_CHECKPOINT_H

#include "checkpointfile.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct metrics;
struct checkpoint;

struct checkpoint_config {
	const char *dir, *group;
	unsigned keep;                          /* newest files of a partition that are kept, at least 1 */
	int64_t deadline_ms;                    /* no answer for so long: the store is away; 0 = 5 s */
	int64_t probe_ms;                       /* how often a store that is away is tested; 0 = 10 s */
	const struct checkpointfile_disk *disk; /* NULL = files */
};

/* NULL and err when the thread cannot be started; a store that is away is no error. */
struct checkpoint *checkpoint_open(struct event_base *base, const struct checkpoint_config *config,
        struct metrics *metrics, struct err *err);
/* After its source; waits a moment for a file that is being written. */
void checkpoint_close(struct checkpoint *store);
/* The SHA-256 of the script that runs from now on, for the files; copied. */
void checkpoint_use_script(struct checkpoint *store, const char *sha256);
/* For source_config.checkpoints; the store's own, valid until it is closed. */
const struct source_checkpoints *checkpoint_verbs(struct checkpoint *store);

#endif
