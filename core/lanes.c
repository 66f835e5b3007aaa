/* Lanes: records of one order key, whose outputs leave, and which settle, in the order they came. */
#include "lanes.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

enum { BUCKETS_MIN = 64 };

struct lane {
	struct list places;  /* in the order they entered */
	struct place *front; /* the oldest that has not left; all before it have. NULL = everybody has left */
	size_t recalled;     /* places turned back and not released since */
	bool held;           /* since a recall: nobody leaves */
	bool front_made;     /* as counted in lanes.fronts_made */
	bool releasing, settling;
	unsigned users; /* calls at work on it: it is not freed under them */
	uint64_t hash;
	const void *scope;
	char *key; /* NULL = alone: in no bucket */
	size_t key_size;
	struct lane *next; /* in its bucket */
};

struct lanes {
	struct lanes_hooks hooks;
	struct lane **buckets;
	size_t bucket_count; /* a power of two */
	size_t keyed;        /* lanes in buckets */
	size_t count;        /* lanes */
	size_t made;         /* places MADE */
	size_t fronts_made;  /* lanes whose front is MADE: it waits for a release, but for no elder */
};

static struct place *place_of(struct list_node *node)
{
	return node ? container_of(node, struct place, node) : NULL;
}

struct place *lanes_younger(const struct place *place)
{
	return place->lane ? place_of(list_next(&place->lane->places, &place->node)) : NULL;
}

struct place *lanes_youngest(const struct place *place)
{
	return place->lane ? place_of(list_last(&place->lane->places)) : NULL;
}

struct place *lanes_elder(const struct place *place)
{
	if (place->lane == NULL || place->node.prev == &place->lane->places.head)
		return NULL;
	return place_of(place->node.prev);
}

struct lanes *lanes_open(const struct lanes_hooks *hooks)
{
	struct lanes *lanes = mem_zalloc(1, sizeof *lanes);
	lanes->hooks = *hooks;
	lanes->bucket_count = BUCKETS_MIN;
	lanes->buckets = mem_zalloc(lanes->bucket_count, sizeof *lanes->buckets);
	return lanes;
}

void lanes_close(struct lanes *lanes)
{
	if (lanes == NULL)
		return;
	assert(lanes->count == 0);
	mem_free(lanes->buckets);
	mem_free(lanes);
}

size_t lanes_count(const struct lanes *lanes)
{
	return lanes->count;
}

size_t lanes_blocked(const struct lanes *lanes)
{
	return lanes->made - lanes->fronts_made;
}

/* FNV-1a over the key, begun with the scope; the last step mixes the high bits into the bucket's number. */
static uint64_t hash_of(const void *scope, const char *key, size_t size)
{
	uint64_t hash = 14695981039346656037u ^ ((uint64_t)(uintptr_t)scope * 0x9E3779B97F4A7C15u);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
	return hash ^ (hash >> 32);
}

static struct lane **bucket_of(const struct lanes *lanes, uint64_t hash)
{
	return &lanes->buckets[hash & (lanes->bucket_count - 1)];
}

static void grow(struct lanes *lanes)
{
	struct lane **old = lanes->buckets;
	size_t old_count = lanes->bucket_count;
	lanes->bucket_count *= 2;
	lanes->buckets = mem_zalloc(lanes->bucket_count, sizeof *lanes->buckets);
	for (size_t i = 0; i < old_count; i++)
		for (struct lane *lane = old[i], *next; lane; lane = next) {
			next = lane->next;
			struct lane **bucket = bucket_of(lanes, lane->hash);
			lane->next = *bucket;
			*bucket = lane;
		}
	mem_free(old);
}

static struct lane *lane_find(
        const struct lanes *lanes, uint64_t hash, const void *scope, const char *key, size_t size)
{
	struct lane *lane = *bucket_of(lanes, hash);
	while (lane && (lane->hash != hash || lane->scope != scope || lane->key_size != size ||
	                       memcmp(lane->key, key, size) != 0))
		lane = lane->next;
	return lane;
}

static struct lane *lane_add(
        struct lanes *lanes, uint64_t hash, const void *scope, const char *key, size_t size)
{
	struct lane *lane = mem_zalloc(1, sizeof *lane);
	list_init(&lane->places, "lane");
	lanes->count++;
	if (key == NULL)
		return lane;
	lane->hash = hash;
	lane->scope = scope;
	lane->key = mem_dup(key, size);
	lane->key_size = size;
	if (++lanes->keyed > lanes->bucket_count)
		grow(lanes);
	struct lane **bucket = bucket_of(lanes, hash);
	lane->next = *bucket;
	*bucket = lane;
	return lane;
}

static void lane_free(struct lanes *lanes, struct lane *lane)
{
	lanes->count--;
	if (lane->key) {
		struct lane **at = bucket_of(lanes, lane->hash);
		while (*at != lane)
			at = &(*at)->next;
		*at = lane->next;
		lanes->keyed--;
	}
	mem_free(lane->key);
	mem_free(lane);
}

static struct lane *lane_use(struct lane *lane)
{
	lane->users++;
	return lane;
}

static void note_front(struct lanes *lanes, struct lane *lane)
{
	bool made = lane->front && lane->front->state == PLACE_MADE;
	if (made && !lane->front_made)
		lanes->fronts_made++;
	if (!made && lane->front_made)
		lanes->fronts_made--;
	lane->front_made = made;
}

static void lane_done(struct lanes *lanes, struct lane *lane)
{
	note_front(lanes, lane);
	if (--lane->users == 0 && list_empty(&lane->places))
		lane_free(lanes, lane);
}

static void move(struct lanes *lanes, struct place *place, enum place_state state)
{
	lanes->made += state == PLACE_MADE;
	lanes->made -= place->state == PLACE_MADE;
	if (place->recalled && state != PLACE_MADE) {
		place->recalled = false;
		if (--place->lane->recalled == 0)
			place->lane->held = false;
	}
	place->state = state;
}

static void take_out(struct lanes *lanes, struct place *place)
{
	struct lane *lane = place->lane;
	move(lanes, place, PLACE_NONE);
	if (lane->front == place)
		lane->front = lanes_younger(place);
	list_remove(&lane->places, &place->node);
	place->lane = NULL;
}

static void release(struct lanes *lanes, struct lane *lane)
{
	if (lane->releasing)
		return;
	lane->releasing = true;
	while (!lane->held && lane->front && lane->front->state == PLACE_MADE) {
		struct place *place = lane->front;
		lane->front = lanes_younger(place);
		move(lanes, place, PLACE_LEFT);
		note_front(lanes, lane);
		lanes->hooks.release(lanes->hooks.context, place);
	}
	lane->releasing = false;
}

static void settle(struct lanes *lanes, struct lane *lane)
{
	struct place *place;
	if (lane->settling)
		return;
	lane->settling = true;
	while ((place = place_of(list_first(&lane->places))) && place->state == PLACE_ACKED) {
		take_out(lanes, place);
		lanes->hooks.settle(lanes->hooks.context, place);
	}
	lane->settling = false;
}

void lanes_enter(struct lanes *lanes, struct place *place, const void *scope, const char *key, size_t size)
{
	assert(place->state == PLACE_NONE && place->lane == NULL);
	uint64_t hash = key ? hash_of(scope, key, size) : 0;
	struct lane *lane = key ? lane_find(lanes, hash, scope, key, size) : NULL;
	if (lane == NULL)
		lane = lane_add(lanes, hash, scope, key, size);
	place->lane = lane;
	place->state = PLACE_OPEN;
	list_append(&lane->places, &place->node);
	if (lane->front == NULL)
		lane->front = place;
}

void lanes_made(struct lanes *lanes, struct place *place)
{
	assert(place->state == PLACE_OPEN);
	struct lane *lane = lane_use(place->lane);
	move(lanes, place, PLACE_MADE);
	release(lanes, lane);
	lane_done(lanes, lane);
}

void lanes_acked(struct lanes *lanes, struct place *place)
{
	assert(place->state == PLACE_LEFT);
	struct lane *lane = lane_use(place->lane);
	move(lanes, place, PLACE_ACKED);
	settle(lanes, lane);
	lane_done(lanes, lane);
}

size_t lanes_recall(struct lanes *lanes, struct place *place,
        void (*each)(void *context, struct place *place), void *context)
{
	if (place->state != PLACE_LEFT && place->state != PLACE_ACKED)
		return 0;
	struct lane *lane = lane_use(place->lane);
	struct place *end = lane->front, *next;
	size_t count = 0;
	lane->front = place;
	lane->held = true;
	for (struct place *at = place; at != end; at = next) {
		next = lanes_younger(at);
		move(lanes, at, PLACE_MADE);
		at->recalled = true;
		lane->recalled++;
		count++;
		if (each)
			each(context, at);
	}
	lane_done(lanes, lane);
	return count;
}

void lanes_release_again(struct lanes *lanes, struct place *place)
{
	if (place->lane == NULL)
		return;
	struct lane *lane = lane_use(place->lane);
	lane->held = false;
	release(lanes, lane);
	lane_done(lanes, lane);
}

void lanes_leave(struct lanes *lanes, struct place *place)
{
	if (place->lane == NULL)
		return;
	struct lane *lane = lane_use(place->lane);
	take_out(lanes, place);
	release(lanes, lane);
	settle(lanes, lane);
	lane_done(lanes, lane);
}
