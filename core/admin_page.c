/* The status page at `/`, and what only it asks for. */
#include "admin_page.h"
#include "clock.h"
#include "embedded.h"
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                             "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
static const char numbers_mark[] = "<!--numbers-->";

/* For who runs no scripts: what was taken and what became of it. */
static void append_numbers(struct buf *out, const struct admin_page *page)
{
	struct pipeline_counts counts;
	const char *paused = pipeline_paused(page->pipeline);
	pipeline_counts(page->pipeline, &counts);
	buf_printf(out, "<p>taken %llu, open %llu, given back %llu", (unsigned long long)counts.taken,
	        (unsigned long long)counts.open, (unsigned long long)counts.given_back);
	for (int i = 0; i < OUTCOMES; i++)
		buf_printf(out, ", %s %llu", outcome_name((enum outcome)i),
		        (unsigned long long)counts.outcomes[i]);
	buf_printf(out, "%s%s.</p>", paused ? "; intake is paused by: " : "", paused ? paused : "");
}

static void show_page(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	const struct embedded_file *file = embedded_find("page/page.html");
	const char *html = file ? (const char *)file->data : "";
	const char *mark = strstr(html, numbers_mark);
	(void)request;
	answer->type = "text/html; charset=utf-8";
	answer->policy = policy;
	if (mark) {
		buf_append(&answer->body, html, (size_t)(mark - html));
		append_numbers(&answer->body, context);
		html = mark + sizeof numbers_mark - 1;
	}
	buf_append_text(&answer->body, html);
}

static void show_file(struct admin_answer *answer, const char *name, const char *type)
{
	const struct embedded_file *file = embedded_find(name);
	answer->type = type;
	if (file)
		buf_append(&answer->body, file->data, file->size);
}

static void show_style(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	(void)context;
	(void)request;
	show_file(answer, "page/page.css", "text/css; charset=utf-8");
}

static void show_script(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	(void)context;
	(void)request;
	show_file(answer, "page/page.js", "text/javascript; charset=utf-8");
}

static void show_inspect(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	const struct admin_page *page = context;
	struct inspect inspect = {.pipeline = page->pipeline,
	        .source = page->source,
	        .lately = page->lately,
	        .upstreams = page->upstreams,
	        .words = request->caller == ADMIN_LOCAL || request->caller == ADMIN_TRUSTED,
	        .now = clock_now(),
	        .wall = clock_wall()};
	answer->type = "application/json";
	inspect_write(&inspect, &answer->body);
	buf_append_byte(&answer->body, '\n');
}

static void refuse(struct admin_answer *answer, int status, const char *why)
{
	answer->status = status;
	buf_printf(&answer->body, "%s\n", why);
}

static void show_failure(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	const struct admin_page *page = context;
	char number[24] = "";
	if (request->caller != ADMIN_TRUSTED) {
		refuse(answer, 403,
		        "events are shown only with \"Authorization: Bearer TOKEN\" as set by admin.token");
		return;
	}
	admin_value(request, "number", number, sizeof number);
	const struct lately_failure *failure = lately_find(page->lately, strtoull(number, NULL, 10));
	if (failure == NULL) {
		refuse(answer, 404,
		        "that failure is not among the last ones any more; \"millrace errors list\" reads "
		        "the "
		        "error stream");
	} else if (failure->event == NULL) {
		refuse(answer, 404,
		        "that event was too large to be kept, or there was none; \"millrace errors show\" "
		        "reads "
		        "the error stream");
	} else {
		answer->type = "application/octet-stream";
		buf_append(&answer->body, failure->event, failure->size);
	}
}

void admin_page_route(struct admin *admin, const struct admin_page *page)
{
	void *context = (void *)(size_t)page;
	const struct admin_route routes[] = {
	        {"GET", "/", "the status page", show_page, context},
	        {"GET", "/page.css", "its style", show_style, NULL},
	        {"GET", "/page.js", "its script", show_script, NULL},
	        {"GET", "/api/v1/inspect", "oldest unfinished records, partitions, hosts, last failures",
	                show_inspect, context},
	        {"GET", "/api/v1/failure", "the event of a failure; ?number=N, with the token", show_failure,
	                context},
	};
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		admin_route(admin, &routes[i]);
}
