/* The schemas that events name, loaded off the loop and kept: for ever once they were found, for the
 * repository may go away.
 *
 * What is asked for the first time is LOADING; `changed` is called on the loop when that is over. A version
 * that no repository has stands for the newest one of its title until it is found; of a title that no
 * repository has, and of a version that cannot be compiled, it is remembered for a minute. While a repository
 * does not answer it is asked again, 1 s later, doubling to 60 s. Loop thread only. */
#ifndef MILLRACE_SCHEMAS_H
#define MILLRACE_SCHEMAS_H

#include "err.h"
#include "metrics.h"
#include "schema.h"
#include "schemarepo.h"

#include <stdbool.h>
#include <stdint.h>

struct schemas;
struct event_base;

/* What is done with an event that is not what its schema says: nobody looks; it is told; it fails. */
enum schemas_mode { SCHEMAS_OFF, SCHEMAS_WARN, SCHEMAS_ENFORCE };

enum schemas_state {
	SCHEMAS_READY,
	SCHEMAS_LOADING,
	SCHEMAS_AWAY,    /* nobody knows: a repository does not answer */
	SCHEMAS_UNKNOWN, /* no repository has this title, or it is no path of a schema at all */
	SCHEMAS_BROKEN   /* it is there and cannot be used */
};

struct schemas_answer {
	const struct schema *schema; /* READY: until the loop goes on */
	bool exact;                  /* READY: the version asked for; else the newest of its title */
	const char *path;            /* READY: of the schema; "/mediawiki/page/change/1.11.0" */
	const char *why;             /* AWAY, UNKNOWN, BROKEN: until the loop goes on */
};

struct schemas_config {
	struct schemarepo repo; /* copied */
	int64_t forget_ms;      /* how long what is unknown or broken is not asked for again; 0 = 60 s */
	void (*changed)(void *context); /* some states have changed */
	void *context;
};

struct schemas *schemas_open(struct event_base *base, const struct schemas_config *config,
        struct metrics *metrics, struct err *err);
/* The state of the schema at that path; loads it when it has to. `path` comes from events: any text, or NULL.
 */
enum schemas_state schemas_get(
        struct schemas *schemas, const char *path, int64_t now, struct schemas_answer *answer);
/* Asks again for what is due; answers the steady ms of the next thing to do, -1 = nothing. */
int64_t schemas_turn(struct schemas *schemas, int64_t now);
/* Looks at everything anew, in the background: what is there serves until its successor is. */
void schemas_refresh(struct schemas *schemas, int64_t now);
/* How many paths it remembers something of: bounded, whatever events name. */
size_t schemas_entries(const struct schemas *schemas);
/* Waits for a load that runs now at most wait_ms. NULL is fine. */
void schemas_close(struct schemas *schemas, int64_t wait_ms);

/* Compiles the schema at that path, blocking. SCHEMAS_READY and *schema, which the caller frees; or UNKNOWN
 * (no repository has this version), AWAY, BROKEN and why. For `millrace check`, and for the helper's thread.
 */
enum schemas_state schemas_compile(
        const struct schemarepo *repo, const char *path, struct schema **schema, struct err *err);

#endif
