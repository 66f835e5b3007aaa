/* Where a record stands in its source; and which were met already. */
#include "origin.h"
#include "mem.h"

#include <string.h>

enum { DIGITS_MAX = 18, SLOTS_FIRST = 1024 };

/* The number at the end of [begin, *end) and the '/' before it. */
static bool read_number(const char **end, const char *begin, int64_t *number)
{
	const char *at = *end;
	int64_t value = 0, unit = 1;
	int digits = 0;
	for (; at > begin && at[-1] >= '0' && at[-1] <= '9' && digits < DIGITS_MAX;
	        at--, digits++, unit *= 10)
		value += (at[-1] - '0') * unit;
	if (digits == 0 || at == begin || at[-1] != '/')
		return false;
	*end = at - 1;
	*number = value;
	return true;
}

bool origin_read_place(const char *text, size_t size, struct origin *origin)
{
	const char *end = text + size;
	int64_t partition, offset;
	if (!read_number(&end, text, &offset) || !read_number(&end, text, &partition) ||
	        partition > INT32_MAX || end == text)
		return false;
	*origin = (struct origin){text, (size_t)(end - text), (int32_t)partition, offset};
	return true;
}

bool origin_read(const char *text, size_t size, struct origin *origin)
{
	const char *end = text + size;
	int64_t n;
	return read_number(&end, text, &n) && origin_read_place(text, (size_t)(end - text), origin);
}

bool origin_same(const struct origin *a, const struct origin *b)
{
	return a->partition == b->partition && a->offset == b->offset && a->topic_size == b->topic_size &&
	       memcmp(a->topic, b->topic, a->topic_size) == 0;
}

/* ---- which were met ---- */

struct slot {
	struct origins_note note;
	bool used;
};

struct origins {
	struct slot *slots; /* a power of two of them, at most half used */
	size_t size, used, most;
};

struct origins *origins_open(size_t most)
{
	struct origins *origins = mem_zalloc(1, sizeof *origins);
	origins->size = SLOTS_FIRST;
	origins->slots = mem_zalloc(origins->size, sizeof *origins->slots);
	origins->most = most;
	return origins;
}

void origins_close(struct origins *origins)
{
	if (origins)
		mem_free(origins->slots);
	mem_free(origins);
}

static struct slot *slot_of(const struct origins *origins, const struct origins_note *note)
{
	uint64_t hash = ((uint64_t)note->offset + 1) * 0x9E3779B97F4A7C15u;
	hash ^= ((uint64_t)(uint32_t)note->topic << 32 | (uint32_t)note->partition) * 0xBF58476D1CE4E5B9u;
	hash ^= hash >> 29;
	for (size_t at = hash & (origins->size - 1);; at = (at + 1) & (origins->size - 1)) {
		struct slot *slot = &origins->slots[at];
		if (!slot->used ||
		        (slot->note.offset == note->offset && slot->note.partition == note->partition &&
		                slot->note.topic == note->topic))
			return slot;
	}
}

static void grow(struct origins *origins)
{
	struct slot *old = origins->slots;
	size_t size = origins->size;
	origins->size *= 2;
	origins->slots = mem_zalloc(origins->size, sizeof *origins->slots);
	for (size_t i = 0; i < size; i++)
		if (old[i].used)
			*slot_of(origins, &old[i].note) = old[i];
	mem_free(old);
}

bool origins_first(struct origins *origins, const struct origins_note *note)
{
	struct slot *slot = slot_of(origins, note);
	if (slot->used)
		return slot->note.by_partition == note->by_partition &&
		       slot->note.by_offset == note->by_offset;
	if (origins->used >= origins->most)
		return true;
	if (origins->used + 1 > origins->size / 2) {
		grow(origins);
		slot = slot_of(origins, note);
	}
	*slot = (struct slot){*note, true};
	origins->used++;
	return true;
}
