/* Replaces the script that new records begin on, and keeps the old one when the new one is not good.
 *
 * A changed script (or changed `script.params`) is loaded in a fresh state beside the running one, its
 * selftest run, then its data tests (trial.h), then it is swapped in between records; records in flight
 * finish on the state they began with. With it go the other keys of the configuration that need no restart.
 * What took over is watched (rollback.h): one that fails too often gives way to the last good one, and is not
 * loaded again unless somebody asks for it. One that proved itself is kept on disk (lastgood.h), and stands
 * in at a start whose script does not load or was rolled back. At most PIPELINE_SCRIPTS states live. Loop
 * thread only; what watches the disk is a thread of its own (filewatch.h). */
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
	RELOAD_SWAPPED,      /* new records begin on the new script */
	RELOAD_UNCHANGED,    /* the same files and params */
	RELOAD_FAILED,       /* it does not load; the old one goes on */
	RELOAD_TESTS_FAILED, /* its data tests do not pass; likewise */
	RELOAD_BUSY,         /* too many states still finish their records; tried again by itself when one has
	                      * ended */
	RELOAD_REFUSED,      /* it was rolled back before; only who asks for it gets it */
	RELOAD_ROLLED_BACK,  /* no answer: what the engine did by itself */
};

struct reload_config {
	const struct config *config;
	struct config
	        *live; /* the same: keys that need no restart change in place; NULL = nothing is reloaded */
	const struct script_world *world;
	struct metrics *metrics;
	/* The configuration was read again; may be NULL. asked: somebody asked for it, or it had changed. */
	void (*configured)(void *context, bool asked);
	void *configured_context;
	bool keeps;         /* the last good script is kept in the checkpoint folder, if there is one */
	const char *tester; /* the program that runs data tests; NULL = this one */
};

/* message: a sentence for whoever asked, with file:line. */
typedef void reload_told(void *context, enum reload_outcome outcome, const char *message);

/* Loads the first script, or the last good one in its place. NULL and err (with file:line) when there is
 * neither. Borrows all but err. */
struct reload *reload_open(struct event_base *base, const struct reload_config *own, struct err *err);
/* The pipeline gets the first script; watching begins where the configuration says so. */
void reload_attach(struct reload *reload, struct pipeline *pipeline);
/* Loads what is on disk now, because somebody asked. by: "signal", "api". told (may be NULL) is called once,
 * now or later, unless the reload is closed before. */
void reload_ask(struct reload *reload, const char *by, reload_told *told, void *context);
/* As pipeline_config.decided; context is the reload. */
void reload_decided(void *context, uint64_t script, const char *type, const char *message);
/* As pipeline_config.renew: a fresh state of the script that runs, whatever lies on disk. */
struct script *reload_renew(void *context);
/* Why the script that runs is not the one that should: it stands in since the start. NULL: it is the right
 * one. */
const char *reload_trouble(const struct reload *reload);
/* Of the script that new records begin on; the pointer stays good, its text follows the swaps. */
const char *reload_sha256(const struct reload *reload);
/* Appends a JSON object: path, sha256, files (name and sha256 of each), states, loaded_at, testing,
 * last_outcome (null: none yet), last_error, stands_in (why, or null), rolled_back (why, or null),
 * restart_needed (names of keys). */
void reload_status(const struct reload *reload, struct buf *out);
const char *reload_outcome_name(enum reload_outcome outcome);
void reload_close(struct reload *reload); /* after the pipeline; NULL is fine */

#endif
