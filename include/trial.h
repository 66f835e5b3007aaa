/* A changed script on its way to take over: read and loaded beside the running one, tested as its data tests
 * say.
 *
 * Data tests are `x_test.yaml` beside `x.lua`. They are run by another process (`millrace test FILE`): their
 * clock is invented, and nothing of it may reach this one. */
#ifndef MILLRACE_TRIAL_H
#define MILLRACE_TRIAL_H

#include "config.h"
#include "fileset.h"

#include <stdbool.h>

struct event_base;

/* Why nothing came of it. */
enum trial_failure { TRIAL_NONE, TRIAL_CONFIG, TRIAL_SCRIPT, TRIAL_TESTS };

struct trial {
	struct config *config; /* as the file says now; NULL: it has errors */
	struct script *script; /* NULL: it does not load */
	char seen[DIGEST_HEX]; /* of the files, before they were read */
	struct child *child;   /* that runs the tests */
	enum trial_failure failure;
	/* Of trial_test: failure is set by then, err says why. */
	void (*tested)(void *context, const struct err *err);
	void *context;
};

/* The file of the script's data tests, whether it is there or not; free with mem_free. */
char *trial_tests_of(const char *script_path);
/* Reads the configuration file again, all of it. False: failure and err are set. */
bool trial_read(struct trial *trial, const char *config_path, struct err *err);
/* Loads its script by the limits of `live`, which may not be changed at run time. Likewise. */
bool trial_load(
        struct trial *trial, const struct config *live, const struct script_world *world, struct err *err);
bool trial_has_tests(const struct trial *trial); /* and they are wanted */
/* Begins them; `tested` is called at their end, never before this returns. program: what runs them. Likewise.
 */
bool trial_test(struct trial *trial, struct event_base *base, const char *program, struct err *err);
/* Ends what runs and frees what it holds; it is empty then. */
void trial_clear(struct trial *trial);

#endif
