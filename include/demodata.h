/* The events of `millrace demo`: the sample page changes again and again, each time as new revisions.
 *
 * Event n is sample n modulo their number. A further round gives higher revision ids, another meta.id and,
 * every other round, another page; what the samples date "today" happened just now. Pure but for that clock,
 * and safe from any thread. */
#ifndef MILLRACE_DEMODATA_H
#define MILLRACE_DEMODATA_H

#include "buf.h"
#include "demoapi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Revisions that the demo's wiki does not know, and those whose text it hides; see demoapi_config. */
#define DEMODATA_MISSING ((struct demoapi_range){1990000000, 1990099999})
#define DEMODATA_HIDDEN ((struct demoapi_range){1991000000, 1991099999})

enum demodata_outcome { DEMODATA_ENRICHED, DEMODATA_PASSED, DEMODATA_DROPPED, DEMODATA_FAILED };

/* How many samples there are: a round. */
size_t demodata_round(void);
/* Appends the n-th event (from 0), one line of JSON without its newline; a few are broken on purpose. */
void demodata_event(size_t n, struct buf *out);
/* Its page_change_kind ("edit"), or "canary", or "broken". */
const char *demodata_kind(size_t n);
/* What page_content_change.lua makes of it with the demo's wiki. */
enum demodata_outcome demodata_outcome(size_t n);
/* The page of one of these events' revisions; false when the revision is of none. For demoapi_config.page. */
bool demodata_page(uint64_t rev_id, struct demoapi_page *page);

#endif
