/* What `millrace enrich` was asked for, and one run of a script over events: shared by its files. */
#ifndef MILLRACE_ENRICH_H
#define MILLRACE_ENRICH_H

#include "command.h"
#include "config.h"
#include "enrich_explain.h"
#include "enrich_tape.h"
#include "worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENRICH_GIVEN_MAX = 64 };

/* The options as given; NULL or 0 = not. Texts are borrowed. */
struct enrich {
	const char *script; /* NULL = the configuration's */
	const char *other;  /* --diff: to compare it with */
	const char *file;   /* of the events; NULL = standard input, or those of the cassette */
	const char *config;
	const char *endpoints[ENRICH_GIVEN_MAX]; /* "URL" or "NAME=URL" */
	size_t endpoint_count;
	const char *params[ENRICH_GIVEN_MAX]; /* "NAME=VALUE" */
	size_t param_count;
	const char *record, *replay;
	const char *errors, *concurrency, *timeout, *attempts;
	struct command_log log;
	bool quiet, explain, watch;
	int spool; /* standard input's copy, for who reads it more than once; -1 = none */
	/* Called between the start of a worker and the wait for its end; NULL = a signal stops it. */
	void (*attend)(void *context, struct worker *worker);
	void *attend_context;
};

/* One run. */
struct enrich_run {
	const struct enrich *enrich;
	const struct config *config;
	int in, out, errors;              /* descriptors */
	const struct observe *observe;    /* NULL = nobody watches */
	const struct http_player *player; /* NULL = the network answers */
	bool silent;                      /* failures are told by somebody else */
	uint64_t failures;                /* so far; the loop's thread's own */
	/* after it */
	struct pipeline_counts counts;
	bool ran, finished; /* the script loaded; all events were read and ended */
};

/* enrich_config.c: the length of NAME in "NAME=URL"; 0 = it is a URL. */
size_t enrich_endpoint_name(const char *endpoint);
/* The configuration to run `script` with (NULL = its own); NULL after the problems were told. Where no
 * endpoint was given the upstreams are those that the tape answers for. */
struct config *enrich_configure(
        const struct enrich *enrich, const char *script, const struct enrich_tape *tape);

/* enrich_run.c: for reading; -1 after it was told why not. */
int enrich_open_file(const char *path);
bool enrich_script_is_there(const char *path); /* else it was told why not; NULL is fine */
/* For writing, from its beginning; -1 after it was told why not. NULL: where all is lost. */
int enrich_create_file(const char *path);
/* The events from their beginning; -1 after it was told why not. Not to be closed when standard input. */
int enrich_open_events(const struct enrich *enrich);
void enrich_close_events(int in);
const char *enrich_events_name(const struct enrich *enrich); /* for people */
/* Copies standard input, when that is where the events come from; false after it was told why not. */
bool enrich_spool(struct enrich *enrich);
/* Runs to the end; answers the exit code of its worker. */
int enrich_run(struct enrich_run *run);
/* All that was asked for, once; answers the exit code. */
int enrich_once(const struct enrich *enrich);

/* enrich_watch.c: again whenever something was saved, until a signal; answers the exit code. */
int enrich_watch(struct enrich *enrich);

/* enrich_diff.c: both scripts over the same events; answers the exit code. */
int enrich_diff(const struct enrich *enrich);

#endif
