/* What an answer means, and what becomes of the lookups of its call. */
#include "clock.h"
#include "dispatch_private.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum {
	PAUSE_LEAST_MS = 1000, /* when a 429 names no time: this and up to as much again */
	LATER_LEAST_MS = 100,  /* of a retry that the script asked for */
	LATER_MAX_MS = 600000
};

struct lookup *dispatch_oldest_of(const struct call *call)
{
	return container_of(list_first(&call->lookups), struct lookup, node);
}

/* "GET http://127.0.0.1:6500/w/api.php for host xx.wikipedia.org", without the query. */
static void name_call(const struct call *call, struct buf *out)
{
	const struct request *request = &dispatch_oldest_of(call)->request;
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
	unsigned calls = dispatch_oldest_of(call)->calls;
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

static bool is_shared(const struct call *call)
{
	return call->lookup_count > 1;
}

static bool is_success(int status)
{
	return status >= 200 && status <= 299;
}

static bool is_accepted(const struct request *request, int status)
{
	if (is_success(status))
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
	if (wait > DISPATCH_PAUSE_MAX_MS)
		wait = DISPATCH_PAUSE_MAX_MS;
	dispatch_pause(dispatch, call->upstream, dispatch_oldest_of(call)->host, now + wait, now, "429");
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
	int64_t until = now + later_ms(detail->after, DISPATCH_PAUSE_MAX_MS);
	dispatch_pause(
	        call->dispatch, call->upstream, dispatch_oldest_of(call)->host, until, now, detail->reason);
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

static const char *status_label(int status, char text[DISPATCH_LABEL])
{
	if (status >= 500 && status <= 599)
		return "5xx";
	snprintf(text, DISPATCH_LABEL, "%d", status);
	return text;
}

static void judge_status(struct call *call, int64_t now, struct fate *fate)
{
	int status = call->transfer.status;
	fate->type = "HttpStatus";
	fate->label = status_label(status, fate->status);
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
	bool ours = failure == HTTP_OVERSLEPT || (failure == HTTP_STALE && !call->transfer.fresh);
	fate->kind = ours ? FATE_STALE : FATE_AGAIN;
}

void dispatch_judge(struct call *call, int64_t now, struct fate *fate)
{
	struct answer_detail detail = {0};
	int status = call->transfer.status;
	*fate = (struct fate){.kind = FATE_REFUSE, .label = "fail", .wait_ms = -1};
	if (call->transfer.failure != HTTP_ANSWERED)
		judge_failure(call, fate);
	else if (is_accepted(&dispatch_oldest_of(call)->request, status) &&
	         (is_success(status) || !is_shared(call)))
		judge_answer(call, now, fate, &detail);
	else
		judge_status(call, now, fate);
	if (is_shared(call) && fate->kind == FATE_REFUSE)
		fate->kind = FATE_HALVE;
}

/* --- what becomes of the lookups of a call --- */

static int64_t start_of_deadline(const struct lookup *lookup)
{
	return lookup->submitted + lookup->paused_ms;
}

static struct header *copy_headers(const struct header *headers, size_t count)
{
	struct header *copy = mem_zalloc(count, sizeof *copy);
	for (size_t i = 0; i < count; i++)
		copy[i] = (struct header){mem_strdup(headers[i].name), mem_strdup(headers[i].value)};
	return copy;
}

/* A lookup that has the call for itself takes the answer with it. Of those that share one each has its part,
 * so that nobody needs the body; they get copies of the headers. */
static void respond(struct dispatch *dispatch, struct lookup *lookup, struct http_transfer *transfer,
        bool shared, int64_t now)
{
	struct response *response = &lookup->response;
	response->status = transfer->status;
	response->header_count = transfer->answer_header_count;
	if (!shared) {
		response->body_size = transfer->answer.size;
		response->headers = transfer->answer_headers;
		response->body = buf_steal(&transfer->answer, NULL);
		transfer->answer_headers = NULL;
		transfer->answer_header_count = 0;
	} else {
		response->headers = copy_headers(transfer->answer_headers, transfer->answer_header_count);
	}
	dispatch_end_lookup(dispatch, lookup, now);
}

/* The last attempt is one without company: so nobody is refused for a neighbour's sake. */
static void keep_last_attempt(const struct retry_config *retry, struct lookup *lookup)
{
	if (lookup->attempts + 1 < retry->attempts)
		return;
	lookup->attempts = retry->attempts - 1;
	lookup->alone = true;
}

static void tell_again(struct dispatch *dispatch, struct upstream *upstream, const struct lookup *lookup,
        const char *label, int64_t wait_ms, bool counts)
{
	*metrics_value(dispatch->metrics, METRIC_HTTP_RETRIES, upstream->config->name, label) += 1;
	if (dispatch->hooks.again)
		dispatch->hooks.again(dispatch->hooks.context, lookup, label, wait_ms, counts);
}

/* Decides over another call for one lookup: true when it will be asked again. While the breaker is open no
 * attempt is counted, and the wait is for a probe's success. Lookups that shared a call wait for as long as
 * each other, by one throw of `luck`. */
static bool ask_again(struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup,
        int64_t now, const struct fate *fate, bool shared, double luck)
{
	const struct retry_config *retry = &upstream->config->retry;
	int64_t start = start_of_deadline(lookup), wait_ms = fate->wait_ms;
	bool closed = upstream->breaker.state == BREAKER_CLOSED, counts = fate->kind == FATE_AGAIN && closed;
	if (counts)
		lookup->attempts++;
	if (counts && shared)
		keep_last_attempt(retry, lookup);
	lookup->fresh = fate->kind == FATE_STALE;
	if (counts && !retry_next(retry, lookup->attempts, start, now, fate->wait_ms, luck, &wait_ms))
		return false;
	if (fate->kind == FATE_LATER && closed && !host_is_paused(lookup->host) &&
	        !retry_in_time(retry, start, now + wait_ms))
		return false;
	if (!closed && wait_ms > DISPATCH_PAUSE_MAX_MS)
		wait_ms = DISPATCH_PAUSE_MAX_MS;
	tell_again(dispatch, upstream, lookup, fate->label, wait_ms > 0 ? wait_ms : 0, counts);
	dispatch_back_off(upstream, lookup, now, wait_ms);
	return true;
}

void dispatch_yield(struct dispatch *dispatch, struct lookup *lookup)
{
	if (dispatch->hooks.yield)
		dispatch->hooks.yield(dispatch->hooks.context, lookup);
}

/* No attempt, and no reason to wait: hooks.room lets it go when what was seen of the answer fits. */
static void ask_at_once(
        struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup, const char *label)
{
	tell_again(dispatch, upstream, lookup, label, 0, false);
	dispatch_yield(dispatch, lookup);
	dispatch_make_ready(upstream, lookup);
}

/* Then it was no lookup's fault, and they stay together. */
static bool was_unreached(const struct call *call)
{
	return call->transfer.failure == HTTP_CONNECT;
}

/* Before the lookups leave their call: who is asked again with whom. */
static void arrange(struct call *call, const struct fate *fate)
{
	dispatch_share_bytes(call);
	if (fate->kind == FATE_CUT && !is_shared(call))
		dispatch_oldest_of(call)->alone = true;
	if (!is_shared(call))
		return;
	if (fate->kind == FATE_ANSWER)
		dispatch_part(call);
	else if (fate->kind == FATE_CUT)
		dispatch_halve(call, http_failure_name(HTTP_NO_ROOM));
	else if (fate->kind == FATE_HALVE || (fate->kind == FATE_AGAIN && !was_unreached(call)))
		dispatch_halve(call, fate->label);
}

static void apply(struct call *call, struct lookup *lookup, bool shared, double luck, int64_t now,
        const struct fate *fate)
{
	struct dispatch *dispatch = call->dispatch;
	struct upstream *upstream = call->upstream;
	switch (fate->kind) {
	case FATE_ANSWER:
		if (shared && lookup->part < 0)
			ask_at_once(dispatch, upstream, lookup, "partial");
		else
			respond(dispatch, lookup, &call->transfer, shared, now);
		return;
	case FATE_CUT: ask_at_once(dispatch, upstream, lookup, http_failure_name(HTTP_NO_ROOM)); return;
	case FATE_HALVE: ask_at_once(dispatch, upstream, lookup, "split"); return;
	case FATE_REFUSE: break;
	default:
		if (!ask_again(dispatch, upstream, lookup, now, fate, shared && !was_unreached(call), luck))
			break;
		dispatch_yield(dispatch, lookup);
		return;
	}
	dispatch_refuse(dispatch, lookup, now, fate, call->transfer.status);
}

void dispatch_apply(struct call *call, int64_t now, const struct fate *fate)
{
	struct list_node *node;
	bool shared = is_shared(call);
	double luck = fate->kind == FATE_AGAIN ? call->dispatch->config.random() : 0;
	arrange(call, fate);
	while ((node = list_first(&call->lookups))) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		list_remove(&call->lookups, node);
		lookup->call = NULL;
		lookup->paused_ms =
		        hosts_still_ms(&call->upstream->hosts, lookup->host, now) - lookup->host_paused;
		apply(call, lookup, shared, luck, now, fate);
	}
}
