/* The status page at `/`, and what only it asks for.
 *
 *   GET /, /page.css, /page.js   compiled into the binary; nothing is loaded from elsewhere
 *   GET /api/v1/inspect          inspect.h; queries and messages only for this machine or with the token
 *   GET /api/v1/failure?number=N the event of a failure, verbatim, as a fixture; only with the token
 */
#ifndef MILLRACE_ADMIN_PAGE_H
#define MILLRACE_ADMIN_PAGE_H

#include "admin.h"
#include "lately.h"
#include "pipeline.h"

struct admin_page {
	const char *name; /* of the job */
	const struct pipeline *pipeline;
	const struct source *source;
	const struct lately *lately;
	const struct upstream_config *upstreams;
};

/* Adds the pages; borrows `page`. */
void admin_page_route(struct admin *admin, const struct admin_page *page);

#endif
