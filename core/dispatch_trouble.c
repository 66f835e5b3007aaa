/* Hosts and upstreams in trouble: what calls say about them, probes, and who goes so that others can go on.
 */
#include "dispatch_private.h"
#include "url.h"

#include <assert.h>
#include <stdio.h>

enum { UNASKED_WAIT_MS = 1000 }; /* how long a due probe waits for a record that was never asked about */

bool dispatch_host_failing(const struct host *host)
{
	return host->failures >= DISPATCH_FAILURES;
}

void dispatch_host_troubled(struct host *host, int64_t now)
{
	if (host->troubled < 0)
		host->troubled = now;
}

/* One that throttles now and then, and answers in between, only sets the pace. */
static bool in_trouble(const struct upstream *upstream, const struct host *host, int64_t now)
{
	bool silent = host->troubled >= 0 && now - host->troubled >= DISPATCH_TROUBLE_MS;
	return (silent && (host_is_paused(host) || dispatch_host_failing(host))) ||
	       breaker_mostly_fails(&upstream->breaker, &host->window, now);
}

/* --- what a call says --- */

static enum breaker_result result_of(const struct call *call, const struct fate *fate)
{
	int status = call->transfer.status;
	if (fate->kind != FATE_AGAIN)
		return BREAKER_GOOD;
	if (call->transfer.failure == HTTP_CONNECT)
		return BREAKER_UNREACHED;
	return status >= 300 && status <= 499 ? BREAKER_GOOD : BREAKER_FAILED;
}

/* A host known to fail says nothing about what the upstream can bear. */
static bool is_overload(const struct call *call)
{
	bool refused = call->transfer.status == 429 || call->transfer.status == 503 ||
	               call->transfer.failure == HTTP_TIMEOUT;
	return refused && !dispatch_host_failing(call->host);
}

static bool is_general(const struct upstream *upstream, int64_t now)
{
	size_t asked = 0, failing = 0;
	bool at_large = false;
	if (!breaker_suspects(&upstream->breaker, now))
		return false;
	hosts_each(&upstream->hosts, node, after)
	{
		const struct host *host = host_of(node);
		asked += !list_empty(&host->calls) || breaker_asked(&upstream->breaker, &host->window, now);
		failing += breaker_failing(&upstream->breaker, &host->window, now);
		at_large |= host->fails_at_large;
	}
	return (at_large || failing > 1) && breaker_should_open(&upstream->breaker, asked, failing,
	                                            !url_holds_host(upstream->config), now);
}

/* One bad value fails a call, and then its half, and the half of that; not two calls side by side. */
static void note_extent(struct call *call, enum breaker_result result)
{
	struct host *host = call->host;
	if (result == BREAKER_GOOD) {
		host->failed = 0;
		host->fails_at_large = false;
		return;
	}
	bool apart = host->failed && dispatch_oldest_of(call)->failed != host->failed;
	host->fails_at_large |= apart || result == BREAKER_UNREACHED;
	host->failed = ++call->dispatch->failed;
	list_each (&call->lookups, node, after)
		container_of(node, struct lookup, node)->failed = host->failed;
}

static void note_host(struct host *host, const struct fate *fate, enum breaker_result result, int64_t now)
{
	bool throttled = fate->kind == FATE_LATER && host_is_paused(host);
	host->failures = result == BREAKER_GOOD ? 0 : host->failures + 1;
	if (result != BREAKER_GOOD)
		dispatch_host_troubled(host, now);
	else if (!throttled)
		host->troubled = -1;
}

static void give_back_attempt(struct upstream *upstream, struct lookup *lookup)
{
	if (lookup->attempts > 0 && breaker_marked(&upstream->breaker, &lookup->mark))
		lookup->attempts--;
}

static void open_breaker(struct upstream *upstream, const struct call *call, int64_t now)
{
	hosts_each(&upstream->hosts, node, after)
	{
		struct host *host = host_of(node);
		for (size_t i = 0; i < host->ready.count; i++)
			give_back_attempt(upstream, container_of(host->ready.nodes[i], struct lookup, place));
		list_each (&host->resting, resting, next)
			give_back_attempt(upstream, container_of(resting, struct lookup, node));
	}
	breaker_open(&upstream->breaker, now);
	hosts_hold(&upstream->hosts, now);
	char status[40];
	snprintf(status, sizeof status, "it answered %d", call->transfer.status);
	log_warn("http",
	        "upstream %s: most lookups of the last 30 s failed (%s): intake pauses, nothing is sent but "
	        "a probe "
	        "every %lld s or more, and no attempt is counted until one is answered",
	        upstream->config->name,
	        call->transfer.failure == HTTP_ANSWERED ? status : call->transfer.reason,
	        (long long)upstream->breaker.wait / 1000);
}

static void close_breaker(struct upstream *upstream, int64_t now)
{
	hosts_let_go(&upstream->hosts, now);
	hosts_each(&upstream->hosts, node, after) host_of(node)->failures = 0;
	log_info("http", "upstream %s answers again after %lld s: intake goes on", upstream->config->name,
	        (long long)(now - upstream->breaker.opened) / 1000);
}

static void probed(struct upstream *upstream, bool good, int64_t now)
{
	breaker_probed(&upstream->breaker, good, now);
	if (good)
		close_breaker(upstream, now);
}

void dispatch_probe_lost(struct call *call, int64_t now)
{
	if (call->probe)
		breaker_probe_lost(&call->upstream->breaker, now);
	call->probe = false;
}

void dispatch_note(struct call *call, const struct fate *fate, int64_t now)
{
	struct upstream *upstream = call->upstream;
	struct breaker *breaker = &upstream->breaker;
	if (fate->kind == FATE_STALE || fate->kind == FATE_CUT || call->transfer.failure == HTTP_INVALID) {
		dispatch_probe_lost(call, now);
		return;
	}
	enum breaker_result result = result_of(call, fate);
	if (is_overload(call) || result == BREAKER_GOOD)
		limiter_hear(&upstream->limiter, is_overload(call), call->started, now);
	note_host(call->host, fate, result, now);
	note_extent(call, result);
	list_each (&call->lookups, node, after)
		breaker_count(breaker, &call->host->window, &container_of(node, struct lookup, node)->mark,
		        result, now);
	if (call->probe)
		probed(upstream, result == BREAKER_GOOD, now);
	else if (result != BREAKER_GOOD && !call->dispatch->config.no_breaker && is_general(upstream, now))
		open_breaker(upstream, call, now);
	call->probe = false;
}

/* --- probes --- */

/* What was never asked, then what has probed least, then the oldest. */
static bool probes_better(const struct lookup *a, const struct lookup *b)
{
	if ((a->calls == 0) != (b->calls == 0))
		return a->calls == 0;
	return a->probes != b->probes ? a->probes < b->probes : a->age < b->age;
}

static struct lookup *best_probe(const struct upstream *upstream)
{
	struct lookup *best = NULL;
	hosts_each(&upstream->hosts, node, after)
	{
		const struct host *host = host_of(node);
		for (size_t i = 0; !host_is_paused(host) && i < host->ready.count; i++) {
			struct lookup *lookup = container_of(host->ready.nodes[i], struct lookup, place);
			if (best == NULL || probes_better(lookup, best))
				best = lookup;
		}
	}
	return best;
}

static struct lookup *oldest_ready(const struct upstream *upstream)
{
	struct heap_node *first = heap_first(&upstream->turns);
	return first ? container_of(first, struct host, turn)->next_up : NULL;
}

static bool has_room(const struct dispatch *dispatch, struct lookup *lookup)
{
	return lookup && (!dispatch->hooks.room || dispatch->hooks.room(dispatch->hooks.context, lookup));
}

int64_t dispatch_send_probe(struct dispatch *dispatch, struct upstream *upstream, int64_t now)
{
	struct breaker *breaker = &upstream->breaker;
	int64_t wait_ms, patience = breaker->probe_at + UNASKED_WAIT_MS;
	upstream->wants_unasked = false;
	if (breaker->state == BREAKER_PROBING)
		return -1;
	if (now < breaker->probe_at)
		return breaker->probe_at;
	upstream->wants_unasked = upstream->unasked == 0;
	if (upstream->wants_unasked && now < patience)
		return patience;
	struct lookup *lookup = best_probe(upstream);
	if (!has_room(dispatch, lookup))
		lookup = oldest_ready(upstream);
	if (!has_room(dispatch, lookup))
		return -1; /* until there is something to send, or room, which is news to the loop */
	if (!limiter_take(&upstream->limiter, 1, now, &wait_ms))
		return wait_ms < 0 ? -1 : now + wait_ms;
	upstream->wants_unasked = false;
	breaker_probe(breaker);
	lookup->probes++;
	dispatch_start_call(dispatch, upstream, &lookup, 1, true, now);
	return -1;
}

bool dispatch_takes(const struct dispatch *dispatch)
{
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		const struct upstream *upstream = &dispatch->upstreams[i];
		if (upstream->breaker.state != BREAKER_CLOSED &&
		        !(upstream->wants_unasked && upstream->unasked == 0))
			return false;
	}
	return true;
}

bool dispatch_stands(const struct dispatch *dispatch)
{
	for (size_t i = 0; i < dispatch->config.upstream_count; i++)
		if (dispatch->upstreams[i].breaker.state != BREAKER_CLOSED)
			return true;
	return false;
}

bool dispatch_held(const struct dispatch *dispatch, const struct lookup *lookup)
{
	return lookup->state == LOOKUP_WAITING &&
	       (host_is_paused(lookup->host) ||
	               dispatch_upstream_of(dispatch, lookup)->breaker.state != BREAKER_CLOSED);
}

void dispatch_count_breaker(struct upstream *upstream, int64_t now)
{
	if (upstream->breaker.state != BREAKER_CLOSED && now > upstream->looked)
		*upstream->open_seconds += (double)(now - upstream->looked) / 1000;
	upstream->looked = now;
	for (int i = 0; i < BREAKER_STATES; i++)
		*upstream->circuit[i] = i == (int)upstream->breaker.state;
}

/* --- one host in trouble makes room for the others --- */

static bool holds_up_others(const struct upstream *upstream, uint64_t open, int64_t now)
{
	size_t hosts = 0, held = 0;
	hosts_each(&upstream->hosts, node, after) if (in_trouble(upstream, host_of(node), now))
	{
		hosts++;
		held += host_of(node)->users;
	}
	bool general = hosts == hosts_count(&upstream->hosts) || (hosts >= BREAKER_HOSTS && held > open / 2);
	return hosts > 0 && !general && upstream->breaker.state == BREAKER_CLOSED;
}

static void give_up(struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup, int64_t now)
{
	const struct host *host = lookup->host;
	struct fate fate = {.kind = FATE_REFUSE, .type = "HostUnavailable"};
	char why[60];
	if (host_is_paused(host))
		snprintf(why, sizeof why, "asks for a pause");
	else if (dispatch_host_failing(host))
		snprintf(why, sizeof why, "failed its last %u calls", host->failures);
	else
		snprintf(why, sizeof why, "fails more often than not");
	snprintf(fate.message, sizeof fate.message,
	        "upstream %.64s: %.253s %s, and to wait any longer with this record would hold up those of "
	        "other "
	        "hosts (limits.records, limits.memory); %u calls were made",
	        upstream->config->name, host->name ? host->name : "its host", why, lookup->calls);
	log_write(LOG_WARN, &upstream->relieving, "http",
	        "upstream %s: %s %s; its records that hold up those of other hosts end as HostUnavailable",
	        upstream->config->name, host->name ? host->name : "its host", why);
	dispatch_refuse(dispatch, lookup, now, &fate, 0);
}

static void relieve(struct dispatch *dispatch, struct upstream *upstream, struct host *host, uint64_t line,
        uint64_t late, int64_t now)
{
	struct heap_node *first;
	while ((first = heap_first(&host->ready))) {
		struct lookup *lookup = container_of(first, struct lookup, place);
		if (lookup->age > line)
			break;
		dispatch_leave_queue(upstream, lookup);
		give_up(dispatch, upstream, lookup, now);
	}
	list_each (&host->resting, node, after) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		if (lookup->age > line)
			continue;
		dispatch_leave_queue(upstream, lookup);
		give_up(dispatch, upstream, lookup, now);
	}
	list_each (&host->calls, node, after) {
		struct call *call = container_of(node, struct call, at_host);
		for (size_t left = call->lookup_count; left > 0; left--) {
			struct lookup *lookup = container_of(list_first(&call->lookups), struct lookup, node);
			if (lookup->age > late)
				break;
			dispatch_leave_call(dispatch, lookup);
			give_up(dispatch, upstream, lookup, now);
		}
	}
}

size_t dispatch_relieve(struct dispatch *dispatch, uint64_t line, uint64_t late, uint64_t open, int64_t now)
{
	size_t before = dispatch->finished.count;
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		struct upstream *upstream = &dispatch->upstreams[i];
		if (!holds_up_others(upstream, open, now))
			continue;
		hosts_each(&upstream->hosts, node, after) if (in_trouble(upstream, host_of(node), now))
		        relieve(dispatch, upstream, host_of(node), line, late, now);
	}
	return dispatch->finished.count - before;
}
