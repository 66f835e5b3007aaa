/* Which limits hold right now, and who set each: the configuration, `backfill` while there is a backlog, or
 * an operator.
 *
 * An operator's limits win until a restart, or until the configuration is read again because somebody asked
 * (HUP, POST /-/reload) or because it was changed. A script that changed alone leaves them. Pausing intake is
 * one of them, and lasts until it is undone or the process ends: no reload takes it back. Loop thread only.
 */
#ifndef MILLRACE_GOVERNOR_H
#define MILLRACE_GOVERNOR_H

#include "buf.h"
#include "config.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct governor;
struct http;
struct metrics;
struct pipeline;

/* Borrows all; looks at the configuration whenever it is told that it was read again. */
struct governor *governor_open(
        const struct config *config, struct pipeline *pipeline, struct http *http, struct metrics *metrics);
/* Looks at the lag, once a second. Once a turn of the loop, before anything is taken. */
void governor_turn(struct governor *governor, int64_t now);
/* The configuration was read again; an operator's limits end where `forget`. */
void governor_configured(struct governor *governor, bool forget);

/* What an operator wants: begun as what holds, told key by key, then used. */
struct governor_wish;
struct governor_wish *governor_wish(const struct governor *governor);
/* Keys: UPSTREAM.rate, UPSTREAM.concurrency, rate, concurrency (of all upstreams), records. Values as in the
 * configuration, or `default` for what holds without an operator. False, and err, which names the key, what
 * was expected and what to do. */
bool governor_want(struct governor_wish *wish, const char *key, const char *value, struct err *err);
/* Takes the wish, also where nothing is used of it (use false). */
void governor_use(struct governor *governor, struct governor_wish *wish, bool use);

/* Intake stands still, or goes on; false when it did so already. */
bool governor_pause(struct governor *governor, bool pause);
/* Appends a JSON object: paused, backfill, records, user_agent, upstreams: each limit with its value and
 * `from`. */
void governor_print(const struct governor *governor, struct buf *out);
void governor_close(struct governor *governor); /* NULL is fine */

#endif
