/* HTTP exchanges on the event loop: curl_multi on libevent. */
#include "http.h"
#include "clock.h"
#include "http_player.h"
#include "mem.h"
#include "standstill.h"
#include "text.h"
#include "tls_curl.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
	READ_BYTES =
	        64
	        << 10, /* what one read takes from a socket at most; each call in flight may have as much */
	ANNOUNCED_MAX = 1 << 20, /* an announced size is believed so far */
};

/* One easy handle with what belongs to the transfer it carries now. */
struct http_exchange {
	struct http *http;
	CURL *easy;
	struct http_transfer *transfer; /* NULL while idle */
	struct curl_slist *headers;
	size_t header_bytes;
	int64_t began;         /* steady ms */
	enum http_failure cut; /* what our callbacks refused, else HTTP_ANSWERED */
	struct list_node node; /* in http.idle */
	char error[CURL_ERROR_SIZE];
};

/* A socket of curl's that the loop watches. */
struct watch {
	struct event event;
	struct list_node node;
};

struct http {
	struct event_base *base;
	CURLM *multi;
	CURLSH *share; /* TLS sessions outlive the easy handle that made them */
	struct event *timer;
	struct event *beat; /* while calls are in flight */
	struct standstill standstill;
	struct event *deferred; /* runs deliver when no socket would */
	struct list in_flight;  /* transfers with curl */
	struct list finished;   /* transfers whose done is due */
	struct list idle;       /* exchanges */
	struct list watches;
	struct playing *playing; /* NULL = the network answers */
	char *user_agent;
	struct buf line; /* scratch for a header line */
	size_t open;     /* connections now */
	size_t opened;
};

static const char *const failure_names[HTTP_FAILURES] = {
        [HTTP_ANSWERED] = "answered",
        [HTTP_CONNECT] = "connect",
        [HTTP_TIMEOUT] = "timeout",
        [HTTP_RESET] = "reset",
        [HTTP_TRUNCATED] = "truncated",
        [HTTP_STALE] = "stale",
        [HTTP_OVERSLEPT] = "overslept",
        [HTTP_TOO_LARGE] = "too_large",
        [HTTP_NO_ROOM] = "no_room",
        [HTTP_MALFORMED] = "malformed",
        [HTTP_INVALID] = "invalid",
};

const char *http_failure_name(enum http_failure failure)
{
	return failure_names[failure];
}

bool http_failure_is_ours(enum http_failure failure)
{
	return failure == HTTP_NO_ROOM || failure == HTTP_INVALID || failure == HTTP_STALE ||
	       failure == HTTP_OVERSLEPT;
}

bool http_text_ok(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

/* RFC 9110 §5.6.2: method and header names. */
static bool is_token(const char *text)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
	                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	return *text != '\0' && text[strspn(text, allowed)] == '\0';
}

static bool is_ours(const char *name)
{
	static const char *const ours[] = {"content-length", "transfer-encoding", "connection", "host"};
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	return false;
}

static bool header_ok(const struct header *header, char *reason, size_t size)
{
	if (!is_token(header->name))
		snprintf(reason, size,
		        "a header's name is empty or holds a character that no header name may hold");
	else if (is_ours(header->name))
		snprintf(reason, size, "the header %.40s is set by the engine", header->name);
	else if (!http_text_ok(header->value, strlen(header->value)))
		snprintf(reason, size, "the value of the header %.40s holds a control character",
		        header->name);
	else
		return true;
	return false;
}

static bool request_ok(struct http_transfer *transfer)
{
	const char *why = NULL;
	if (!is_token(transfer->method))
		why = "the method is not one word of letters";
	else if (!http_text_ok(transfer->url, strlen(transfer->url)) || strchr(transfer->url, ' '))
		why = "the URL holds a space or control character; encode it (%20)";
	else if (strchr(transfer->url, '#'))
		why = "the URL holds a '#', which is never sent; encode it (%23)";
	else if (transfer->host && (*transfer->host == '\0' || strpbrk(transfer->host, " /?#@\\,\"<>") ||
	                                   !http_text_ok(transfer->host, strlen(transfer->host))))
		why = "the host is not a host's name";
	else if (transfer->body && strcmp(transfer->method, "HEAD") == 0)
		why = "a HEAD request carries no body";
	if (why)
		snprintf(transfer->reason, sizeof transfer->reason, "%s", why);
	for (size_t i = 0; why == NULL && i < transfer->header_count; i++)
		if (!header_ok(&transfer->headers[i], transfer->reason, sizeof transfer->reason))
			return false;
	return why == NULL;
}

/* --- the answer as it comes --- */

/* Room for the whole body at once where its size is announced. Of a compressed one nobody says the size. */
static void expect_body(struct http_exchange *exchange)
{
	struct http_transfer *transfer = exchange->transfer;
	curl_off_t announced = -1;
	curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	if (announced <= 0)
		return;
	if (headers_get(transfer->answer_headers, transfer->answer_header_count, "content-encoding") == NULL)
		transfer->announced = (size_t)announced;
	if (announced <= ANNOUNCED_MAX)
		buf_reserve(&transfer->answer, (size_t)announced);
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct http_exchange *exchange = context;
	struct http_transfer *transfer = exchange->transfer;
	size *= one;
	if (transfer->answer.data == NULL)
		expect_body(exchange);
	transfer->came += size;
	if (transfer->room && !transfer->room(transfer, transfer->came))
		exchange->cut = HTTP_NO_ROOM;
	else if (buf_append(&transfer->answer, data, size))
		return size;
	else
		exchange->cut = HTTP_TOO_LARGE;
	return 0;
}

static void forget_headers(struct http_transfer *transfer)
{
	headers_free(transfer->answer_headers, transfer->answer_header_count);
	transfer->answer_headers = NULL;
	transfer->answer_header_count = 0;
}

static void add_header(struct http_transfer *transfer, const char *line, size_t name_size, size_t size)
{
	size_t count = transfer->answer_header_count;
	if (count % 16 == 0)
		transfer->answer_headers = mem_realloc(
		        transfer->answer_headers, (count + 16) * sizeof *transfer->answer_headers);
	char *name = mem_dup(line, name_size);
	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	const char *value = line + name_size + 1, *end = line + size;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (unsigned char)end[-1] <= ' ')
		end--;
	char *copy = mem_dup(value, (size_t)(end - value));
	for (char *c = copy; c < copy + (end - value); c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	transfer->answer_headers[count] = (struct header){.name = name, .value = copy};
	transfer->answer_header_count++;
}

static size_t on_header(char *line, size_t one, size_t size, void *context)
{
	struct http_exchange *exchange = context;
	struct http_transfer *transfer = exchange->transfer;
	size *= one;
	exchange->header_bytes += size;
	if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* of an interim answer there may be several */
		forget_headers(transfer);
		return size;
	}
	if (exchange->header_bytes > HTTP_HEADER_BYTES_MAX ||
	        transfer->answer_header_count == HTTP_HEADERS_MAX) {
		exchange->cut = HTTP_MALFORMED;
		return 0;
	}
	const char *colon = memchr(line, ':', size);
	if (colon && colon > line && *line != ' ' && *line != '\t')
		add_header(transfer, line, (size_t)(colon - line), size);
	return size;
}

/* --- what went wrong, in words --- */

/* "host:port" of a URL. */
static void authority(const char *url, char *text, size_t size)
{
	char *host = NULL, *port = NULL;
	CURLU *parsed = curl_url();
	if (parsed && curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
		curl_url_get(parsed, CURLUPART_HOST, &host, 0);
		curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	}
	snprintf(text, size, "%.80s:%.8s", host ? host : "?", port ? port : "?");
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parsed);
}

/* What is known about TLS of an exchange that failed; `section` is room for the keys' beginning. */
static struct tls_curl_failure failure_of(struct http_exchange *exchange, CURLcode code, char section[100])
{
	const struct upstream_config *upstream = exchange->transfer->upstream;
	snprintf(section, 100, "http.upstreams.%.60s.tls", upstream->name);
	return (struct tls_curl_failure){exchange->easy, (int)code, exchange->error, section, &upstream->tls};
}

/* Whether TLS was what failed; if so the reason says so. */
static bool explain_tls(struct http_exchange *exchange, CURLcode code)
{
	struct http_transfer *transfer = exchange->transfer;
	char peer[100], section[100], why[400];
	struct tls_curl_failure failure = failure_of(exchange, code, section);
	if (!tls_curl_explain(&failure, why, sizeof why))
		return false;
	authority(transfer->url, peer, sizeof peer);
	snprintf(transfer->reason, sizeof transfer->reason, "TLS with %s failed: %.380s", peer, why);
	return true;
}

static void explain_connect(struct http_exchange *exchange, CURLcode code, const char *peer)
{
	struct http_transfer *transfer = exchange->transfer;
	char *reason = transfer->reason;
	size_t size = sizeof transfer->reason;
	long number = 0;
	curl_easy_getinfo(exchange->easy, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		snprintf(reason, size, "no address is known for %s", peer);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		snprintf(reason, size, "no connection to %s in time", peer);
	else if (number == ECONNREFUSED)
		snprintf(reason, size, "connection refused by %s", peer);
	else
		snprintf(reason, size, "cannot reach %s: %s", peer,
		        number ? strerror((int)number) : "no route or no answer");
}

static void explain(struct http_exchange *exchange, CURLcode code)
{
	struct http_transfer *transfer = exchange->transfer;
	char *reason = transfer->reason;
	size_t size = sizeof transfer->reason;
	char peer[100], limit[32], section[100];
	struct tls_curl_failure broken = failure_of(exchange, code, section);
	authority(transfer->url, peer, sizeof peer);
	switch (transfer->failure) {
	case HTTP_CONNECT: explain_connect(exchange, code, peer); break;
	case HTTP_TIMEOUT: snprintf(reason, size, "no whole answer from %s in time", peer); break;
	case HTTP_RESET:
		snprintf(reason, size, "%s broke the connection before its whole answer", peer);
		tls_curl_suspect(&broken, reason, size);
		break;
	case HTTP_TRUNCATED: snprintf(reason, size, "the answer of %s ended early", peer); break;
	case HTTP_OVERSLEPT:
		snprintf(reason, size, "this process stood still for longer than the call's time");
		break;
	case HTTP_STALE: snprintf(reason, size, "%s had closed the idle connection", peer); break;
	case HTTP_TOO_LARGE:
		text_human_bytes(transfer->upstream->max_body, limit);
		snprintf(reason, size, "the answer of %s is larger than max_body (%s)", peer, limit);
		break;
	case HTTP_NO_ROOM: snprintf(reason, size, "there is no memory for the answer of %s now", peer); break;
	case HTTP_MALFORMED:
		snprintf(reason, size, "the answer of %s is not proper HTTP: %s", peer,
		        exchange->cut == HTTP_MALFORMED ? "too many headers" : curl_easy_strerror(code));
		break;
	case HTTP_INVALID:
		snprintf(reason, size, "the URL is not valid: %s", curl_easy_strerror(code));
		break;
	case HTTP_ANSWERED:
	case HTTP_FAILURES: break;
	}
}

/* curl's words may quote the peer's. */
static void make_printable(char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

static bool was_sent(CURL *easy)
{
	curl_off_t pretransfer = 0;
	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
	return pretransfer > 0;
}

static bool was_reused(CURL *easy)
{
	long connects = 0;
	curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
	return connects == 0;
}

/* The answer may be there, but curl looks at the time first. */
static enum http_failure timed_out(const struct http_exchange *exchange)
{
	if (standstill_hit(&exchange->http->standstill, exchange->began, clock_now()))
		return HTTP_OVERSLEPT;
	return was_sent(exchange->easy) ? HTTP_TIMEOUT : HTTP_CONNECT;
}

/* Of what is not TLS's. */
static enum http_failure classify(const struct http_exchange *exchange, CURLcode code)
{
	if (exchange->cut != HTTP_ANSWERED && code != CURLE_OK)
		return exchange->cut;
	switch (code) {
	case CURLE_OK: return HTTP_ANSWERED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT: return HTTP_CONNECT;
	case CURLE_OPERATION_TIMEDOUT: return timed_out(exchange);
	case CURLE_PARTIAL_FILE: return HTTP_TRUNCATED;
	case CURLE_FILESIZE_EXCEEDED: return HTTP_TOO_LARGE;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return was_reused(exchange->easy) && exchange->header_bytes == 0 ? HTTP_STALE : HTTP_RESET;
	case CURLE_WRITE_ERROR:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_WEIRD_SERVER_REPLY: return HTTP_MALFORMED;
	case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or of the answer: HTTP/0.9 */
		return was_sent(exchange->easy) ? HTTP_MALFORMED : HTTP_INVALID;
	case CURLE_URL_MALFORMAT:
	case CURLE_BAD_FUNCTION_ARGUMENT: return HTTP_INVALID;
	default: return HTTP_RESET;
	}
}

/* --- the way of a transfer --- */

static struct http_exchange *exchange_take(struct http *http)
{
	struct list_node *node = list_last(&http->idle); /* the one used last is still in the caches */
	if (node) {
		list_remove(&http->idle, node);
		return container_of(node, struct http_exchange, node);
	}
	struct http_exchange *exchange = mem_zalloc(1, sizeof *exchange);
	exchange->http = http;
	exchange->easy = curl_easy_init();
	if (exchange->easy == NULL) {
		mem_free(exchange);
		return NULL;
	}
	curl_easy_setopt(exchange->easy, CURLOPT_SHARE, http->share);
	return exchange;
}

/* Takes the exchange away from curl and its transfer. */
static void exchange_release(struct http_exchange *exchange)
{
	struct http *http = exchange->http;
	long connects = 0;
	curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &connects);
	http->opened += (size_t)connects;
	curl_multi_remove_handle(http->multi, exchange->easy);
	curl_easy_reset(exchange->easy);
	curl_slist_free_all(exchange->headers);
	exchange->headers = NULL;
	list_remove(&http->in_flight, &exchange->transfer->node);
	if (list_empty(&http->in_flight))
		event_del(http->beat);
	exchange->transfer->exchange = NULL;
	exchange->transfer = NULL;
	list_append(&http->idle, &exchange->node);
}

static void give_back_slack(struct buf *body)
{
	if (body->data && body->capacity - body->size > 4096) {
		body->capacity = body->size + 1;
		body->data = mem_realloc(body->data, body->capacity);
	}
}

static void finish(struct http_exchange *exchange, CURLcode code)
{
	struct http *http = exchange->http;
	struct http_transfer *transfer = exchange->transfer;
	curl_off_t elapsed = 0;
	long status = 0;
	curl_easy_getinfo(exchange->easy, CURLINFO_TOTAL_TIME_T, &elapsed);
	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	transfer->elapsed = (double)elapsed / 1e6;
	bool tls = code != CURLE_OK && exchange->cut == HTTP_ANSWERED && explain_tls(exchange, code);
	transfer->failure = tls ? HTTP_CONNECT : classify(exchange, code);
	if (transfer->failure == HTTP_ANSWERED) {
		transfer->status = (int)status;
		give_back_slack(&transfer->answer);
	} else {
		if (!tls)
			explain(exchange, code);
		make_printable(transfer->reason);
		forget_headers(transfer);
		buf_free(&transfer->answer);
	}
	exchange_release(exchange);
	list_append(&http->finished, &transfer->node);
}

static void collect(struct http *http)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(http->multi, &left))) {
		struct http_exchange *exchange;
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
		finish(exchange, code);
	}
}

static void defer(struct http *http)
{
	struct timeval at_once = {0}; /* by a timer: libevent runs what becomes active in this same turn */
	event_add(http->deferred, &at_once);
}

/* Each done may send, cancel or free: nothing of the transfer is touched after it, and only as many are given
 * back as there were, so that a done that always sends something invalid does not keep the loop. */
static void deliver(struct http *http)
{
	for (size_t due = http->finished.count; due > 0 && !list_empty(&http->finished); due--) {
		struct list_node *node = list_first(&http->finished);
		struct http_transfer *transfer = container_of(node, struct http_transfer, node);
		list_remove(&http->finished, node);
		transfer->done(transfer);
	}
	if (!list_empty(&http->finished))
		defer(http);
}

/* --- curl and libevent --- */

static void act(struct http *http, curl_socket_t fd, int what)
{
	int running;
	curl_multi_socket_action(http->multi, fd, what, &running);
	collect(http);
	deliver(http);
}

static void on_ready(evutil_socket_t fd, short what, void *context)
{
	int bits = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	act(context, fd, bits);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	act(context, CURL_SOCKET_TIMEOUT, 0);
}

static void on_beat(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct http *http = context;
	standstill_beat(&http->standstill, clock_now());
}

static void on_deferred(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	deliver(context);
}

static void unwatch(struct http *http, struct watch *watch)
{
	event_del(&watch->event);
	list_remove(&http->watches, &watch->node);
	mem_free(watch);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	(void)easy;
	struct http *http = context;
	struct watch *watch = socket_context;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			unwatch(http, watch);
		curl_multi_assign(http->multi, fd, NULL);
		return 0;
	}
	short bits = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST;
	if (watch) {
		event_del(&watch->event);
	} else {
		watch = mem_zalloc(1, sizeof *watch);
		list_append(&http->watches, &watch->node);
		curl_multi_assign(http->multi, fd, watch);
	}
	event_assign(&watch->event, http->base, fd, bits, on_ready, http);
	event_add(&watch->event, NULL);
	return 0;
}

static int on_timeout_change(CURLM *multi, long ms, void *context)
{
	(void)multi;
	struct http *http = context;
	if (ms < 0)
		return event_del(http->timer);
	struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	return event_add(http->timer, &wait);
}

/* --- what is asked --- */

static bool append_line(
        struct http_exchange *exchange, const char *name, const char *separator, const char *value)
{
	struct buf *line = &exchange->http->line;
	buf_clear(line);
	buf_printf(line, "%s%s%s", name, separator, value);
	struct curl_slist *longer = curl_slist_append(exchange->headers, line->data);
	if (longer)
		exchange->headers = longer;
	return longer != NULL;
}

/* curl's notation: "name: value", "name;" for an empty value, "name:" to send none of its own. */
static bool set_headers(struct http_exchange *exchange)
{
	static const char *const unwanted[] = {"Expect", "Content-Type"};
	const struct http_transfer *transfer = exchange->transfer;
	bool ok = transfer->host == NULL || append_line(exchange, "Host", ": ", transfer->host);
	for (size_t i = 0; ok && i < transfer->header_count; i++) {
		const struct header *header = &transfer->headers[i];
		bool empty = header->value[strspn(header->value, " ")] == '\0';
		ok = append_line(exchange, header->name, empty ? ";" : ": ", empty ? "" : header->value);
	}
	for (size_t i = 0; ok && i < sizeof unwanted / sizeof *unwanted; i++)
		if (headers_get(transfer->headers, transfer->header_count, unwanted[i]) == NULL)
			ok = append_line(exchange, unwanted[i], ":", "");
	curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers);
	return ok;
}

static void set_method(CURL *easy, const struct http_transfer *transfer)
{
	const char *method = transfer->method;
	bool carries = transfer->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	               strcmp(method, "PATCH") == 0;
	if (strcmp(method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (carries) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body ? transfer->body : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		        (curl_off_t)(transfer->body ? transfer->body_size : 0));
	}
	if (strcmp(method, carries ? "POST" : "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	/* Announced sizes are refused before a byte of the body is read; HEAD announces what it does not
	 * send. */
	if (transfer->upstream->max_body)
		curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)transfer->upstream->max_body);
}

/* Before 8.0 libcurl fails from the second request on such a connection on (curl pull request 10643). */
static bool knows_prior_knowledge(void)
{
	return curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000;
}

static void set_version(CURL *easy, const struct http_transfer *transfer)
{
	long version = CURL_HTTP_VERSION_1_1;
	bool tls = strncasecmp(transfer->url, "https:", 6) == 0;
	if (transfer->upstream->http2 && (tls || knows_prior_knowledge())) {
		version = tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
		curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
}

static void set_connection(CURL *easy, const struct http_transfer *transfer)
{
	const struct upstream_config *upstream = transfer->upstream;
	int64_t timeout = transfer->timeout_ms ? transfer->timeout_ms : upstream->timeout_ms;
	long idle = (long)(upstream->max_idle_ms / 1000);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)upstream->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, idle > 0 ? idle : 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, transfer->fresh ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	tls_curl_set(easy, &upstream->tls);
}

/* Connections are counted as their sockets come and go: curl tells of new ones alone. */
static int on_opened(void *context, curl_socket_t fd, curlsocktype purpose)
{
	struct http *http = context;
	(void)fd;
	(void)purpose;
	http->open++;
	return CURL_SOCKOPT_OK;
}

static int on_closed(void *context, curl_socket_t fd)
{
	struct http *http = context;
	http->open--;
	return close(fd);
}

/* What is true of every request: nothing from the environment, nothing followed, nothing remembered. */
static void set_always(struct http_exchange *exchange)
{
	CURL *easy = exchange->easy;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_BYTES);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_opened);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, exchange->http);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_closed);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, exchange->http);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, exchange->http->user_agent);
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a cancel does not wait for the resolver's thread */
#endif
}

static void begin_beating(struct http *http, int64_t now)
{
	struct timeval each = {
	        .tv_sec = STANDSTILL_BEAT_MS / 1000, .tv_usec = STANDSTILL_BEAT_MS % 1000 * 1000};
	standstill_begin(&http->standstill, now);
	event_add(http->beat, &each);
}

static bool start(struct http *http, struct http_transfer *transfer)
{
	if (!request_ok(transfer))
		return false;
	struct http_exchange *exchange = exchange_take(http);
	if (exchange == NULL) {
		snprintf(transfer->reason, sizeof transfer->reason, "no handle is left for another request");
		return false;
	}
	transfer->exchange = exchange;
	exchange->transfer = transfer;
	exchange->header_bytes = 0;
	exchange->cut = HTTP_ANSWERED;
	exchange->error[0] = '\0';
	exchange->began = clock_now();
	if (list_empty(&http->in_flight))
		begin_beating(http, exchange->began);
	list_append(&http->in_flight, &transfer->node);
	set_always(exchange);
	set_version(exchange->easy, transfer);
	set_connection(exchange->easy, transfer);
	set_method(exchange->easy, transfer);
	if (set_headers(exchange) &&
	        curl_easy_setopt(exchange->easy, CURLOPT_URL, transfer->url) == CURLE_OK &&
	        curl_multi_add_handle(http->multi, exchange->easy) == CURLM_OK)
		return true;
	exchange_release(exchange);
	snprintf(transfer->reason, sizeof transfer->reason, "curl did not take the request");
	return false;
}

void http_send(struct http *http, struct http_transfer *transfer)
{
	transfer->failure = HTTP_ANSWERED;
	transfer->reason[0] = '\0';
	transfer->status = 0;
	transfer->elapsed = 0;
	transfer->came = transfer->announced = 0;
	transfer->answer_headers = NULL;
	transfer->answer_header_count = 0;
	transfer->exchange = NULL;
	buf_init(&transfer->answer, transfer->upstream->max_body);
	transfer->played_from = NULL;
	transfer->played = http->playing && request_ok(transfer) && playing_send(http->playing, transfer);
	if (transfer->played || start(http, transfer))
		return;
	transfer->failure = HTTP_INVALID;
	list_append(&http->finished, &transfer->node);
	defer(http);
}

void http_cancel(struct http *http, struct http_transfer *transfer)
{
	if (!list_linked(&transfer->node))
		return;
	if (transfer->exchange)
		exchange_release(transfer->exchange);
	else if (transfer->played)
		playing_cancel(http->playing, transfer);
	else
		list_remove(&http->finished, &transfer->node);
}

void http_transfer_free(struct http_transfer *transfer)
{
	forget_headers(transfer);
	buf_free(&transfer->answer);
}

size_t http_in_flight(const struct http *http)
{
	return http->in_flight.count + http->finished.count +
	       (http->playing ? playing_in_flight(http->playing) : 0);
}

int64_t http_next(const struct http *http)
{
	if (http->playing && !list_empty(&http->finished))
		return clock_now();
	return http->playing ? playing_next(http->playing) : -1;
}

void http_keep_connections(struct http *http, size_t count)
{
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, count ? (long)count : 1L);
}

size_t http_connections(const struct http *http)
{
	return http->open;
}

size_t http_connections_opened(const struct http *http)
{
	return http->opened;
}

/* --- opening and closing --- */

static void set_multi(struct http *http)
{
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	http_keep_connections(http, 1);
	curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

static void on_played(void *context, struct http_transfer *transfer)
{
	struct http *http = context;
	transfer->played = false;
	list_append(&http->finished, &transfer->node);
	defer(http);
}

struct http *http_open(struct event_base *base, const struct http_config *config, struct err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, "http: curl did not start");
		return NULL;
	}
	struct http *http = mem_zalloc(1, sizeof *http);
	http->base = base;
	http->multi = curl_multi_init();
	http->share = curl_share_init();
	http->timer = event_new(base, -1, 0, on_timer, http);
	http->beat = event_new(base, -1, EV_PERSIST, on_beat, http);
	http->deferred = event_new(base, -1, 0, on_deferred, http);
	http->user_agent = mem_strdup(config->user_agent);
	list_init(&http->in_flight, "http in flight");
	list_init(&http->finished, "http finished");
	list_init(&http->idle, "http idle");
	list_init(&http->watches, "http watches");
	if (http->multi == NULL || http->share == NULL || http->timer == NULL || http->beat == NULL ||
	        http->deferred == NULL) {
		err_set(err, "http: no memory for curl and its events");
		http_close(http);
		return NULL;
	}
	set_multi(http);
	if (config->player)
		http->playing = playing_open(base, config->player, on_played, http);
	return http;
}

void http_use_agent(struct http *http, const char *user_agent)
{
	char *copy = mem_strdup(user_agent);
	mem_free(http->user_agent);
	http->user_agent = copy;
}

void http_close(struct http *http)
{
	list_each (&http->in_flight, node, after)
		http_cancel(http, container_of(node, struct http_transfer, node));
	list_each (&http->finished, node, after)
		list_remove(&http->finished, node);
	playing_close(http->playing);
	list_each (&http->idle, node, after) {
		struct http_exchange *exchange = container_of(node, struct http_exchange, node);
		list_remove(&http->idle, node);
		curl_easy_cleanup(exchange->easy);
		mem_free(exchange);
	}
	curl_multi_cleanup(http->multi);
	curl_share_cleanup(http->share);
	list_each (&http->watches, node, after)
		unwatch(http, container_of(node, struct watch, node));
	if (http->timer)
		event_free(http->timer);
	if (http->beat)
		event_free(http->beat);
	if (http->deferred)
		event_free(http->deferred);
	buf_free(&http->line);
	mem_free(http->user_agent);
	mem_free(http);
	curl_global_cleanup();
}
