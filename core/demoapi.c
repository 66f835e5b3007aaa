/* A MediaWiki Action API inside the process, for `millrace demo`. */
#include "demoapi.h"
#include "buf.h"
#include "list.h"
#include "mem.h"
#include "text.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ApiBase::LIMIT_SML1 */
enum { MOST_REVISIONS = 50 };

struct demoapi {
	struct demoapi_config config;
	pthread_t thread;
	struct event_base *base;
	struct evhttp *http;
	struct event *wake;
	int wake_fd; /* written once: the thread ends */
	uint16_t port;
	_Atomic uint64_t calls;
	struct list waiting; /* of struct reply */
	uint64_t *refused;   /* revisions that have been refused already */
	size_t refused_count, refused_capacity;
};

/* An answer that waits for its time. */
struct reply {
	struct list_node node;
	struct demoapi *api;
	struct evhttp_request *request;
	struct event *timer;
	int status;
	const char *error_code; /* for the header MediaWiki-API-Error; NULL = none */
	struct buf body;
};

/* What was asked. */
struct question {
	uint64_t ids[MOST_REVISIONS];
	size_t count;
	const char *host;
};

/* An even spread of bits for any number (splitmix64's finaliser). */
static uint64_t mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15u;
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
	return x ^ (x >> 31);
}

static bool within(struct demoapi_range range, uint64_t id)
{
	return range.last != 0 && id >= range.first && id <= range.last;
}

struct demoapi_config demoapi_defaults(void)
{
	return (struct demoapi_config){.delay_min_ms = 20, .delay_max_ms = 120, .trouble_every = 60};
}

/* ------------------------------------------------------------------ texts */

static const char *const sentences[] = {
        "The [[water wheel]] turns the millstone by way of a wooden gear. ",
        "A sluice lets as much water in as the wheel can use, and the weir keeps the rest. ",
        "In dry summers the miller waited for the pond to fill over night.<ref name=\"annals\" /> ",
        "Its banks are lined with larch, which lasts under water. ",
        "The race is 240 m long and falls by 1.8\xC2\xA0m. ",
        "''Mühlgraben'', ''bief'' and 水路 are names for the same thing. ",
        "{{Convert|12|kW|hp}} were enough for two pairs of stones. ",
        "It was cleared of silt each spring, a day's work for the whole village. ",
        "Since 1998 it has fed a small turbine instead. ",
};

enum { SENTENCES = sizeof(sentences) / sizeof(*sentences) };

static void write_wikitext(const struct demoapi_page *page, uint64_t rev_id, struct buf *out)
{
	buf_printf(out,
	        "'''%s''' is an article of the demonstration wiki, made up for revision %" PRIu64 ".\n",
	        page->title, rev_id);
	size_t sections = 1 + mix(rev_id) % 5;
	if (mix(rev_id) % 8 == 0)
		sections *= 8; /* now and then a long one */
	for (size_t section = 1; section <= sections; section++) {
		buf_printf(out, "\n== Section %zu ==\n", section);
		for (size_t i = 0; i < 2 + mix(rev_id + section) % 8; i++)
			buf_append_text(out, sentences[mix(rev_id * 31 + section * 8 + i) % SENTENCES]);
	}
	buf_append_text(out, "\n\n[[Category:Mills]]");
}

static void write_item(const struct demoapi_page *page, uint64_t rev_id, struct buf *out)
{
	buf_printf(out, "{\"type\":\"item\",\"labels\":{\"en\":{\"language\":\"en\",\"value\":");
	text_json_string(out, page->title, strlen(page->title));
	buf_printf(out, "}},\"claims\":{},\"sitelinks\":{},\"lastrevid\":%" PRIu64 "}", rev_id);
}

static void write_mediainfo(const struct demoapi_page *page, uint64_t rev_id, struct buf *out)
{
	buf_printf(out,
	        "{\"type\":\"mediainfo\",\"id\":\"M%" PRIu64
	        "\",\"labels\":[],\"statements\":{},\"rev\":%" PRIu64 "}",
	        page->page_id, rev_id);
}

typedef void (*writer)(const struct demoapi_page *page, uint64_t rev_id, struct buf *out);

static void write_slot(const char *role, const char *model, const char *format, writer write,
        const struct demoapi_page *page, uint64_t rev_id, struct buf *out)
{
	struct buf text;
	buf_init(&text, 0);
	write(page, rev_id, &text);
	buf_printf(out,
	        "\"%s\":{\"size\":%zu,\"contentmodel\":\"%s\",\"contentformat\":\"%s\",\"content\":", role,
	        text.size, model, format);
	text_json_string(out, text.data, text.size);
	buf_append_byte(out, '}');
	buf_free(&text);
}

static void write_slots(const char *host, const struct demoapi_page *page, uint64_t rev_id, struct buf *out)
{
	if (strcmp(host, "www.wikidata.org") == 0)
		write_slot("main", "wikibase-item", "application/json", write_item, page, rev_id, out);
	else
		write_slot("main", "wikitext", "text/x-wiki", write_wikitext, page, rev_id, out);
	if (strcmp(host, "commons.wikimedia.org") != 0 || strncmp(page->title, "File:", 5) != 0)
		return;
	buf_append_byte(out, ',');
	write_slot("mediainfo", "wikibase-mediainfo", "application/json", write_mediainfo, page, rev_id, out);
}

/* ---------------------------------------------------------------- answers */

static void page_of(const struct demoapi *api, uint64_t rev_id, struct demoapi_page *page)
{
	if (api->config.page && api->config.page(rev_id, page))
		return;
	page->page_id = 1 + mix(rev_id) % 100000;
	snprintf(page->title, sizeof(page->title), "Page %" PRIu64, page->page_id);
}

static void write_revision(const struct demoapi *api, const char *host, const struct demoapi_page *page,
        uint64_t rev_id, struct buf *out)
{
	bool hidden = within(api->config.hidden, rev_id);
	buf_printf(out, "{\"revid\":%" PRIu64 ",\"minor\":false,%s\"slots\":{", rev_id,
	        hidden ? "\"sha1hidden\":true," : "");
	if (hidden)
		buf_append_text(out, "\"main\":{\"sha1hidden\":true,\"texthidden\":true}");
	else
		write_slots(host, page, rev_id, out);
	buf_append_text(out, "}}");
}

/* All asked revisions of the page of ids[at]. */
static void write_page(const struct demoapi *api, const struct question *asked, size_t at, struct buf *out)
{
	struct demoapi_page page, other;
	page_of(api, asked->ids[at], &page);
	buf_printf(out, "{\"pageid\":%" PRIu64 ",\"ns\":0,\"title\":", page.page_id);
	text_json_string(out, page.title, strlen(page.title));
	buf_append_text(out, ",\"revisions\":[");
	const char *comma = "";
	for (size_t i = at; i < asked->count; i++) {
		page_of(api, asked->ids[i], &other);
		if (other.page_id != page.page_id || within(api->config.missing, asked->ids[i]))
			continue;
		buf_append_text(out, comma);
		write_revision(api, asked->host, &page, asked->ids[i], out);
		comma = ",";
	}
	buf_append_text(out, "]}");
}

/* Whether an earlier revision of the question has brought the page of ids[at] already. */
static bool page_was_written(const struct demoapi *api, const struct question *asked, size_t at)
{
	struct demoapi_page page, earlier;
	page_of(api, asked->ids[at], &page);
	for (size_t i = 0; i < at; i++) {
		page_of(api, asked->ids[i], &earlier);
		if (earlier.page_id == page.page_id && !within(api->config.missing, asked->ids[i]))
			return true;
	}
	return false;
}

static void write_pages(const struct demoapi *api, const struct question *asked, struct buf *out)
{
	const char *before = "\"pages\":[";
	for (size_t i = 0; i < asked->count; i++) {
		if (within(api->config.missing, asked->ids[i]) || page_was_written(api, asked, i))
			continue;
		buf_append_text(out, before);
		write_page(api, asked, i, out);
		before = ",";
	}
	if (before[0] == ',')
		buf_append_byte(out, ']');
}

/* How many of the asked revisions the wiki does not know. */
static size_t write_badrevids(const struct demoapi *api, const struct question *asked, struct buf *out)
{
	size_t missing = 0;
	for (size_t i = 0; i < asked->count; i++) {
		uint64_t id = asked->ids[i];
		if (!within(api->config.missing, id))
			continue;
		buf_append_text(out, missing++ ? "," : "\"badrevids\":{");
		buf_printf(out, "\"%" PRIu64 "\":{\"revid\":%" PRIu64 ",\"missing\":true}", id, id);
	}
	if (missing)
		buf_append_byte(out, '}');
	return missing;
}

static void write_answer(const struct demoapi *api, const struct question *asked, struct buf *out)
{
	buf_append_text(out, "{\"batchcomplete\":true,\"query\":{");
	size_t missing = write_badrevids(api, asked, out);
	if (missing != 0 && missing != asked->count)
		buf_append_byte(out, ',');
	write_pages(api, asked, out);
	buf_append_text(out, "}}");
}

/* -------------------------------------------------------------- questions */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void drop_repeats(struct question *asked)
{
	qsort(asked->ids, asked->count, sizeof(*asked->ids), by_number);
	size_t kept = 0;
	for (size_t i = 0; i < asked->count; i++)
		if (kept == 0 || asked->ids[kept - 1] != asked->ids[i])
			asked->ids[kept++] = asked->ids[i];
	asked->count = kept;
}

/* Reads "1|2|3"; NULL, or the API's code for what is wrong. */
static const char *read_ids(const char *text, struct question *asked)
{
	for (const char *at = text;; at++) {
		char *end;
		if (*at < '0' || *at > '9')
			return "badinteger";
		if (asked->count == MOST_REVISIONS)
			return "toomanyvalues";
		asked->ids[asked->count++] = strtoull(at, &end, 10);
		at = end;
		if (*at == '\0')
			break;
		if (*at != '|')
			return "badinteger";
	}
	drop_repeats(asked);
	return NULL;
}

static const char *read_question(struct evkeyvalq *query, struct question *asked)
{
	const char *action = evhttp_find_header(query, "action");
	const char *prop = evhttp_find_header(query, "prop");
	const char *version = evhttp_find_header(query, "formatversion");
	const char *ids = evhttp_find_header(query, "revids");
	if (action == NULL || strcmp(action, "query") != 0)
		return "unknown_action";
	if (version == NULL || strcmp(version, "2") != 0)
		return "unknown_formatversion";
	if (prop == NULL || strcmp(prop, "revisions") != 0)
		return "unknown_prop";
	return ids == NULL ? "missingparam" : read_ids(ids, asked);
}

static bool was_refused(const struct demoapi *api, uint64_t id)
{
	for (size_t i = 0; i < api->refused_count; i++)
		if (api->refused[i] == id)
			return true;
	return false;
}

static void remember_refused(struct demoapi *api, uint64_t id)
{
	if (api->refused_count == api->refused_capacity) {
		api->refused_capacity = api->refused_capacity ? 2 * api->refused_capacity : 16;
		api->refused = mem_realloc(api->refused, api->refused_capacity * sizeof(*api->refused));
	}
	api->refused[api->refused_count++] = id;
}

/* 503 or 429 where a revision makes trouble that has not made it yet, else 200. */
static int trouble(struct demoapi *api, const struct question *asked)
{
	int status = 200;
	unsigned every = api->config.trouble_every;
	for (size_t i = 0; every != 0 && i < asked->count; i++) {
		uint64_t chance = mix(asked->ids[i]);
		if (chance % every != 0 || was_refused(api, asked->ids[i]))
			continue;
		remember_refused(api, asked->ids[i]);
		status = chance / every % 2 ? 503 : 429;
	}
	return status;
}

static void answer(struct reply *reply, struct question *asked, const char *error_code)
{
	reply->error_code = error_code;
	reply->status = error_code ? 200 : trouble(reply->api, asked);
	if (error_code)
		buf_printf(&reply->body,
		        "{\"error\":{\"code\":\"%s\",\"info\":\"See demoapi.h for what is answered.\"}}",
		        error_code);
	else if (reply->status != 200)
		buf_append_text(&reply->body,
		        "<!DOCTYPE html><title>Error</title><p>The demonstration wiki is busy.");
	else
		write_answer(reply->api, asked, &reply->body);
}

/* ----------------------------------------------------------------- server */

static void reply_free(struct reply *reply)
{
	list_remove(&reply->api->waiting, &reply->node);
	event_free(reply->timer);
	buf_free(&reply->body);
	mem_free(reply);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct reply *reply = arg;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(reply->request);
	evhttp_add_header(headers, "Content-Type",
	        reply->status == 200 ? "application/json; charset=utf-8" : "text/html; charset=utf-8");
	if (reply->error_code)
		evhttp_add_header(headers, "MediaWiki-API-Error", reply->error_code);
	if (reply->status == 429)
		evhttp_add_header(headers, "Retry-After", "1");
	evbuffer_add(evhttp_request_get_output_buffer(reply->request), reply->body.data, reply->body.size);
	evhttp_send_reply(reply->request, reply->status, NULL, NULL);
	reply_free(reply);
}

/* The client is gone, and its request with it. */
static void on_close(struct evhttp_connection *connection, void *arg)
{
	struct demoapi *api = arg;
	list_each (&api->waiting, node, after) {
		struct reply *reply = container_of(node, struct reply, node);
		if (evhttp_request_get_connection(reply->request) == connection)
			reply_free(reply);
	}
}

/* Two draws, the lower one: most answers are quick, some are not. */
static struct timeval delay(const struct demoapi_config *config, uint64_t seed)
{
	uint64_t width = (uint64_t)(config->delay_max_ms - config->delay_min_ms) + 1;
	uint64_t a = mix(seed) % width, b = mix(~seed) % width;
	int64_t ms = config->delay_min_ms + (int64_t)(a < b ? a : b);
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct demoapi *api = arg;
	struct question asked = {
	        .host = evhttp_find_header(evhttp_request_get_input_headers(request), "Host")};
	if (asked.host == NULL)
		asked.host = "";
	struct evkeyvalq query = {0};
	const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
	evhttp_parse_query_str(text ? text : "", &query);
	uint64_t call = atomic_fetch_add(&api->calls, 1);

	struct reply *reply = mem_zalloc(1, sizeof(*reply));
	reply->api = api;
	reply->request = request;
	buf_init(&reply->body, 0);
	answer(reply, &asked, read_question(&query, &asked));
	evhttp_clear_headers(&query);

	list_append(&api->waiting, &reply->node);
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, api);
	reply->timer = evtimer_new(api->base, on_time, reply);
	struct timeval wait = delay(&api->config, asked.count ? asked.ids[0] + call : call);
	evtimer_add(reply->timer, &wait);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	event_base_loopbreak(arg);
}

static void *serve(void *arg)
{
	struct demoapi *api = arg;
	event_base_dispatch(api->base);
	return NULL;
}

/* Signals are the engine's, SIGPIPE nobody's: none reaches this thread. */
static bool start_thread(struct demoapi *api)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&api->thread, NULL, serve, api);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed == 0;
}

static bool bind_port(struct demoapi *api)
{
	struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(api->http, "127.0.0.1", 0);
	struct sockaddr_in address = {0};
	socklen_t size = sizeof(address);
	if (bound == NULL ||
	        getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &size) != 0)
		return false;
	api->port = ntohs(address.sin_port);
	return true;
}

static bool listen_for(struct demoapi *api)
{
	api->base = event_base_new();
	api->http = api->base ? evhttp_new(api->base) : NULL;
	api->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (api->http == NULL || api->wake_fd < 0 || !bind_port(api))
		return false;
	evhttp_set_allowed_methods(api->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_cb(api->http, "/w/api.php", on_request, api);
	api->wake = event_new(api->base, api->wake_fd, EV_READ, on_wake, api->base);
	return api->wake != NULL && event_add(api->wake, NULL) == 0;
}

static void close_all(struct demoapi *api)
{
	list_each (&api->waiting, node, after)
		reply_free(container_of(node, struct reply, node));
	if (api->http)
		evhttp_free(api->http);
	if (api->wake)
		event_free(api->wake);
	if (api->base)
		event_base_free(api->base);
	if (api->wake_fd >= 0)
		close(api->wake_fd);
	mem_free(api->refused);
	mem_free(api);
}

struct demoapi *demoapi_start(const struct demoapi_config *config, struct err *err)
{
	struct demoapi *api = mem_zalloc(1, sizeof(*api));
	api->config = *config;
	api->wake_fd = -1;
	list_init(&api->waiting, "demoapi.waiting");
	if (listen_for(api) && start_thread(api))
		return api;
	err_set(err,
	        "the embedded Action API cannot listen on 127.0.0.1: no socket, port or thread is to be had");
	close_all(api);
	return NULL;
}

uint16_t demoapi_port(const struct demoapi *api)
{
	return api->port;
}

uint64_t demoapi_calls(const struct demoapi *api)
{
	return atomic_load(&api->calls);
}

void demoapi_stop(struct demoapi *api)
{
	if (api == NULL)
		return;
	uint64_t one = 1;
	while (write(api->wake_fd, &one, sizeof(one)) < 0)
		;
	pthread_join(api->thread, NULL);
	close_all(api);
}
