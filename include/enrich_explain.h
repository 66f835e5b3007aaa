/* Tells each event's walk to a person: request, answer, output, with times and what was changed.
 *
 *   [1/3] events.jsonl:1  mediawiki.page_change.v1  update edit  key={"wiki_id":"enwiki","page_id":12}
 *     request   GET /w/api.php?action=query&prop=revisions&revids=977  (host en.wikipedia.org)
 *     answer    200  1.8 kB  120 ms
 *     output    -> mediawiki.page_content_change.v1  2.1 kB
 *               + revision.content_slots.main.content_body (412 chars)
 *     enriched  in 121 ms  (CPU: request 0.05 ms, transform 0.21 ms)
 *
 * An event is told as a whole when it has ended. Values of query parameters that may be secrets are not
 * shown. */
#ifndef MILLRACE_ENRICH_EXPLAIN_H
#define MILLRACE_ENRICH_EXPLAIN_H

#include "config.h"
#include "enrich_tape.h"
#include "observe.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct enrich_explain {
	FILE *to;
	bool colour;
	const struct config *config;
	struct enrich_tape *tape; /* is told too; NULL = none */
	const char *events;       /* where they come from */
	uint64_t total;           /* how many there are; 0 = nobody knows */
	uint64_t told;            /* so far */
};

/* Fills in the callbacks; context is `explain`. */
void enrich_explain_observe(struct enrich_explain *explain, struct observe *observe);

#endif
