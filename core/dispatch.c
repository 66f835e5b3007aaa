/* When each lookup is asked: waiting, in flight, backing off; per upstream and host, the oldest record first.
 *
 *   dispatch_submit -> make_ready -> upstream.ready, by age
 *   dispatch_tick   -> wake, send_ready -> start_call -> http_send      (host paused: host.parked until it is
 * over)
 *        ~~> call_done -> judge -> apply:
 *              FATE_ANSWER   respond ----------------.
 *              FATE_REFUSE   refuse -----------------+-> finished -> hooks.done
 *              FATE_AGAIN    retry_next says no -> --'
 *                            or back_off -> upstream.backing_off, by due -> make_ready
 *              FATE_LATER    the same, but neither counted nor bounded by attempts
 *              FATE_CUT      there was no room for the answer: -> make_ready, to be asked alone
 */
#include "dispatch.h"
#include "clock.h"
#include "hosts.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "url.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
	PAUSE_MAX_MS = 60000,  /* longest pause of a host that one answer can cause */
	PAUSE_LEAST_MS = 1000, /* when a 429 names no time: this and up to as much again */
	LATER_LEAST_MS = 100,  /* of a retry that the script asked for */
	LATER_MAX_MS = 600000,
	STATUS_MAX = 600
};

struct upstream {
	const struct upstream_config *config;
	struct limiter limiter;
	struct hosts hosts;
	struct heap ready;       /* lookups by age */
	struct heap backing_off; /* lookups by due */
	size_t parked;           /* lookups at paused hosts */
	struct log_site failing, pausing;
	struct histogram *duration;
	double *in_flight, *waiting, *bytes;
	double *requests[2][STATUS_MAX]; /* first and retry, by status; 0 = no answer; NULL until used */
};

struct dispatch {
	struct http *http;
	struct dispatch_config config;
	struct dispatch_hooks hooks;
	struct metrics *metrics;
	struct upstream *upstreams;
	struct list calls;    /* in the air */
	size_t doomed;        /* of them */
	struct list finished; /* lookups whose done is due */
	bool delivering;
	size_t in_flight; /* calls */
	uint64_t turns;   /* submissions so far */
	double *connections;
};

/* What becomes of the lookups of a call that ended. */
struct fate {
	enum { FATE_ANSWER, FATE_REFUSE, FATE_AGAIN, FATE_STALE, FATE_LATER, FATE_CUT } kind;
	const char *type;  /* error_type of the refusal, now or when the retries are used up */
	const char *label; /* why it is asked again, for the metric */
	int64_t wait_ms;   /* AGAIN: Retry-After, -1 = none; LATER: how long */
	char message[768];
};

static bool is_older(const struct heap_node *a, const struct heap_node *b)
{
	const struct lookup *one = container_of(a, struct lookup, place),
	                    *two = container_of(b, struct lookup, place);
	return one->age != two->age ? one->age < two->age : one->turn < two->turn;
}

static bool is_due_sooner(const struct heap_node *a, const struct heap_node *b)
{
	const struct lookup *one = container_of(a, struct lookup, place),
	                    *two = container_of(b, struct lookup, place);
	return one->due != two->due ? one->due < two->due : is_older(a, b);
}

static struct upstream *upstream_of(const struct dispatch *dispatch, const struct lookup *lookup)
{
	assert(lookup->request.upstream < dispatch->config.upstream_count);
	return &dispatch->upstreams[lookup->request.upstream];
}

/* --- waiting --- */

static void make_ready(struct upstream *upstream, struct lookup *lookup)
{
	lookup->state = LOOKUP_WAITING;
	heap_push(&upstream->ready, &lookup->place);
}

static void back_off(struct upstream *upstream, struct lookup *lookup, int64_t now, int64_t wait_ms)
{
	if (wait_ms <= 0) {
		make_ready(upstream, lookup);
		return;
	}
	lookup->state = LOOKUP_BACKING_OFF;
	lookup->due = now + wait_ms;
	heap_push(&upstream->backing_off, &lookup->place);
}

static void park(struct upstream *upstream, struct lookup *lookup)
{
	lookup->state = LOOKUP_WAITING;
	list_append(&lookup->host->parked, &lookup->node);
	upstream->parked++;
}

static void unpark(struct upstream *upstream, struct lookup *lookup)
{
	list_remove(&lookup->host->parked, &lookup->node);
	upstream->parked--;
}

static void wake(struct upstream *upstream, int64_t now)
{
	struct host *host;
	struct heap_node *first;
	while ((host = hosts_wake(&upstream->hosts, now))) {
		list_each (&host->parked, node, after) {
			struct lookup *lookup = container_of(node, struct lookup, node);
			unpark(upstream, lookup);
			make_ready(upstream, lookup);
		}
		hosts_give(&upstream->hosts, host);
	}
	while ((first = heap_first(&upstream->backing_off))) {
		struct lookup *lookup = container_of(first, struct lookup, place);
		if (lookup->due > now)
			break;
		heap_remove(&upstream->backing_off, first);
		make_ready(upstream, lookup);
	}
}

static void pause_host(struct dispatch *dispatch, struct upstream *upstream, struct host *host, int64_t until,
        int64_t now, const char *reason)
{
	if (until > now + PAUSE_MAX_MS)
		until = now + PAUSE_MAX_MS;
	int64_t grew = hosts_pause(&upstream->hosts, host, until, now);
	if (grew == 0)
		return;
	const char *label = strcmp(reason, "429") == 0 ? "429" : "retry";
	*metrics_value(dispatch->metrics, METRIC_HTTP_THROTTLED, upstream->config->name, label) +=
	        (double)grew / 1000;
	log_write(LOG_WARN, &upstream->pausing, "http", "upstream %s: nothing is sent to %s for %.1f s (%s)",
	        upstream->config->name, host->name ? host->name : "it", (double)(until - now) / 1000, reason);
}

void dispatch_pause_host(struct dispatch *dispatch, size_t index, const char *name, int64_t until,
        int64_t now, const char *reason)
{
	assert(index < dispatch->config.upstream_count);
	struct upstream *upstream = &dispatch->upstreams[index];
	struct host *host = hosts_take(&upstream->hosts, name);
	pause_host(dispatch, upstream, host, until, now, reason);
	hosts_give(&upstream->hosts, host);
}

/* --- the end of a lookup --- */

static void end_lookup(struct dispatch *dispatch, struct lookup *lookup, int64_t now)
{
	lookup->state = LOOKUP_DONE;
	lookup->response.attempts = lookup->calls;
	lookup->response.elapsed = (double)(now - lookup->submitted) / 1000;
	hosts_give(&upstream_of(dispatch, lookup)->hosts, lookup->host);
	lookup->host = NULL;
	list_append(&dispatch->finished, &lookup->node);
}

static void refuse(
        struct dispatch *dispatch, struct lookup *lookup, int64_t now, const struct fate *fate, int status)
{
	lookup->response.status = status;
	lookup->response.error_type = mem_strdup(fate->type);
	bool in_time = fate->kind != FATE_AGAIN ||
	               lookup->attempts >= upstream_of(dispatch, lookup)->config->retry.attempts;
	lookup->response.error_message =
	        mem_printf("%s%s", fate->message, in_time ? "" : "; the retry deadline allows no other");
	end_lookup(dispatch, lookup, now);
}

static struct header *copy_headers(const struct header *headers, size_t count)
{
	struct header *copy = mem_zalloc(count, sizeof *copy);
	for (size_t i = 0; i < count; i++)
		copy[i] = (struct header){mem_strdup(headers[i].name), mem_strdup(headers[i].value)};
	return copy;
}

/* The last lookup of the call takes the answer with it, the others get copies. */
static void respond(struct dispatch *dispatch, struct lookup *lookup, struct http_transfer *transfer,
        bool last, int64_t now)
{
	struct response *response = &lookup->response;
	response->status = transfer->status;
	response->header_count = transfer->answer_header_count;
	response->body_size = transfer->answer.size;
	lookup->came = transfer->came;
	if (last) {
		response->headers = transfer->answer_headers;
		response->body = buf_steal(&transfer->answer, NULL);
		transfer->answer_headers = NULL;
		transfer->answer_header_count = 0;
	} else {
		response->headers = copy_headers(transfer->answer_headers, transfer->answer_header_count);
		response->body =
		        mem_dup(transfer->answer.data ? transfer->answer.data : "", transfer->answer.size);
	}
	end_lookup(dispatch, lookup, now);
}

/* A done may submit, cancel and free: the list is looked at anew each time. */
static void deliver(struct dispatch *dispatch)
{
	struct list_node *node;
	if (dispatch->delivering)
		return;
	dispatch->delivering = true;
	while ((node = list_first(&dispatch->finished))) {
		list_remove(&dispatch->finished, node);
		dispatch->hooks.done(dispatch->hooks.context, container_of(node, struct lookup, node));
	}
	dispatch->delivering = false;
}

/* --- what an answer means --- */

static struct lookup *oldest_of(const struct call *call)
{
	return container_of(list_first(&call->lookups), struct lookup, node);
}

/* "GET http://127.0.0.1:6500/w/api.php for host xx.wikipedia.org", without the query. */
static void name_call(const struct call *call, struct buf *out)
{
	const struct request *request = &oldest_of(call)->request;
	size_t size = strcspn(call->url, "?");
	buf_printf(out, "%s %.*s%s", request->method, size < 300 ? (int)size : 300, call->url,
	        size < 300 ? "" : "...");
	if (call->transfer.host)
		buf_printf(out, " for host %.253s", call->transfer.host);
}

static void explain(struct fate *fate, const struct call *call, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static void explain(struct fate *fate, const struct call *call, const char *format, ...)
{
	struct buf text;
	unsigned calls = oldest_of(call)->calls;
	va_list args;
	buf_init(&text, 0);
	name_call(call, &text);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	buf_printf(&text, " (%u %s)", calls, calls == 1 ? "attempt" : "attempts");
	snprintf(fate->message, sizeof fate->message, "%s", text.data);
	buf_free(&text);
}

static bool is_accepted(const struct request *request, int status)
{
	if (status >= 200 && status <= 299)
		return true;
	for (size_t i = 0; i < request->accept_count; i++)
		if (request->accept[i] == status)
			return true;
	return false;
}

static int64_t asked_wait(const struct call *call)
{
	const struct http_transfer *transfer = &call->transfer;
	return retry_after(
	        headers_get(transfer->answer_headers, transfer->answer_header_count, "retry-after"),
	        call->wall);
}

/* Pauses the call's host as a 429 asks for; 0 s and nonsense get a short random while of our own. */
static void throttle(struct call *call, int64_t now)
{
	struct dispatch *dispatch = call->dispatch;
	int64_t wait = asked_wait(call);
	if (wait <= 0)
		wait = PAUSE_LEAST_MS + (int64_t)(dispatch->config.random() * PAUSE_LEAST_MS);
	if (wait > PAUSE_MAX_MS)
		wait = PAUSE_MAX_MS;
	pause_host(dispatch, call->upstream, oldest_of(call)->host, now + wait, now, "429");
}

/* Seconds of a script as ms, whatever number it is. */
static int64_t later_ms(double seconds, int64_t most)
{
	double ms = seconds * 1000;
	return !(ms > LATER_LEAST_MS) ? LATER_LEAST_MS : ms > (double)most ? most : (int64_t)ms;
}

static void script_retry(
        struct call *call, const struct answer_detail *detail, int64_t now, struct fate *fate)
{
	fate->kind = FATE_LATER;
	fate->type = "RetryDeadline";
	fate->label = "retry";
	explain(fate, call, " is to be retried (%s), and its deadline is over", detail->reason);
	if (!detail->host_scope) {
		fate->wait_ms = later_ms(detail->after, LATER_MAX_MS);
		return;
	}
	int64_t until = now + later_ms(detail->after, PAUSE_MAX_MS);
	pause_host(call->dispatch, call->upstream, oldest_of(call)->host, until, now, detail->reason);
}

static void judge_answer(struct call *call, int64_t now, struct fate *fate, struct answer_detail *detail)
{
	struct dispatch *dispatch = call->dispatch;
	switch (dispatch->hooks.answer(dispatch->hooks.context, call, detail)) {
	case ANSWER_OK: fate->kind = FATE_ANSWER; break;
	case ANSWER_UNPARSABLE:
		fate->kind = FATE_AGAIN;
		fate->type = "HttpUnparsable";
		fate->label = "unparsable";
		explain(fate, call, " answered %d with a body that is not JSON%s%s", call->transfer.status,
		        *detail->message ? ": " : "", detail->message);
		break;
	case ANSWER_RETRY: script_retry(call, detail, now, fate); break;
	case ANSWER_FAIL:
		fate->kind = FATE_REFUSE;
		fate->type = *detail->reason ? detail->reason : "ScriptError";
		snprintf(fate->message, sizeof fate->message, "%s", detail->message);
		break;
	}
}

static const char *status_label(int status, char text[16])
{
	if (status >= 500 && status <= 599)
		return "5xx";
	snprintf(text, 16, "%d", status);
	return text;
}

static void judge_status(struct call *call, int64_t now, struct fate *fate, char label[16])
{
	int status = call->transfer.status;
	fate->type = "HttpStatus";
	fate->label = status_label(status, label);
	explain(fate, call, " answered %d", status);
	if (status == 429) {
		fate->kind = FATE_LATER;
		fate->wait_ms = 0; /* the host is paused: it waits there, and the deadline with it */
		throttle(call, now);
	} else if (retry_status(&call->upstream->config->retry, status)) {
		fate->kind = FATE_AGAIN;
		fate->wait_ms = asked_wait(call);
	}
}

static void judge_failure(struct call *call, struct fate *fate)
{
	enum http_failure failure = call->transfer.failure;
	fate->label = http_failure_name(failure);
	explain(fate, call, " failed: %s", call->transfer.reason);
	switch (failure) {
	case HTTP_TOO_LARGE: fate->type = "ContentTooLarge"; return;
	case HTTP_INVALID: fate->type = "HttpInvalid"; return;
	case HTTP_NO_ROOM: fate->kind = FATE_CUT; return;
	case HTTP_TIMEOUT: fate->type = "HttpTimeout"; break;
	default: fate->type = "HttpTransport"; break;
	}
	fate->kind = failure == HTTP_STALE && !oldest_of(call)->fresh ? FATE_STALE : FATE_AGAIN;
}

/* --- what becomes of the lookups of a call --- */

static int64_t start_of_deadline(const struct lookup *lookup)
{
	return lookup->submitted + lookup->paused_ms;
}

/* Decides over another call for one lookup: true when it will be asked again. */
static bool ask_again(struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup,
        int64_t now, const struct fate *fate)
{
	const struct retry_config *retry = &upstream->config->retry;
	int64_t start = start_of_deadline(lookup), wait_ms = fate->wait_ms;
	bool counts = fate->kind == FATE_AGAIN;
	if (counts)
		lookup->attempts++;
	lookup->fresh = fate->kind == FATE_STALE;
	if (counts && !retry_next(retry, lookup->attempts, start, now, fate->wait_ms,
	                      dispatch->config.random(), &wait_ms))
		return false;
	if (fate->kind == FATE_LATER && !host_is_paused(lookup->host) &&
	        !retry_in_time(retry, start, now + wait_ms))
		return false;
	*metrics_value(dispatch->metrics, METRIC_HTTP_RETRIES, upstream->config->name, fate->label) += 1;
	back_off(upstream, lookup, now, wait_ms);
	return true;
}

static void yield(struct dispatch *dispatch, struct lookup *lookup)
{
	if (dispatch->hooks.yield)
		dispatch->hooks.yield(dispatch->hooks.context, lookup);
}

/* No attempt, and no reason to wait: hooks.room lets it go when what was seen of the answer fits. */
static void ask_alone(struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup)
{
	lookup->alone = true;
	*metrics_value(dispatch->metrics, METRIC_HTTP_RETRIES, upstream->config->name,
	        http_failure_name(HTTP_NO_ROOM)) += 1;
	yield(dispatch, lookup);
	make_ready(upstream, lookup);
}

static void apply(struct call *call, int64_t now, const struct fate *fate)
{
	struct dispatch *dispatch = call->dispatch;
	struct http_transfer *transfer = &call->transfer;
	struct list_node *node;
	while ((node = list_first(&call->lookups))) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		list_remove(&call->lookups, node);
		lookup->call = NULL;
		lookup->paused_ms = host_paused_ms(lookup->host, now) - lookup->host_paused;
		if (fate->kind == FATE_ANSWER)
			respond(dispatch, lookup, transfer, list_empty(&call->lookups), now);
		else if (fate->kind == FATE_CUT)
			ask_alone(dispatch, call->upstream, lookup);
		else if (fate->kind == FATE_REFUSE || !ask_again(dispatch, call->upstream, lookup, now, fate))
			refuse(dispatch, lookup, now, fate, transfer->status);
		else
			yield(dispatch, lookup);
	}
}

static double *requests_value(struct dispatch *dispatch, struct upstream *upstream, int status, bool first)
{
	char code[16] = "error";
	if (status < 0 || status >= STATUS_MAX)
		status = 0;
	double **value = &upstream->requests[first ? 0 : 1][status];
	if (status > 0)
		snprintf(code, sizeof code, "%d", status);
	if (*value == NULL)
		*value = metrics_value(dispatch->metrics, METRIC_HTTP_REQUESTS, upstream->config->name, code,
		        first ? "first" : "retry");
	return *value;
}

static void measure(struct call *call)
{
	struct http_transfer *transfer = &call->transfer;
	*call->upstream->bytes += (double)transfer->came;
	if (transfer->failure == HTTP_NO_ROOM)
		return; /* our own doing says nothing about the upstream */
	*requests_value(call->dispatch, call->upstream, transfer->status, oldest_of(call)->calls == 1) += 1;
	metrics_observe(call->upstream->duration, transfer->elapsed);
}

static void report(struct call *call, const struct fate *fate)
{
	struct upstream *upstream = call->upstream;
	if (fate->kind != FATE_AGAIN)
		return;
	if (call->transfer.failure != HTTP_ANSWERED)
		log_write(LOG_WARN, &upstream->failing, "http", "upstream %s: %s", upstream->config->name,
		        call->transfer.reason);
	else
		log_write(LOG_WARN, &upstream->failing, "http", "upstream %s: it answered %d%s",
		        upstream->config->name, call->transfer.status,
		        call->transfer.status < 300 ? " with a body that is not JSON" : "");
}

static void call_free(struct call *call)
{
	struct dispatch *dispatch = call->dispatch;
	assert(list_empty(&call->lookups));
	limiter_end(&call->upstream->limiter);
	dispatch->in_flight--;
	dispatch->doomed -= call->doomed;
	list_remove(&dispatch->calls, &call->node);
	http_transfer_free(&call->transfer);
	mem_free(call->url);
	mem_free(call);
}

static void call_done(struct http_transfer *transfer)
{
	struct call *call = container_of(transfer, struct call, transfer);
	struct dispatch *dispatch = call->dispatch;
	struct fate fate = {.kind = FATE_REFUSE, .wait_ms = -1};
	struct answer_detail detail = {0};
	char label[16];
	int64_t now = clock_now();
	call->wall = clock_wall();
	if (transfer->failure != HTTP_INVALID)
		measure(call);
	if (transfer->failure != HTTP_ANSWERED)
		judge_failure(call, &fate);
	else if (is_accepted(&oldest_of(call)->request, transfer->status))
		judge_answer(call, now, &fate, &detail);
	else
		judge_status(call, now, &fate, label);
	report(call, &fate);
	apply(call, now, &fate);
	call_free(call);
	deliver(dispatch);
}

/* --- room for answers --- */

static struct call *youngest_call(const struct dispatch *dispatch)
{
	struct call *youngest = NULL;
	list_each (&dispatch->calls, node, after) {
		struct call *call = container_of(node, struct call, node);
		if (!call->doomed &&
		        (youngest == NULL || is_older(&oldest_of(youngest)->place, &oldest_of(call)->place)))
			youngest = call;
	}
	return youngest;
}

/* Its room is free from now on; it ends when curl is not at work. */
static void doom(struct dispatch *dispatch, struct call *call)
{
	call->doomed = true;
	dispatch->doomed++;
	list_each (&call->lookups, node, after)
		yield(dispatch, container_of(node, struct lookup, node));
}

/* Where there is no room for an answer, the youngest calls make it: this one, if it is the youngest. */
static bool may_grow(struct http_transfer *transfer, size_t size)
{
	struct call *call = container_of(transfer, struct call, transfer);
	struct dispatch *dispatch = call->dispatch;
	if (call->doomed)
		return false;
	while (dispatch->hooks.grow &&
	        !dispatch->hooks.grow(dispatch->hooks.context, oldest_of(call), size, transfer->announced)) {
		struct call *youngest = youngest_call(dispatch);
		if (youngest == call)
			return false;
		doom(dispatch, youngest);
	}
	return true;
}

static void cut_doomed(struct dispatch *dispatch, int64_t now)
{
	if (dispatch->doomed == 0)
		return;
	list_each (&dispatch->calls, node, after) {
		struct call *call = container_of(node, struct call, node);
		struct fate fate = {.kind = FATE_CUT};
		if (!call->doomed || call->transfer.status) /* all of it is there: it ends by itself */
			continue;
		http_cancel(dispatch->http, &call->transfer);
		*call->upstream->bytes += (double)call->transfer.came;
		apply(call, now, &fate);
		call_free(call);
	}
}

/* --- sending --- */

static void ask(struct call *call, const struct upstream_config *config, const struct lookup *lookup)
{
	const struct request *request = &lookup->request;
	call->transfer = (struct http_transfer){
	        .upstream = config,
	        .method = request->method,
	        .url = call->url,
	        .host = url_holds_host(config) ? NULL : request->host,
	        .headers = request->headers,
	        .header_count = request->header_count,
	        .body = request->body,
	        .body_size = request->body_size,
	        .timeout_ms = request->timeout_ms,
	        .fresh = lookup->fresh,
	        .done = call_done,
	        .room = may_grow,
	};
}

/* The limiter has let it pass. */
static void start_call(
        struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup, int64_t now)
{
	const struct request *request = &lookup->request;
	const char *value = request->merge_value ? request->merge_value : "";
	struct err err = {""};
	struct buf url;
	buf_init(&url, 0);
	if (!url_build(&url, upstream->config, request, &value, request->merge_value ? 1 : 0, &err)) {
		struct fate fate = {.kind = FATE_REFUSE, .type = "HttpInvalid"};
		snprintf(fate.message, sizeof fate.message, "%.700s", err.text);
		buf_free(&url);
		limiter_end(&upstream->limiter);
		refuse(dispatch, lookup, now, &fate, 0);
		return;
	}
	struct call *call = mem_zalloc(1, sizeof *call);
	call->dispatch = dispatch;
	call->upstream = upstream;
	call->url = buf_steal(&url, NULL);
	list_init(&call->lookups, "call");
	list_append(&call->lookups, &lookup->node);
	call->lookup_count = 1;
	lookup->state = LOOKUP_IN_FLIGHT;
	lookup->call = call;
	lookup->calls++;
	dispatch->in_flight++;
	list_append(&dispatch->calls, &call->node);
	ask(call, upstream->config, lookup);
	http_send(dispatch->http, &call->transfer);
}

/* Answers when the limiter's rate lets the next one pass, -1 when nothing waits for that: a call that ends,
 * or room for an answer, is news to the loop anyway. */
static int64_t send_ready(struct dispatch *dispatch, struct upstream *upstream, int64_t now)
{
	struct heap_node *first;
	while ((first = heap_first(&upstream->ready))) {
		struct lookup *lookup = container_of(first, struct lookup, place);
		int64_t wait_ms;
		if (host_is_paused(lookup->host)) {
			heap_remove(&upstream->ready, first);
			park(upstream, lookup);
			continue;
		}
		if (dispatch->hooks.room && !dispatch->hooks.room(dispatch->hooks.context, lookup))
			return -1;
		if (!limiter_take(&upstream->limiter, 1, now, &wait_ms))
			return wait_ms < 0 ? -1 : now + wait_ms;
		heap_remove(&upstream->ready, first);
		start_call(dispatch, upstream, lookup, now);
	}
	return -1;
}

static size_t waiting(const struct upstream *upstream)
{
	return upstream->ready.count + upstream->backing_off.count + upstream->parked;
}

static void sooner(int64_t *due, int64_t other)
{
	if (other >= 0 && (*due < 0 || other < *due))
		*due = other;
}

int64_t dispatch_tick(struct dispatch *dispatch, int64_t now)
{
	int64_t due = -1;
	cut_doomed(dispatch, now);
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		struct upstream *upstream = &dispatch->upstreams[i];
		wake(upstream, now);
		sooner(&due, send_ready(dispatch, upstream, now));
		sooner(&due, hosts_due(&upstream->hosts));
		struct heap_node *first = heap_first(&upstream->backing_off);
		if (first)
			sooner(&due, container_of(first, struct lookup, place)->due);
		*upstream->in_flight = upstream->limiter.in_flight;
		*upstream->waiting = (double)waiting(upstream);
	}
	*dispatch->connections = (double)http_connections_opened(dispatch->http);
	uint64_t turns = dispatch->turns;
	deliver(dispatch);
	return turns == dispatch->turns ? due : now; /* what done submitted has not been looked at */
}

/* --- from outside --- */

void dispatch_submit(struct dispatch *dispatch, struct lookup *lookup, int64_t now)
{
	assert(lookup->state == LOOKUP_IDLE);
	struct upstream *upstream = upstream_of(dispatch, lookup);
	lookup->response = (struct response){0};
	lookup->part = -2;
	lookup->attempts = lookup->calls = 0;
	lookup->submitted = now;
	lookup->paused_ms = 0;
	lookup->fresh = lookup->alone = false;
	lookup->reserved = lookup->promised = lookup->covered = lookup->seen = lookup->came = 0;
	lookup->call = NULL;
	lookup->turn = dispatch->turns++;
	lookup->host = hosts_take(&upstream->hosts, lookup->request.host);
	lookup->host_paused = host_paused_ms(lookup->host, now);
	make_ready(upstream, lookup);
}

static void leave_call(struct dispatch *dispatch, struct lookup *lookup)
{
	struct call *call = lookup->call;
	list_remove(&call->lookups, &lookup->node);
	call->lookup_count--;
	lookup->call = NULL;
	if (!list_empty(&call->lookups))
		return;
	http_cancel(dispatch->http, &call->transfer);
	call_free(call);
}

void dispatch_cancel(struct dispatch *dispatch, struct lookup *lookup)
{
	struct upstream *upstream = upstream_of(dispatch, lookup);
	switch (lookup->state) {
	case LOOKUP_IDLE: return;
	case LOOKUP_DONE:
		if (!list_linked(&lookup->node))
			return;
		list_remove(&dispatch->finished, &lookup->node);
		break;
	case LOOKUP_IN_FLIGHT: leave_call(dispatch, lookup); break;
	case LOOKUP_BACKING_OFF: heap_remove(&upstream->backing_off, &lookup->place); break;
	case LOOKUP_WAITING:
		if (heap_holds(&lookup->place))
			heap_remove(&upstream->ready, &lookup->place);
		else
			unpark(upstream, lookup);
		break;
	}
	if (lookup->host)
		hosts_give(&upstream->hosts, lookup->host);
	lookup->host = NULL;
	lookup->state = LOOKUP_IDLE;
}

size_t dispatch_in_flight(const struct dispatch *dispatch)
{
	return dispatch->in_flight;
}

size_t dispatch_waiting(const struct dispatch *dispatch)
{
	size_t count = 0;
	for (size_t i = 0; i < dispatch->config.upstream_count; i++)
		count += waiting(&dispatch->upstreams[i]);
	return count;
}

static void upstream_open(
        struct upstream *upstream, const struct upstream_config *config, struct metrics *metrics)
{
	upstream->config = config;
	limiter_init(&upstream->limiter, config->concurrency, config->rate, clock_now());
	hosts_init(&upstream->hosts);
	heap_init(&upstream->ready, is_older);
	heap_init(&upstream->backing_off, is_due_sooner);
	upstream->duration = metrics_histogram(metrics, METRIC_HTTP_DURATION, config->name);
	upstream->in_flight = metrics_value(metrics, METRIC_HTTP_IN_FLIGHT, config->name);
	upstream->waiting = metrics_value(metrics, METRIC_HTTP_WAITING, config->name);
	upstream->bytes = metrics_value(metrics, METRIC_HTTP_BYTES, config->name);
	*metrics_value(metrics, METRIC_HTTP_LIMIT, config->name) = config->concurrency;
}

struct dispatch *dispatch_open(struct http *http, const struct dispatch_config *config,
        const struct dispatch_hooks *hooks, struct metrics *metrics)
{
	struct dispatch *dispatch = mem_zalloc(1, sizeof *dispatch);
	dispatch->http = http;
	dispatch->config = *config;
	dispatch->hooks = *hooks;
	dispatch->metrics = metrics;
	list_init(&dispatch->calls, "calls");
	list_init(&dispatch->finished, "dispatch finished");
	dispatch->upstreams = mem_zalloc(config->upstream_count, sizeof *dispatch->upstreams);
	for (size_t i = 0; i < config->upstream_count; i++)
		upstream_open(&dispatch->upstreams[i], &config->upstreams[i], metrics);
	dispatch->connections = metrics_value(metrics, METRIC_HTTP_CONNECTIONS, NULL);
	return dispatch;
}

void dispatch_close(struct dispatch *dispatch)
{
	assert(dispatch->in_flight == 0 && dispatch_waiting(dispatch) == 0 &&
	        list_empty(&dispatch->finished));
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		struct upstream *upstream = &dispatch->upstreams[i];
		hosts_free(&upstream->hosts);
		heap_free(&upstream->ready);
		heap_free(&upstream->backing_off);
	}
	mem_free(dispatch->upstreams);
	mem_free(dispatch);
}
