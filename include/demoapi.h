/* A MediaWiki Action API inside the process, for `millrace demo`: made-up texts, true manners.
 *
 * It runs on a thread and an event_base of its own, bound to 127.0.0.1 on a free port, and shares nothing
 * with the engine but the network. It answers `GET /w/api.php?action=query&prop=revisions&revids=1|2|...` as
 * MediaWiki does with formatversion=2 (includes/Api/ApiQueryRevisionsBase.php): revisions grouped by page,
 * unknown ones under badrevids, hidden ones with texthidden, errors as HTTP 200 with an `error`. Each answer
 * waits for a while, and some revisions are refused with 503 or 429 the first time they are asked for. What
 * happens to a revision depends on its id alone, so two runs are alike. */
#ifndef MILLRACE_DEMOAPI_H
#define MILLRACE_DEMOAPI_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct demoapi;

/* A page as the wiki knows it. */
struct demoapi_page {
	uint64_t page_id;
	char title[256]; /* UTF-8, words separated by spaces */
};

struct demoapi_range {
	uint64_t first, last; /* both included; 0, 0: empty */
};

struct demoapi_config {
	int64_t delay_min_ms,
	        delay_max_ms;   /* every answer waits for a time between; most are near the lower end */
	unsigned trouble_every; /* one revision in so many is refused when it is first asked for; 0 = none */
	struct demoapi_range missing; /* revisions that the wiki does not know */
	struct demoapi_range hidden;  /* revisions whose text nobody may see */
	/* Which page a revision is of; false: none known, one is made up. Called on the server's thread.
	 * NULL: always made up. */
	bool (*page)(uint64_t rev_id, struct demoapi_page *page);
};

/* 20-120 ms, one in 60 refused, nothing missing or hidden. */
struct demoapi_config demoapi_defaults(void);
/* Starts the server; NULL and err when it cannot. Borrows nothing. */
struct demoapi *demoapi_start(const struct demoapi_config *config, struct err *err);
uint16_t demoapi_port(const struct demoapi *api);
/* Requests received so far; from any thread. */
uint64_t demoapi_calls(const struct demoapi *api);
/* Ends the thread and frees everything; open requests are cut. NULL is fine. */
void demoapi_stop(struct demoapi *api);

#endif
