/* Lookups that share a call: who waits for company, who goes together, and how those of a call that did not
 * do are asked again in smaller ones. */
#include "dispatch_private.h"

#include <assert.h>

enum { REGAIN = 8 }; /* a whole answer gives back this part of what a truncated one took */

static struct lookup *of_item(const struct heap_node *node)
{
	return container_of(node, struct lookup, item.place);
}

static struct lookup *first_of(const struct batch *batch)
{
	return container_of(batch_first(batch), struct lookup, item);
}

bool dispatch_item_is_older(const struct heap_node *a, const struct heap_node *b)
{
	return dispatch_is_older(of_item(a), of_item(b));
}

static bool has_older_first(const struct heap_node *a, const struct heap_node *b)
{
	return dispatch_is_older(first_of(container_of(a, struct batch, place)),
	        first_of(container_of(b, struct batch, place)));
}

bool dispatch_ends_gathering_sooner(const struct heap_node *a, const struct heap_node *b)
{
	return container_of(a, struct host, gathering)->gathered <
	       container_of(b, struct host, gathering)->gathered;
}

void dispatch_know_host(struct host *host)
{
	if (host->full.before)
		return;
	heap_init(&host->apart, dispatch_item_is_older);
	heap_init(&host->full, has_older_first);
}

/* --- who waits --- */

/* The texts of an answer are what max_body counts too, with much around them. */
static size_t most_bytes(const struct upstream *upstream)
{
	size_t half = upstream->config->max_body / 2;
	return half && half < DISPATCH_BATCH_BYTES ? half : DISPATCH_BATCH_BYTES;
}

static size_t bytes_of_call(const struct upstream *upstream, const struct host *host)
{
	size_t most = most_bytes(upstream);
	return host->batch_bytes && host->batch_bytes < most ? host->batch_bytes : most;
}

/* After each change of a batch. */
static void refill(struct upstream *upstream, struct host *host, struct batch *batch)
{
	assert(!heap_holds(&batch->place));
	if (batch->items.count > 0 && batch_is_full(batch, bytes_of_call(upstream, host)))
		heap_push(&host->full, &batch->place);
}

void dispatch_enter_ready(struct upstream *upstream, struct lookup *lookup)
{
	struct host *host = lookup->host;
	heap_push(&host->ready, &lookup->place);
	if (lookup->alone || !batch_may_share(upstream->config, &lookup->request)) {
		heap_push(&host->apart, &lookup->item.place);
		return;
	}
	struct batch *batch = batch_join(&upstream->batches, upstream->config, &lookup->item);
	if (heap_holds(&batch->place))
		heap_remove(&host->full, &batch->place);
	refill(upstream, host, batch);
}

void dispatch_leave_ready(struct upstream *upstream, struct lookup *lookup)
{
	struct host *host = lookup->host;
	struct batch *batch = lookup->item.batch;
	heap_remove(&host->ready, &lookup->place);
	if (batch == NULL) {
		heap_remove(&host->apart, &lookup->item.place);
		return;
	}
	if (heap_holds(&batch->place))
		heap_remove(&host->full, &batch->place);
	bool last = batch->items.count == 1;
	batch_leave(&upstream->batches, &lookup->item);
	if (!last)
		refill(upstream, host, batch);
}

/* The oldest that gains nothing by waiting for company. */
static struct lookup *oldest_complete(const struct host *host)
{
	struct heap_node *apart = heap_first(&host->apart), *full = heap_first(&host->full);
	struct lookup *one = apart ? of_item(apart) : NULL;
	struct lookup *other = full ? first_of(container_of(full, struct batch, place)) : NULL;
	if (one && other)
		return dispatch_is_older(one, other) ? one : other;
	return one ? one : other;
}

static void stop_gathering(struct upstream *upstream, struct host *host)
{
	if (heap_holds(&host->gathering))
		heap_remove(&upstream->gathering, &host->gathering);
}

void dispatch_gathered(struct upstream *upstream, struct host *host)
{
	stop_gathering(upstream, host);
	host->overdue = true;
}

void dispatch_choose(struct upstream *upstream, struct host *host)
{
	struct heap_node *first = heap_first(&host->ready);
	if (first == NULL) {
		stop_gathering(upstream, host);
		host->overdue = false;
		host->next_up = NULL;
	} else if (host->overdue || list_empty(&host->calls)) {
		host->next_up = container_of(first, struct lookup, place);
	} else {
		host->next_up = oldest_complete(host);
		if (host->next_up == NULL && !heap_holds(&host->gathering)) {
			host->gathered = upstream->dispatch->now + DISPATCH_LINGER_MS;
			heap_push(&upstream->gathering, &host->gathering);
		}
	}
}

/* --- who goes together --- */

static bool item_has_room(void *context, struct batch_item *item)
{
	struct dispatch *dispatch = context;
	struct lookup *lookup = container_of(item, struct lookup, item);
	return dispatch->hooks.room == NULL || dispatch->hooks.room(dispatch->hooks.context, lookup);
}

size_t dispatch_gather(
        struct dispatch *dispatch, struct upstream *upstream, struct lookup *lookup, struct lookup **chosen)
{
	struct batch_item *taken[BATCH_MAX];
	struct batch *batch = lookup->item.batch;
	chosen[0] = lookup;
	if (batch == NULL)
		return 1;
	assert(batch_first(batch) == &lookup->item);
	size_t count =
	        batch_gather(batch, bytes_of_call(upstream, lookup->host), item_has_room, dispatch, taken);
	for (size_t i = 0; i < count; i++)
		chosen[i] = container_of(taken[i], struct lookup, item);
	return count;
}

/* --- smaller calls --- */

static void count_split(const struct call *call, const char *reason)
{
	*metrics_value(call->dispatch->metrics, METRIC_HTTP_SPLITS, call->upstream->config->name, reason) +=
	        1;
}

void dispatch_halve(struct call *call, const char *reason)
{
	size_t half = (call->lookup_count + 1) / 2, n = 0;
	uint64_t first = ++call->dispatch->parts, second = ++call->dispatch->parts;
	count_split(call, reason);
	list_each (&call->lookups, node, after) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		lookup->item.part = n++ < half ? first : second;
		lookup->alone = lookup->alone || call->lookup_count == 2;
	}
}

/* A truncated answer had room for what it brought, and not for much more. */
static void learn(const struct call *call, size_t all, size_t brought)
{
	struct host *host = call->host;
	size_t most = most_bytes(call->upstream), known = bytes_of_call(call->upstream, host);
	if (brought == all)
		known += known / REGAIN;
	else
		known = brought ? brought : all / 2;
	if (known < DISPATCH_BATCH_LEAST)
		known = DISPATCH_BATCH_LEAST;
	host->batch_bytes = known < most ? known : most;
}

void dispatch_part(struct call *call)
{
	size_t all = 0, brought = 0;
	uint64_t rest = ++call->dispatch->parts;
	list_each (&call->lookups, node, after) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		all += batch_bytes(&lookup->item);
		brought += lookup->part >= 0 ? batch_bytes(&lookup->item) : 0;
	}
	learn(call, all, brought);
	if (brought == all)
		return;
	count_split(call, "partial");
	list_each (&call->lookups, node, after) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		if (lookup->part >= 0)
			continue;
		lookup->item.part = rest;
		lookup->alone = lookup->alone || brought == 0;
	}
}

void dispatch_share_bytes(struct call *call)
{
	size_t all = 0;
	list_each (&call->lookups, node, after)
		all += batch_bytes(&container_of(node, struct lookup, node)->item);
	list_each (&call->lookups, node, after) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		double share = (double)batch_bytes(&lookup->item) / (double)all;
		lookup->came = (size_t)((double)call->transfer.came * share);
	}
}
