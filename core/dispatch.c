/* When each lookup is asked: waiting, in flight, backing off; per upstream and host, the oldest record first.
 *
 *   dispatch_submit -> make_ready -> host.ready, by age, and its batch; the host in upstream.turns, by
 * next_up, or in upstream.gathering dispatch_tick   -> wake, send_ready -> dispatch_gather ->
 * dispatch_start_call -> http_send (breaker open: dispatch_send_probe in place of send_ready)
 *        ~~> call_done -> dispatch_judge -> dispatch_note (limiter, host, breaker) -> dispatch_apply:
 *              FATE_ANSWER   respond ----------------.
 *              FATE_REFUSE   refuse -----------------+-> finished -> hooks.done
 *              FATE_AGAIN    retry_next says no -> --'
 *                            or back_off -> upstream.backing_off, by due -> make_ready
 *              FATE_LATER    the same, but neither counted nor bounded by attempts
 *              FATE_CUT      there was no room for the answer: -> make_ready, to be asked alone, or in halves
 *              FATE_HALVE    -> make_ready, in halves
 *   dispatch_relieve -> refuse, for what holds up others
 */
#include "clock.h"
#include "dispatch_private.h"
#include "mem.h"
#include "url.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool dispatch_is_older(const struct lookup *one, const struct lookup *two)
{
	return one->age != two->age ? one->age < two->age : one->turn < two->turn;
}

static bool is_older(const struct heap_node *a, const struct heap_node *b)
{
	return dispatch_is_older(
	        container_of(a, struct lookup, place), container_of(b, struct lookup, place));
}

static bool has_older(const struct heap_node *a, const struct heap_node *b)
{
	const struct host *one = container_of(a, struct host, turn),
	                  *two = container_of(b, struct host, turn);
	return dispatch_is_older(one->next_up, two->next_up);
}

static bool is_due_sooner(const struct heap_node *a, const struct heap_node *b)
{
	const struct lookup *one = container_of(a, struct lookup, place),
	                    *two = container_of(b, struct lookup, place);
	return one->due != two->due ? one->due < two->due : is_older(a, b);
}

struct upstream *dispatch_upstream_of(const struct dispatch *dispatch, const struct lookup *lookup)
{
	assert(lookup->request.upstream < dispatch->config.upstream_count);
	return &dispatch->upstreams[lookup->request.upstream];
}

/* --- waiting --- */

static bool has_slot(const struct upstream *upstream, const struct host *host)
{
	return host->calls.count < limiter_of_host(&upstream->limiter, upstream->config->host_concurrency,
	                                   hosts_count(&upstream->hosts) == 1, dispatch_host_failing(host));
}

/* After each change of what the host has to send, or may: puts it where it belongs among the others. */
static void rank(struct upstream *upstream, struct host *host)
{
	if (heap_holds(&host->turn))
		heap_remove(&upstream->turns, &host->turn);
	dispatch_choose(upstream, host);
	if (host->next_up && !host_is_paused(host) && has_slot(upstream, host))
		heap_push(&upstream->turns, &host->turn);
}

static void count_waiting(struct upstream *upstream, const struct lookup *lookup, int change)
{
	upstream->waiting += (size_t)change;
	if (lookup->calls == 0)
		upstream->unasked += (size_t)change;
}

static void push_ready(struct upstream *upstream, struct lookup *lookup)
{
	lookup->state = LOOKUP_WAITING;
	dispatch_enter_ready(upstream, lookup);
	rank(upstream, lookup->host);
}

void dispatch_make_ready(struct upstream *upstream, struct lookup *lookup)
{
	count_waiting(upstream, lookup, 1);
	push_ready(upstream, lookup);
}

void dispatch_back_off(struct upstream *upstream, struct lookup *lookup, int64_t now, int64_t wait_ms)
{
	if (wait_ms <= 0) {
		dispatch_make_ready(upstream, lookup);
		return;
	}
	count_waiting(upstream, lookup, 1);
	lookup->state = LOOKUP_BACKING_OFF;
	lookup->due = now + wait_ms;
	heap_push(&upstream->backing_off, &lookup->place);
	list_append(&lookup->host->resting, &lookup->node);
}

static void leave_rest(struct upstream *upstream, struct lookup *lookup)
{
	heap_remove(&upstream->backing_off, &lookup->place);
	list_remove(&lookup->host->resting, &lookup->node);
}

void dispatch_leave_queue(struct upstream *upstream, struct lookup *lookup)
{
	count_waiting(upstream, lookup, -1);
	if (lookup->state == LOOKUP_BACKING_OFF) {
		leave_rest(upstream, lookup);
		return;
	}
	dispatch_leave_ready(upstream, lookup);
	rank(upstream, lookup->host);
}

static void wake(struct upstream *upstream, int64_t now)
{
	struct host *host;
	struct heap_node *first;
	while ((host = hosts_wake(&upstream->hosts, now)))
		rank(upstream, host);
	while ((first = heap_first(&upstream->gathering))) {
		host = container_of(first, struct host, gathering);
		if (host->gathered > now)
			break;
		dispatch_gathered(upstream, host);
		rank(upstream, host);
	}
	while ((first = heap_first(&upstream->backing_off))) {
		struct lookup *lookup = container_of(first, struct lookup, place);
		if (lookup->due > now)
			break;
		leave_rest(upstream, lookup);
		push_ready(upstream, lookup);
	}
	hosts_forget(&upstream->hosts, now);
}

void dispatch_pause(struct dispatch *dispatch, struct upstream *upstream, struct host *host, int64_t until,
        int64_t now, const char *reason)
{
	if (until > now + DISPATCH_PAUSE_MAX_MS)
		until = now + DISPATCH_PAUSE_MAX_MS;
	int64_t grew = hosts_pause(&upstream->hosts, host, until, now);
	if (grew == 0)
		return;
	dispatch_host_troubled(host, now);
	rank(upstream, host);
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
	struct host *host = hosts_take(&upstream->hosts, name, now);
	dispatch_pause(dispatch, upstream, host, until, now, reason);
	hosts_give(&upstream->hosts, host, now);
}

/* --- the end of a lookup --- */

void dispatch_end_lookup(struct dispatch *dispatch, struct lookup *lookup, int64_t now)
{
	lookup->state = LOOKUP_DONE;
	lookup->response.attempts = lookup->calls;
	lookup->response.elapsed = (double)(now - lookup->submitted) / 1000;
	hosts_give(&dispatch_upstream_of(dispatch, lookup)->hosts, lookup->host, now);
	lookup->host = NULL;
	list_append(&dispatch->finished, &lookup->node);
}

void dispatch_refuse(
        struct dispatch *dispatch, struct lookup *lookup, int64_t now, const struct fate *fate, int status)
{
	lookup->response.status = status;
	lookup->response.error_type = mem_strdup(fate->type);
	bool in_time = fate->kind != FATE_AGAIN ||
	               lookup->attempts >= dispatch_upstream_of(dispatch, lookup)->config->retry.attempts;
	lookup->response.error_message =
	        mem_printf("%s%s", fate->message, in_time ? "" : "; the retry deadline allows no other");
	dispatch_end_lookup(dispatch, lookup, now);
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

/* --- the end of a call --- */

static double *requests_value(struct dispatch *dispatch, struct upstream *upstream, int status, bool first)
{
	char code[16] = "error";
	if (status < 0 || status >= DISPATCH_STATUS_MAX)
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
	*call->upstream->lookups += (double)call->lookup_count;
	if (transfer->failure == HTTP_NO_ROOM)
		return; /* our own doing says nothing about the upstream */
	*requests_value(
	        call->dispatch, call->upstream, transfer->status, dispatch_oldest_of(call)->calls == 1) += 1;
	metrics_observe(call->upstream->call_lookups, (double)call->lookup_count);
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

void dispatch_free_call(struct call *call)
{
	struct dispatch *dispatch = call->dispatch;
	assert(list_empty(&call->lookups) && !call->probe);
	limiter_end(&call->upstream->limiter);
	list_remove(&call->host->calls, &call->at_host);
	rank(call->upstream, call->host);
	hosts_give(&call->upstream->hosts, call->host, dispatch->now);
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
	struct fate fate;
	int64_t now = dispatch->now = clock_now();
	call->wall = clock_wall();
	if (transfer->failure != HTTP_INVALID)
		measure(call);
	if (dispatch->hooks.came)
		dispatch->hooks.came(dispatch->hooks.context, call);
	dispatch_judge(call, now, &fate);
	report(call, &fate);
	dispatch_note(call, &fate, now);
	dispatch_apply(call, now, &fate);
	dispatch_free_call(call);
	deliver(dispatch);
}

/* --- sending --- */

/* Of lookups that share a call the oldest one's request is sent, with all their values. */
static void ask(
        struct call *call, const struct upstream_config *config, const struct request *request, bool fresh)
{
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
	        .fresh = fresh,
	        .done = call_done,
	        .room = dispatch_may_grow,
	};
}

static bool build_url(struct buf *url, const struct upstream *upstream, struct lookup *const *lookups,
        size_t count, struct err *err)
{
	const char *values[BATCH_MAX];
	const struct request *request = &lookups[0]->request;
	for (size_t i = 0; i < count; i++)
		values[i] = lookups[i]->request.merge_value;
	return url_build(url, upstream->config, request, values, request->merge_value ? count : 0, err);
}

static struct call *make_call(
        struct dispatch *dispatch, struct upstream *upstream, const struct request *request, int64_t now)
{
	struct call *call = mem_zalloc(1, sizeof *call);
	call->dispatch = dispatch;
	call->upstream = upstream;
	call->host = hosts_take(&upstream->hosts, request->host, now);
	call->started = now;
	list_init(&call->lookups, "call");
	list_append(&call->host->calls, &call->at_host);
	list_append(&dispatch->calls, &call->node);
	dispatch->in_flight++;
	return call;
}

static bool enter_call(struct call *call, struct lookup *lookup)
{
	list_append(&call->lookups, &lookup->node);
	call->lookup_count++;
	lookup->state = LOOKUP_IN_FLIGHT;
	lookup->call = call;
	lookup->calls++;
	return lookup->fresh;
}

void dispatch_start_call(struct dispatch *dispatch, struct upstream *upstream, struct lookup *const *lookups,
        size_t count, bool probe, int64_t now)
{
	const struct request *request = &lookups[0]->request;
	struct err err = {""};
	struct buf url;
	bool fresh = false;
	buf_init(&url, 0);
	for (size_t i = 0; i < count; i++)
		dispatch_leave_queue(upstream, lookups[i]);
	if (!build_url(&url, upstream, lookups, count, &err)) {
		struct fate fate = {.kind = FATE_REFUSE, .type = "HttpInvalid"};
		snprintf(fate.message, sizeof fate.message, "%.700s", err.text);
		buf_free(&url);
		limiter_end(&upstream->limiter);
		if (probe)
			breaker_probe_lost(&upstream->breaker, now);
		for (size_t i = 0; i < count; i++)
			dispatch_refuse(dispatch, lookups[i], now, &fate, 0);
		return;
	}
	struct call *call = make_call(dispatch, upstream, request, now);
	call->probe = probe;
	call->url = buf_steal(&url, NULL);
	for (size_t i = 0; i < count; i++)
		fresh |= enter_call(call, lookups[i]);
	rank(upstream, call->host);
	ask(call, upstream->config, request, fresh);
	http_send(dispatch->http, &call->transfer);
}

/* Answers when the limiter's rate lets the next one pass, -1 when nothing waits for that: a call that ends,
 * or room for an answer, is news to the loop anyway. */
static int64_t send_ready(struct dispatch *dispatch, struct upstream *upstream, int64_t now)
{
	struct heap_node *first;
	while ((first = heap_first(&upstream->turns))) {
		struct host *host = container_of(first, struct host, turn);
		struct lookup *lookup = host->next_up, *chosen[BATCH_MAX];
		int64_t wait_ms;
		if (!has_slot(upstream, host)) { /* its share has shrunk since */
			rank(upstream, host);
			continue;
		}
		if (limiter_is_full(&upstream->limiter))
			return -1;
		if (dispatch->hooks.room && !dispatch->hooks.room(dispatch->hooks.context, lookup))
			return -1;
		size_t count = dispatch_gather(dispatch, upstream, lookup, chosen);
		if (!limiter_take(&upstream->limiter, (unsigned)count, now, &wait_ms))
			return wait_ms < 0 ? -1 : now + wait_ms;
		dispatch_start_call(dispatch, upstream, chosen, count, false, now);
	}
	return -1;
}

static void sooner(int64_t *due, int64_t other)
{
	if (other >= 0 && (*due < 0 || other < *due))
		*due = other;
}

static int64_t tick_upstream(struct dispatch *dispatch, struct upstream *upstream, int64_t now)
{
	int64_t due = -1;
	wake(upstream, now);
	sooner(&due, upstream->breaker.state == BREAKER_CLOSED
	                     ? send_ready(dispatch, upstream, now)
	                     : dispatch_send_probe(dispatch, upstream, now));
	sooner(&due, hosts_due(&upstream->hosts));
	struct heap_node *first = heap_first(&upstream->backing_off);
	if (first)
		sooner(&due, container_of(first, struct lookup, place)->due);
	if ((first = heap_first(&upstream->gathering)))
		sooner(&due, container_of(first, struct host, gathering)->gathered);
	*upstream->in_flight_value = upstream->limiter.in_flight;
	*upstream->waiting_value = (double)upstream->waiting;
	*upstream->limit = upstream->limiter.concurrency;
	dispatch_count_breaker(upstream, now);
	return due;
}

int64_t dispatch_tick(struct dispatch *dispatch, int64_t now)
{
	int64_t due = -1;
	dispatch->now = now;
	dispatch_cut_doomed(dispatch, now);
	for (size_t i = 0; i < dispatch->config.upstream_count; i++)
		sooner(&due, tick_upstream(dispatch, &dispatch->upstreams[i], now));
	*dispatch->connections = (double)http_connections_opened(dispatch->http);
	uint64_t turns = dispatch->turns;
	deliver(dispatch);
	return turns == dispatch->turns ? due : now; /* what done submitted has not been looked at */
}

/* --- from outside --- */

void dispatch_submit(struct dispatch *dispatch, struct lookup *lookup, int64_t now)
{
	assert(lookup->state == LOOKUP_IDLE);
	struct upstream *upstream = dispatch_upstream_of(dispatch, lookup);
	lookup->response = (struct response){0};
	lookup->part = -2;
	lookup->attempts = lookup->calls = 0;
	lookup->submitted = now;
	lookup->paused_ms = 0;
	lookup->fresh = false;
	lookup->alone = lookup->suspect;
	lookup->reserved = lookup->promised = lookup->covered = lookup->seen = lookup->came = 0;
	lookup->call = NULL;
	lookup->turn = dispatch->turns++;
	lookup->mark = (struct breaker_mark){0};
	lookup->probes = 0;
	lookup->failed = 0;
	lookup->host = hosts_take(&upstream->hosts, lookup->request.host, now);
	dispatch_know_host(lookup->host);
	lookup->item = (struct batch_item){
	        .request = &lookup->request, .home = lookup->host, .owner = lookup->script};
	lookup->host_paused = hosts_still_ms(&upstream->hosts, lookup->host, now);
	dispatch->now = now;
	dispatch_make_ready(upstream, lookup);
}

void dispatch_hand_over(struct dispatch *dispatch, struct lookup *lookup, void *script)
{
	struct upstream *upstream = dispatch_upstream_of(dispatch, lookup);
	bool waits = lookup->state == LOOKUP_WAITING;
	if (lookup->state == LOOKUP_DONE)
		return;
	if (waits)
		dispatch_leave_queue(upstream, lookup);
	lookup->script = script;
	lookup->item.owner = script;
	if (waits)
		dispatch_make_ready(upstream, lookup);
}

void dispatch_leave_call(struct dispatch *dispatch, struct lookup *lookup)
{
	struct call *call = lookup->call;
	list_remove(&call->lookups, &lookup->node);
	call->lookup_count--;
	lookup->call = NULL;
	if (!list_empty(&call->lookups))
		return;
	http_cancel(dispatch->http, &call->transfer);
	dispatch_probe_lost(call, dispatch->now);
	dispatch_free_call(call);
}

void dispatch_cancel(struct dispatch *dispatch, struct lookup *lookup)
{
	struct upstream *upstream = dispatch_upstream_of(dispatch, lookup);
	switch (lookup->state) {
	case LOOKUP_IDLE: return;
	case LOOKUP_DONE:
		if (!list_linked(&lookup->node))
			return;
		list_remove(&dispatch->finished, &lookup->node);
		break;
	case LOOKUP_IN_FLIGHT: dispatch_leave_call(dispatch, lookup); break;
	case LOOKUP_BACKING_OFF:
	case LOOKUP_WAITING: dispatch_leave_queue(upstream, lookup); break;
	}
	if (lookup->host)
		hosts_give(&upstream->hosts, lookup->host, dispatch->now);
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
		count += dispatch->upstreams[i].waiting;
	return count;
}

static void upstream_open(
        struct upstream *upstream, const struct upstream_config *config, struct metrics *metrics)
{
	upstream->config = config;
	limiter_init(&upstream->limiter, config->concurrency, config->rate, clock_now());
	breaker_init(&upstream->breaker);
	upstream->looked = clock_now();
	hosts_init(&upstream->hosts, is_older);
	heap_init(&upstream->turns, has_older);
	heap_init(&upstream->backing_off, is_due_sooner);
	heap_init(&upstream->gathering, dispatch_ends_gathering_sooner);
	batches_init(&upstream->batches, dispatch_item_is_older);
	upstream->duration = metrics_histogram(metrics, METRIC_HTTP_DURATION, config->name);
	upstream->call_lookups = metrics_histogram(metrics, METRIC_HTTP_CALL_LOOKUPS, config->name);
	upstream->lookups = metrics_value(metrics, METRIC_HTTP_LOOKUPS, config->name);
	upstream->in_flight_value = metrics_value(metrics, METRIC_HTTP_IN_FLIGHT, config->name);
	upstream->waiting_value = metrics_value(metrics, METRIC_HTTP_WAITING, config->name);
	upstream->bytes = metrics_value(metrics, METRIC_HTTP_BYTES, config->name);
	upstream->limit = metrics_value(metrics, METRIC_HTTP_LIMIT, config->name);
	*upstream->limit = upstream->limiter.concurrency;
	upstream->open_seconds = metrics_value(metrics, METRIC_HTTP_THROTTLED, config->name, "breaker");
	for (int i = 0; i < BREAKER_STATES; i++)
		upstream->circuit[i] = metrics_value(metrics, METRIC_HTTP_CIRCUIT, config->name,
		        breaker_state_name((enum breaker_state)i));
	dispatch_count_breaker(upstream, upstream->looked);
}

static void keep_connections(struct dispatch *dispatch)
{
	size_t sum = 0;
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		const struct limiter *limiter = &dispatch->upstreams[i].limiter;
		sum += limiter->automatic ? LIMITER_AUTO_MAX : limiter->concurrency;
	}
	http_keep_connections(dispatch->http, sum);
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
	for (size_t i = 0; i < config->upstream_count; i++) {
		upstream_open(&dispatch->upstreams[i], &config->upstreams[i], metrics);
		dispatch->upstreams[i].dispatch = dispatch;
	}
	dispatch->connections = metrics_value(metrics, METRIC_HTTP_CONNECTIONS, NULL);
	keep_connections(dispatch);
	return dispatch;
}

void dispatch_limit(struct dispatch *dispatch, size_t index, unsigned concurrency, double rate, int64_t now)
{
	struct upstream *upstream = &dispatch->upstreams[index];
	limiter_use(&upstream->limiter, concurrency, rate, now);
	hosts_each(&upstream->hosts, node, after)
	        rank(upstream, host_of(node)); /* the share of each is another */
	keep_connections(dispatch);
}

void dispatch_retune(struct dispatch *dispatch, int64_t now)
{
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		const struct upstream_config *config = dispatch->upstreams[i].config;
		dispatch_limit(dispatch, i, config->concurrency, config->rate, now);
	}
}

void dispatch_close(struct dispatch *dispatch)
{
	assert(dispatch->in_flight == 0 && dispatch_waiting(dispatch) == 0 &&
	        list_empty(&dispatch->finished));
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		struct upstream *upstream = &dispatch->upstreams[i];
		hosts_free(&upstream->hosts);
		heap_free(&upstream->turns);
		heap_free(&upstream->backing_off);
		heap_free(&upstream->gathering);
		batches_free(&upstream->batches);
	}
	mem_free(dispatch->upstreams);
	mem_free(dispatch);
}
