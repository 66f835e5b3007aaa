/* Replaces the script that new records begin on, and keeps the old one when the new one does not load.
 *
 * A changed script (or changed `script.params`) is loaded in a fresh state beside the running one, its
 * selftest run, then swapped between records; records in flight finish on the state they began with. Of the
 * configuration only `script.params` and `script.params_file` are read again. At most PIPELINE_SCRIPTS states
 * live. Loop thread only; what watches the disk is a thread of its own (filewatch.h). */
#ifndef MILLRACE_RELOAD_H
#define MILLRACE_RELOAD_H

#include "buf.h"
#include "config.h"
#include "pipeline.h"

#include <stdbool.h>
#include <stdint.h>

struct reload;
struct event_base;

enum reload_outcome {
	RELOAD_SWAPPED,   /* new records begin on the new script */
	RELOAD_UNCHANGED, /* the same files and params */
	RELOAD_FAILED,    /* it does not load; the old one goes on */
	RELOAD_BUSY, /* too many states still finish their records; tried again by itself when one has ended
	              */
};

/* Loads the first script. NULL and err (with file:line) when it does not load. Borrows all but err. */
struct reload *reload_open(struct event_base *base, const struct config *config,
        const struct script_world *world, struct metrics *metrics, struct err *err);
/* The pipeline gets the first script; watching begins where the configuration says so. */
void reload_attach(struct reload *reload, struct pipeline *pipeline);
/* Loads what is on disk now. by: "watch", "signal", "api". told: a sentence for whoever asked, file:line
 * included. */
enum reload_outcome reload_now(struct reload *reload, const char *by, struct buf *told);
/* Of the script that new records begin on; the pointer stays good, its text follows the swaps. */
const char *reload_sha256(const struct reload *reload);
/* Appends a JSON object: path, sha256, states, loaded_at, last_outcome (null: none yet), last_error. */
void reload_status(const struct reload *reload, struct buf *out);
const char *reload_outcome_name(enum reload_outcome outcome);
void reload_close(struct reload *reload); /* after the pipeline; NULL is fine */

#endif
