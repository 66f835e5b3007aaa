/* Questions that may share a call: which of them are alike, and which go together. */
#include "batch.h"
#include "list.h"
#include "mem.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum { BUCKETS_FIRST = 64 };

void batches_init(
        struct batches *batches, bool (*before)(const struct heap_node *a, const struct heap_node *b))
{
	*batches = (struct batches){.bucket_count = BUCKETS_FIRST, .before = before};
	batches->buckets = mem_zalloc(BUCKETS_FIRST, sizeof(struct batch *));
}

void batches_free(struct batches *batches)
{
	assert(batches->count == 0);
	mem_free(batches->buckets);
}

bool batch_may_share(const struct upstream_config *upstream, const struct request *request)
{
	return upstream->merge && request->merge_param && request->merge_value && request->split &&
	       request->merge_max > 1 && request->body == NULL;
}

/* --- likeness --- */

/* FNV-1a over bytes and the end of each text. */
static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *at = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 1099511628211u;
	return (hash ^ 0xff) * 1099511628211u;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	return mix(hash, text ? text : "", text ? strlen(text) : 0);
}

static bool may_differ(const struct upstream_config *upstream, const char *header)
{
	for (size_t i = 0; i < upstream->per_record_header_count; i++)
		if (strcasecmp(upstream->per_record_headers[i], header) == 0)
			return true;
	return false;
}

static uint64_t likeness_of(const struct upstream_config *upstream, const struct batch_item *item)
{
	const struct request *request = item->request;
	uint64_t hash = mix_text(14695981039346656037u, request->method);
	hash = mix(hash, &item->home, sizeof item->home);
	hash = mix(hash, &item->owner, sizeof item->owner);
	hash = mix_text(hash, request->path);
	hash = mix_text(hash, request->query);
	hash = mix_text(hash, request->merge_param);
	hash = mix_text(hash, request->split);
	for (size_t i = 0; i < request->header_count; i++)
		if (!may_differ(upstream, request->headers[i].name)) {
			hash = mix_text(hash, request->headers[i].name);
			hash = mix_text(hash, request->headers[i].value);
		}
	return hash;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static const struct header *next_header(
        const struct upstream_config *upstream, const struct request *request, size_t *at)
{
	while (*at < request->header_count) {
		const struct header *header = &request->headers[(*at)++];
		if (!may_differ(upstream, header->name))
			return header;
	}
	return NULL;
}

/* A script's headers come sorted by name. */
static bool same_headers(
        const struct upstream_config *upstream, const struct request *a, const struct request *b)
{
	size_t at = 0, other_at = 0;
	for (;;) {
		const struct header *header = next_header(upstream, a, &at),
		                    *other = next_header(upstream, b, &other_at);
		if (header == NULL || other == NULL)
			return header == other;
		if (strcasecmp(header->name, other->name) != 0 || strcmp(header->value, other->value) != 0)
			return false;
	}
}

static bool same_request(
        const struct upstream_config *upstream, const struct request *a, const struct request *b)
{
	return same_text(a->method, b->method) && same_text(a->path, b->path) &&
	       same_text(a->query, b->query) && same_text(a->merge_param, b->merge_param) &&
	       same_text(a->split, b->split) && a->merge_max == b->merge_max && a->expect == b->expect &&
	       a->timeout_ms == b->timeout_ms && a->accept_count == b->accept_count &&
	       memcmp(a->accept, b->accept, a->accept_count * sizeof *a->accept) == 0 &&
	       same_headers(upstream, a, b);
}

static bool belongs(
        const struct upstream_config *upstream, const struct batch *batch, const struct batch_item *item)
{
	const struct batch_item *first = batch_first(batch);
	return first->likeness == item->likeness && first->home == item->home &&
	       first->owner == item->owner && first->part == item->part &&
	       same_request(upstream, first->request, item->request);
}

/* --- batches --- */

struct batch_item *batch_first(const struct batch *batch)
{
	return container_of(heap_first(&batch->items), struct batch_item, place);
}

size_t batch_bytes(const struct batch_item *item)
{
	return item->request->merge_bytes ? item->request->merge_bytes : BATCH_UNKNOWN_BYTES;
}

static void grow(struct batches *batches)
{
	struct batches old = *batches;
	batches->bucket_count *= 2;
	batches->buckets = mem_zalloc(batches->bucket_count, sizeof(struct batch *));
	for (size_t i = 0; i < old.bucket_count; i++)
		for (struct batch *batch = old.buckets[i], *next; batch; batch = next) {
			struct batch **bucket = &batches->buckets[batch->hash % batches->bucket_count];
			next = batch->next;
			batch->next = *bucket;
			*bucket = batch;
		}
	mem_free(old.buckets);
}

static struct batch *make(struct batches *batches, uint64_t hash)
{
	if (batches->count >= batches->bucket_count)
		grow(batches);
	struct batch **bucket = &batches->buckets[hash % batches->bucket_count];
	struct batch *batch = mem_zalloc(1, sizeof *batch);
	heap_init(&batch->items, batches->before);
	batch->hash = hash;
	batch->next = *bucket;
	*bucket = batch;
	batches->count++;
	return batch;
}

static void drop(struct batches *batches, struct batch *batch)
{
	struct batch **link = &batches->buckets[batch->hash % batches->bucket_count];
	assert(!heap_holds(&batch->place));
	while (*link != batch)
		link = &(*link)->next;
	*link = batch->next;
	batches->count--;
	heap_free(&batch->items);
	mem_free(batch);
}

struct batch *batch_join(
        struct batches *batches, const struct upstream_config *upstream, struct batch_item *item)
{
	assert(item->batch == NULL);
	if (item->likeness == 0) {
		item->likeness = likeness_of(upstream, item);
		item->value = mix_text(0, item->request->merge_value);
	}
	uint64_t hash = mix(item->likeness, &item->part, sizeof item->part);
	struct batch *batch = batches->buckets[hash % batches->bucket_count];
	while (batch && (batch->hash != hash || !belongs(upstream, batch, item)))
		batch = batch->next;
	if (batch == NULL)
		batch = make(batches, hash);
	heap_push(&batch->items, &item->place);
	batch->bytes += batch_bytes(item);
	item->batch = batch;
	return batch;
}

void batch_leave(struct batches *batches, struct batch_item *item)
{
	struct batch *batch = item->batch;
	heap_remove(&batch->items, &item->place);
	batch->bytes -= batch_bytes(item);
	item->batch = NULL;
	if (batch->items.count == 0)
		drop(batches, batch);
}

/* --- calls --- */

static size_t most_items(const struct batch_item *item)
{
	unsigned most = item->request->merge_max;
	return most < BATCH_MAX ? most : BATCH_MAX;
}

bool batch_is_full(const struct batch *batch, size_t bytes)
{
	const struct batch_item *first = batch_first(batch);
	return first->part || batch->items.count >= most_items(first) || batch->bytes >= bytes;
}

static bool is_taken(const struct batch_item *item, struct batch_item *const *taken, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (taken[i]->value == item->value &&
		        strcmp(taken[i]->request->merge_value, item->request->merge_value) == 0)
			return true;
	return false;
}

size_t batch_gather(struct batch *batch, size_t bytes, bool (*room)(void *context, struct batch_item *item),
        void *context, struct batch_item **taken)
{
	enum { JOINT = 3, REPEATS = 64 }; /* bytes of an encoded '|'; of one value, looked past at most */
	struct batch_item *repeats[REPEATS];
	size_t count = 0, repeat_count = 0, sum = 0, url = 0, most = most_items(batch_first(batch));
	while (count < most && repeat_count < REPEATS && batch->items.count > 0) {
		struct batch_item *item = batch_first(batch);
		bool repeated = is_taken(item, taken, count);
		if (!repeated) {
			/* An encoded byte has three characters at most. */
			sum += batch_bytes(item);
			url += 3 * strlen(item->request->merge_value) + JOINT;
			if (count > 0 && (sum > bytes || url > BATCH_URL_BYTES || !room(context, item)))
				break;
		}
		heap_remove(&batch->items, &item->place);
		if (repeated)
			repeats[repeat_count++] = item;
		else
			taken[count++] = item;
	}
	for (size_t i = 0; i < repeat_count; i++)
		heap_push(&batch->items, &repeats[i]->place);
	for (size_t i = 0; i < count; i++)
		heap_push(&batch->items, &taken[i]->place);
	return count;
}
