/* The values of a flat tree: what strings mean, whether two values are the same. */
#include "jsontree.h"
#include "mem.h"

#include <stdlib.h>

static size_t unescape(const unsigned char *at, const unsigned char *end, char *to)
{
	char *start = to;
	while (at < end) {
		const unsigned char *stop = json_text_run(at, end);
		memcpy(to, at, (size_t)(stop - at));
		to += stop - at;
		at = stop;
		if (at == end)
			break;
		if (json_simple_escape[at[1]]) {
			*to++ = json_simple_escape[at[1]];
			at += 2;
			continue;
		}
		unsigned code = json_hex_unit(at + 2);
		at += 6;
		if ((code & 0xFC00) == 0xD800) {
			code = 0x10000 + ((code - 0xD800) << 10) + (json_hex_unit(at + 2) - 0xDC00);
			at += 6;
		}
		to = json_put_utf8(to, code);
	}
	return (size_t)(to - start);
}

struct bytes jsontree_string(const struct jsontree *tree, uint32_t index, struct buf *room)
{
	const struct jsontree_node *node = &tree->nodes[index];
	const char *text = tree->text + node->start;
	if (!node->escaped)
		return (struct bytes){text, node->size};
	buf_clear(room);
	const unsigned char *at = (const unsigned char *)text;
	char *to = buf_reserve(room, node->size);
	buf_commit(room, unescape(at, at + node->size, to));
	return (struct bytes){room->data, room->size};
}

size_t jsontree_string_length(const struct jsontree *tree, uint32_t index)
{
	const struct jsontree_node *node = &tree->nodes[index];
	const unsigned char *at = (const unsigned char *)tree->text + node->start, *end = at + node->size;
	size_t length = 0;
	for (; at < end; length++) {
		if (*at == '\\') {
			bool pair = at[1] == 'u' && (json_hex_unit(at + 2) & 0xFC00) == 0xD800;
			at += at[1] != 'u' ? 2 : pair ? 12 : 6;
			continue;
		}
		at++;
		while (at < end && (*at & 0xC0) == 0x80)
			at++;
	}
	return length;
}

bool jsontree_string_is(const struct jsontree *tree, uint32_t index, const char *text, size_t size)
{
	const struct jsontree_node *node = &tree->nodes[index];
	if (!node->escaped)
		return node->size == size && memcmp(tree->text + node->start, text, size) == 0;
	if (node->size < size)
		return false;
	struct buf room;
	buf_init(&room, 0);
	struct bytes string = jsontree_string(tree, index, &room);
	bool same = string.size == size && memcmp(string.data, text, size) == 0;
	buf_free(&room);
	return same;
}

static uint32_t find(
        const struct jsontree *tree, uint32_t object, uint64_t hash, const char *name, size_t size)
{
	uint32_t at = object + 1;
	for (uint32_t i = 0; i < tree->nodes[object].count; i++, at = tree->nodes[at + 1].next)
		if (tree->nodes[at].hash == hash && jsontree_string_is(tree, at, name, size))
			return at + 1;
	return 0;
}

uint32_t jsontree_member(const struct jsontree *tree, uint32_t object, const char *name, size_t size)
{
	return find(tree, object, jsontree_hash(name, size), name, size);
}

/* ---- the same value ---- */

static bool same_number(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	const struct jsontree_node *x = &a->nodes[i], *y = &b->nodes[j];
	if (x->small && y->small)
		return x->integer == y->integer;
	return json_number_compare(a->text + x->start, x->size, b->text + y->start, y->size) == 0;
}

static bool same_string(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	if (!b->nodes[j].escaped)
		return jsontree_string_is(a, i, jsontree_text(b, j), b->nodes[j].size);
	struct buf room;
	buf_init(&room, 0);
	struct bytes string = jsontree_string(b, j, &room);
	bool same = jsontree_string_is(a, i, string.data, string.size);
	buf_free(&room);
	return same;
}

static bool same_array(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	uint32_t x = i + 1, y = j + 1;
	for (uint32_t n = 0; n < a->nodes[i].count; n++, x = a->nodes[x].next, y = b->nodes[y].next)
		if (!jsontree_equal(a, x, b, y))
			return false;
	return true;
}

/* Most often both have the same order, so that each member is found at once. */
static uint32_t same_member(
        const struct jsontree *a, uint32_t key, const struct jsontree *b, uint32_t object, uint32_t expected)
{
	if (a->nodes[key].hash == b->nodes[expected].hash && same_string(a, key, b, expected))
		return expected + 1;
	struct buf room;
	buf_init(&room, 0);
	struct bytes name = jsontree_string(a, key, &room);
	uint32_t found = find(b, object, a->nodes[key].hash, name.data, name.size);
	buf_free(&room);
	return found;
}

static bool same_members(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	uint32_t x = i + 1, y = j + 1;
	for (uint32_t n = 0; n < a->nodes[i].count; n++) {
		uint32_t value = same_member(a, x, b, j, y);
		if (value == 0 || !jsontree_equal(a, x + 1, b, value))
			return false;
		x = a->nodes[x + 1].next;
		y = b->nodes[y + 1].next;
	}
	return true;
}

static bool same_many_members(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	uint32_t *x = jsontree_sorted_keys(a, i), *y = jsontree_sorted_keys(b, j);
	bool same = true;
	for (uint32_t n = 0; n < a->nodes[i].count && same; n++)
		same = same_string(a, x[n], b, y[n]) && jsontree_equal(a, x[n] + 1, b, y[n] + 1);
	mem_free(x);
	mem_free(y);
	return same;
}

static bool same_object(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	bool few = a->nodes[i].count <= JSONTREE_FEW;
	return (few ? same_members : same_many_members)(a, i, b, j);
}

bool jsontree_equal(const struct jsontree *a, uint32_t i, const struct jsontree *b, uint32_t j)
{
	const struct jsontree_node *x = &a->nodes[i], *y = &b->nodes[j];
	if (x->kind != y->kind)
		return false;
	switch (x->kind) {
	case JSONTREE_NUMBER: return same_number(a, i, b, j);
	case JSONTREE_STRING: return same_string(a, i, b, j);
	case JSONTREE_ARRAY: return x->count == y->count && same_array(a, i, b, j);
	case JSONTREE_OBJECT: return x->count == y->count && same_object(a, i, b, j);
	default: return true;
	}
}

/* ---- keys in order ---- */

struct key {
	const struct jsontree_node *node;
	const struct jsontree *tree;
};

/* By hash, then by what they mean: chosen hashes gain nothing. Of two equal ones the elder comes first. */
static int key_order(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	if (x->node->hash != y->node->hash)
		return x->node->hash < y->node->hash ? -1 : 1;
	struct buf x_room, y_room;
	buf_init(&x_room, 0);
	buf_init(&y_room, 0);
	struct bytes m = jsontree_string(x->tree, (uint32_t)(x->node - x->tree->nodes), &x_room);
	struct bytes n = jsontree_string(y->tree, (uint32_t)(y->node - y->tree->nodes), &y_room);
	int order = m.size != n.size ? (m.size < n.size ? -1 : 1) : memcmp(m.data, n.data, m.size);
	buf_free(&x_room);
	buf_free(&y_room);
	return order ? order : (x->node > y->node) - (x->node < y->node);
}

uint32_t *jsontree_sorted_keys(const struct jsontree *tree, uint32_t object)
{
	uint32_t count = tree->nodes[object].count, at = object + 1;
	struct key *keys = mem_alloc(count * sizeof *keys);
	uint32_t *sorted = mem_alloc(count * sizeof *sorted);
	for (uint32_t i = 0; i < count; i++, at = tree->nodes[at + 1].next)
		keys[i] = (struct key){&tree->nodes[at], tree};
	qsort(keys, count, sizeof *keys, key_order);
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = (uint32_t)(keys[i].node - tree->nodes);
	mem_free(keys);
	return sorted;
}

/* ---- hashes of values ---- */

static uint64_t number_hash(const struct jsontree *tree, uint32_t index)
{
	const struct jsontree_node *node = &tree->nodes[index];
	struct json_magnitude m;
	json_number_measure(tree->text + node->start, node->size, &m);
	return jsontree_hash(m.digits, m.count) ^ (m.count ? (uint64_t)m.point * 3 + m.negative : 0);
}

static uint64_t string_hash(const struct jsontree *tree, uint32_t index)
{
	struct buf room;
	buf_init(&room, 0);
	struct bytes string = jsontree_string(tree, index, &room);
	uint64_t hash = jsontree_hash(string.data, string.size);
	buf_free(&room);
	return hash;
}

static uint64_t mixed(uint64_t a, uint64_t b)
{
	uint64_t hash = (a ^ b) * 0xD6E8FEB86659FD93u;
	return hash ^ hash >> 32;
}

uint64_t jsontree_value_hash(const struct jsontree *tree, uint32_t index)
{
	const struct jsontree_node *node = &tree->nodes[index];
	uint64_t hash = node->kind + 1, at = index + 1;
	if (node->kind == JSONTREE_NUMBER)
		return mixed(hash, number_hash(tree, index));
	if (node->kind == JSONTREE_STRING)
		return mixed(hash, string_hash(tree, index));
	if (node->kind == JSONTREE_ARRAY)
		for (uint32_t i = 0; i < node->count; i++, at = tree->nodes[at].next)
			hash = mixed(hash * 31, jsontree_value_hash(tree, (uint32_t)at));
	if (node->kind == JSONTREE_OBJECT)
		for (uint32_t i = 0; i < node->count; i++, at = tree->nodes[at + 1].next)
			hash += mixed(tree->nodes[at].hash, jsontree_value_hash(tree, (uint32_t)at + 1));
	return hash;
}

/* ---- numbers, text ---- */

bool jsontree_is_whole(const struct jsontree *tree, uint32_t index)
{
	const struct jsontree_node *node = &tree->nodes[index];
	struct json_magnitude m;
	if (!node->fractional)
		return true;
	json_number_measure(tree->text + node->start, node->size, &m);
	return m.count == 0 || m.point >= (int64_t)m.count;
}

struct bytes jsontree_raw(const struct jsontree *tree, uint32_t index)
{
	const struct jsontree_node *node = &tree->nodes[index];
	bool string = node->kind == JSONTREE_STRING;
	return (struct bytes){tree->text + node->start - string, node->size + 2 * (size_t)string};
}
