/* The records of one partition on their way: from offsets taken to the safe offset. */
#include "offsets.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

struct place {
	int64_t offset;
	bool done;
	bool after_skipped; /* offsets between the place before and this one were finished in an earlier life
	                     */
};

/* A ring of places in offset order; the first one is never done, so its offset is the safe one. */
struct offsets {
	struct place *ring;
	size_t capacity; /* a power of two */
	uint64_t head;   /* ticket of the first place */
	uint64_t tail;   /* ticket that is given next */
	size_t open;
	int64_t next;
	bool skipped; /* offsets were skipped since the last ticket */
	uint64_t finished;
	struct range *earlier; /* finished in an earlier life */
	size_t earlier_count;
	size_t earlier_at; /* the first of them that reaches beyond `next` */
};

static struct place *place_of(const struct offsets *offsets, uint64_t ticket)
{
	return &offsets->ring[ticket & (offsets->capacity - 1)];
}

static void pass_earlier(struct offsets *offsets)
{
	while (offsets->earlier_at < offsets->earlier_count &&
	        offsets->earlier[offsets->earlier_at].to <= offsets->next)
		offsets->earlier_at++;
}

struct offsets *offsets_open(int64_t start, const struct range *finished, size_t count)
{
	struct offsets *offsets = mem_zalloc(1, sizeof *offsets);
	offsets->capacity = 64;
	offsets->ring = mem_zalloc(offsets->capacity, sizeof *offsets->ring);
	offsets->next = start;
	offsets->earlier_count = count;
	offsets->earlier = mem_zalloc(count, sizeof *offsets->earlier);
	if (count)
		memcpy(offsets->earlier, finished, count * sizeof *finished);
	pass_earlier(offsets);
	return offsets;
}

void offsets_close(struct offsets *offsets)
{
	if (offsets == NULL)
		return;
	mem_free(offsets->ring);
	mem_free(offsets->earlier);
	mem_free(offsets);
}

bool offsets_expected(const struct offsets *offsets, int64_t offset)
{
	return offset >= offsets->next;
}

static void move_next(struct offsets *offsets, int64_t next)
{
	offsets->next = next;
	pass_earlier(offsets);
}

bool offsets_skip(struct offsets *offsets, int64_t offset)
{
	size_t at = offsets->earlier_at;
	while (at < offsets->earlier_count && offsets->earlier[at].to <= offset)
		at++;
	if (offset < offsets->next || at == offsets->earlier_count || offset < offsets->earlier[at].from)
		return false;
	offsets->skipped = true;
	offsets->finished++;
	move_next(offsets, offset + 1);
	return true;
}

static void grow(struct offsets *offsets)
{
	size_t capacity = offsets->capacity * 2;
	struct place *ring = mem_zalloc(capacity, sizeof *ring);
	for (uint64_t ticket = offsets->head; ticket != offsets->tail; ticket++)
		ring[ticket & (capacity - 1)] = *place_of(offsets, ticket);
	mem_free(offsets->ring);
	offsets->ring = ring;
	offsets->capacity = capacity;
}

uint64_t offsets_begin(struct offsets *offsets, int64_t offset)
{
	assert(offset >= offsets->next);
	if (offsets->tail - offsets->head == offsets->capacity)
		grow(offsets);
	uint64_t ticket = offsets->tail++;
	*place_of(offsets, ticket) = (struct place){.offset = offset, .after_skipped = offsets->skipped};
	offsets->skipped = false;
	offsets->open++;
	move_next(offsets, offset + 1);
	return ticket;
}

void offsets_end(struct offsets *offsets, uint64_t ticket)
{
	assert(ticket - offsets->head < offsets->tail - offsets->head);
	struct place *place = place_of(offsets, ticket);
	assert(!place->done);
	place->done = true;
	offsets->open--;
	offsets->finished++;
	while (offsets->head != offsets->tail && place_of(offsets, offsets->head)->done)
		offsets->head++;
}

int64_t offsets_safe(const struct offsets *offsets)
{
	if (offsets->head != offsets->tail)
		return place_of(offsets, offsets->head)->offset;
	if (offsets->earlier_at < offsets->earlier_count) {
		const struct range *range = &offsets->earlier[offsets->earlier_at];
		if (range->from <= offsets->next)
			return range->to;
	}
	return offsets->next;
}

int64_t offsets_next(const struct offsets *offsets)
{
	return offsets->next;
}

size_t offsets_open_count(const struct offsets *offsets)
{
	return offsets->open;
}

uint64_t offsets_finished(const struct offsets *offsets)
{
	return offsets->finished;
}

/* Appends a range, joined to the last one where they touch; false when there is no room for it. */
static bool add_range(struct range *ranges, size_t most, size_t *count, struct range range)
{
	if (*count && range.from <= ranges[*count - 1].to) {
		if (range.to > ranges[*count - 1].to)
			ranges[*count - 1].to = range.to;
		return true;
	}
	if (*count == most)
		return false;
	ranges[(*count)++] = range;
	return true;
}

size_t offsets_ranges(const struct offsets *offsets, struct range *ranges, size_t most)
{
	size_t count = 0;
	int64_t from = offsets->next; /* one past the last unfinished offset met */
	bool finished = false;        /* something between there and here is finished */
	for (uint64_t ticket = offsets->head; ticket != offsets->tail; ticket++) {
		const struct place *place = place_of(offsets, ticket);
		finished = finished || place->done || (place->after_skipped && ticket != offsets->head);
		if (place->done)
			continue;
		if (finished && !add_range(ranges, most, &count, (struct range){from, place->offset}))
			return count;
		from = place->offset + 1;
		finished = false;
	}
	if (offsets->head != offsets->tail && (finished || offsets->skipped) &&
	        !add_range(ranges, most, &count, (struct range){from, offsets->next}))
		return count;
	int64_t safe = offsets_safe(offsets);
	for (size_t i = offsets->earlier_at; i < offsets->earlier_count; i++) {
		const struct range *range = &offsets->earlier[i];
		if (range->from >= safe && !add_range(ranges, most, &count, *range))
			break;
	}
	return count;
}
