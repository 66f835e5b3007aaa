/* Where two JSON values differ, but for members that are not to be looked at. */
#include "jsondiff.h"
#include "mem.h"
#include "text.h"

#include <string.h>

/* ---- paths ---- */

static void add_name(struct jsondiff_path *path, const char *name, size_t size)
{
	path->names = mem_realloc(path->names, (path->count + 1) * sizeof *path->names);
	path->names[path->count++] = mem_dup(name, size);
}

static bool add_path(struct jsondiff_paths *paths, const char *text, size_t size)
{
	paths->items = mem_realloc(paths->items, (paths->count + 1) * sizeof *paths->items);
	struct jsondiff_path *path = &paths->items[paths->count++];
	*path = (struct jsondiff_path){0};
	for (const char *at = text, *end = text + size; at <= end;) {
		const char *dot = memchr(at, '.', (size_t)(end - at));
		size_t length = (size_t)((dot ? dot : end) - at);
		if (length == 0)
			return false;
		add_name(path, at, length);
		at += length + 1;
	}
	return true;
}

bool jsondiff_paths_parse(struct jsondiff_paths *paths, const char *text)
{
	*paths = (struct jsondiff_paths){0};
	if (*text == '\0')
		return true;
	for (;;) {
		size_t size = strcspn(text, ",");
		if (!add_path(paths, text, size))
			return false;
		if (text[size] == '\0')
			return true;
		text += size + 1;
	}
}

void jsondiff_paths_free(struct jsondiff_paths *paths)
{
	for (size_t i = 0; i < paths->count; i++) {
		for (size_t n = 0; n < paths->items[i].count; n++)
			mem_free(paths->items[i].names[n]);
		mem_free(paths->items[i].names);
	}
	mem_free(paths->items);
	*paths = (struct jsondiff_paths){0};
}

int64_t jsondiff_find(const struct jsontree *tree, const struct jsondiff_path *path)
{
	uint32_t at = 0;
	for (size_t i = 0; i < path->count; i++) {
		if (tree->nodes[at].kind != JSONTREE_OBJECT)
			return -1;
		at = jsontree_member(tree, at, path->names[i], strlen(path->names[i]));
		if (at == 0)
			return -1;
	}
	return at;
}

/* Where a walk stands among the ignored paths: those whose first `depth` names led here. */
enum { PATHS_MAX = 64 };

struct standing {
	const struct jsondiff_path *open[PATHS_MAX];
	size_t count, depth;
};

static void stand_at_top(struct standing *here, const struct jsondiff_paths *paths)
{
	*here = (struct standing){0};
	for (size_t i = 0; i < paths->count && here->count < PATHS_MAX; i++)
		here->open[here->count++] = &paths->items[i];
}

/* Follows the member; true when it is one of the ignored. */
static bool step(
        const struct standing *here, const struct jsontree *tree, uint32_t key, struct standing *below)
{
	below->count = 0;
	below->depth = here->depth + 1;
	for (size_t i = 0; i < here->count; i++) {
		const char *name = here->open[i]->names[here->depth];
		if (!jsontree_string_is(tree, key, name, strlen(name)))
			continue;
		if (here->open[i]->count == below->depth)
			return true;
		below->open[below->count++] = here->open[i];
	}
	return false;
}

/* ---- hashes ---- */

static uint64_t mix(uint64_t hash, uint64_t more)
{
	hash ^= more * 0x9E3779B97F4A7C15u;
	hash ^= hash >> 31;
	hash *= 0xBF58476D1CE4E5B9u;
	return hash ^ hash >> 29;
}

static uint64_t hash_at(const struct jsontree *tree, uint32_t index, const struct standing *here)
{
	const struct jsontree_node *node = &tree->nodes[index];
	if (node->kind != JSONTREE_OBJECT || here->count == 0)
		return jsontree_value_hash(tree, index);
	uint64_t hash = 0;
	for (uint32_t i = 0, at = index + 1; i < node->count; i++, at = tree->nodes[at + 1].next) {
		struct standing below;
		if (!step(here, tree, at, &below))
			hash += mix(tree->nodes[at].hash, hash_at(tree, at + 1, &below));
	}
	return mix(JSONTREE_OBJECT, hash);
}

uint64_t jsondiff_hash(const struct jsontree *tree, const struct jsondiff_paths *ignored)
{
	struct standing top;
	stand_at_top(&top, ignored);
	return hash_at(tree, 0, &top);
}

/* ---- differences: the first, whose pointer is written, or all, which are told ---- */

struct pair {
	const struct jsontree *a, *b;
	struct buf *pointer, room;
	jsondiff_told *told; /* NULL = only the first is looked for */
	void *context;
	size_t count;
};

static bool differ(struct pair *pair, uint32_t i, uint32_t j, const struct standing *here);

static bool is_plain(struct bytes name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$@:";
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] == '\0' || strchr(plain, name.data[i]) == NULL)
			return false;
	return name.size > 0;
}

static void append_name(struct buf *path, struct bytes name)
{
	if (path->size)
		buf_append_byte(path, '.');
	if (is_plain(name))
		buf_append(path, name.data, name.size);
	else
		text_json_string(path, name.data, name.size);
}

/* RFC 6901 §3: `~` and `/` are written as ~0 and ~1. */
static void descend(struct pair *pair, const struct jsontree *tree, uint32_t key)
{
	struct bytes name = jsontree_string(tree, key, &pair->room);
	if (pair->told) {
		append_name(pair->pointer, name);
		return;
	}
	buf_append_byte(pair->pointer, '/');
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] == '~')
			buf_append_text(pair->pointer, "~0");
		else if (name.data[i] == '/')
			buf_append_text(pair->pointer, "~1");
		else
			buf_append_byte(pair->pointer, name.data[i]);
}

static void ascend(struct pair *pair, size_t size)
{
	pair->pointer->size = size;
	if (pair->pointer->data)
		pair->pointer->data[size] = '\0';
}

/* True when nothing more is to be looked at. */
static bool found(struct pair *pair, int64_t i, int64_t j)
{
	pair->count++;
	if (pair->told == NULL)
		return true;
	struct jsondiff_difference difference = {pair->pointer->data, i, j};
	pair->told(pair->context, &difference);
	return false;
}

static bool only_in_b(struct pair *pair, uint32_t key_b)
{
	size_t size = pair->pointer->size;
	descend(pair, pair->b, key_b);
	if (found(pair, -1, key_b + 1))
		return true;
	ascend(pair, size);
	return false;
}

static bool differ_in(struct pair *pair, uint32_t key_a, uint32_t value_b, const struct standing *below)
{
	size_t size = pair->pointer->size;
	descend(pair, pair->a, key_a);
	if (value_b == 0 ? found(pair, key_a + 1, -1) : differ(pair, key_a + 1, value_b, below))
		return true;
	ascend(pair, size);
	return false;
}

static bool differ_few(struct pair *pair, uint32_t i, uint32_t j, const struct standing *here)
{
	const struct jsontree *a = pair->a, *b = pair->b;
	struct standing below;
	for (uint32_t n = 0, at = i + 1; n < a->nodes[i].count; n++, at = a->nodes[at + 1].next) {
		if (step(here, a, at, &below))
			continue;
		struct bytes name = jsontree_string(a, at, &pair->room);
		if (differ_in(pair, at, jsontree_member(b, j, name.data, name.size), &below))
			return true;
	}
	for (uint32_t n = 0, at = j + 1; n < b->nodes[j].count; n++, at = b->nodes[at + 1].next) {
		if (step(here, b, at, &below))
			continue;
		struct bytes name = jsontree_string(b, at, &pair->room);
		if (jsontree_member(a, i, name.data, name.size) == 0 && only_in_b(pair, at))
			return true;
	}
	return false;
}

static bool same_name(struct pair *pair, uint32_t key_a, uint32_t key_b)
{
	struct bytes name = jsontree_string(pair->b, key_b, &pair->room);
	return jsontree_string_is(pair->a, key_a, name.data, name.size);
}

/* Both in the order of jsontree_sorted_keys, which is by hash first: what one has and the other has not shows
 * as the lesser hash. */
static bool differ_many(struct pair *pair, uint32_t i, uint32_t j, const struct standing *here)
{
	const struct jsontree *a = pair->a, *b = pair->b;
	uint32_t *x = jsontree_sorted_keys(a, i), *y = jsontree_sorted_keys(b, j);
	uint32_t n = 0, m = 0, a_count = a->nodes[i].count, b_count = b->nodes[j].count;
	bool stop = false;
	while (!stop && (n < a_count || m < b_count)) {
		struct standing below;
		bool both = n < a_count && m < b_count && same_name(pair, x[n], y[m]);
		bool of_a =
		        both || m == b_count || (n < a_count && a->nodes[x[n]].hash <= b->nodes[y[m]].hash);
		if (of_a && !step(here, a, x[n], &below))
			stop = differ_in(pair, x[n], both ? y[m] + 1 : 0, &below);
		else if (!of_a && !step(here, b, y[m], &below))
			stop = only_in_b(pair, y[m]);
		n += of_a ? 1 : 0;
		m += both || !of_a ? 1 : 0;
	}
	mem_free(x);
	mem_free(y);
	return stop;
}

static void descend_to(struct pair *pair, uint32_t n)
{
	if (pair->told)
		buf_printf(pair->pointer, "[%u]", n);
	else
		buf_append_text(pair->pointer, "/*");
}

static bool differ_elements(struct pair *pair, uint32_t i, uint32_t j)
{
	static const struct standing nowhere;
	const struct jsontree_node *x = &pair->a->nodes[i], *y = &pair->b->nodes[j];
	size_t size = pair->pointer->size;
	uint32_t least = x->count < y->count ? x->count : y->count, n = 0, p = i + 1, q = j + 1;
	for (; n < least; n++, p = pair->a->nodes[p].next, q = pair->b->nodes[q].next) {
		descend_to(pair, n);
		if (differ(pair, p, q, &nowhere))
			return true;
		ascend(pair, size);
	}
	if (pair->told == NULL)
		return x->count != y->count && found(pair, i, j);
	for (; n < x->count || n < y->count; n++) {
		descend_to(pair, n);
		found(pair, n < x->count ? (int64_t)p : -1, n < y->count ? (int64_t)q : -1);
		ascend(pair, size);
		p = n < x->count ? pair->a->nodes[p].next : p;
		q = n < y->count ? pair->b->nodes[q].next : q;
	}
	return false;
}

static bool differ(struct pair *pair, uint32_t i, uint32_t j, const struct standing *here)
{
	const struct jsontree_node *x = &pair->a->nodes[i], *y = &pair->b->nodes[j];
	if (x->kind == JSONTREE_ARRAY && y->kind == JSONTREE_ARRAY)
		return differ_elements(pair, i, j);
	if (x->kind != JSONTREE_OBJECT || y->kind != JSONTREE_OBJECT)
		return !jsontree_equal(pair->a, i, pair->b, j) && found(pair, i, j);
	bool few = x->count <= JSONTREE_FEW && y->count <= JSONTREE_FEW;
	return (few ? differ_few : differ_many)(pair, i, j, here);
}

bool jsondiff_first(const struct jsontree *a, const struct jsontree *b, const struct jsondiff_paths *ignored,
        struct buf *pointer)
{
	struct pair pair = {.a = a, .b = b, .pointer = pointer};
	struct standing top;
	buf_init(&pair.room, 0);
	buf_clear(pointer);
	buf_append_text(pointer, "");
	stand_at_top(&top, ignored);
	bool differs = differ(&pair, 0, 0, &top);
	buf_free(&pair.room);
	return differs;
}

size_t jsondiff_each(const struct jsontree *a, const struct jsontree *b, const struct jsondiff_paths *ignored,
        jsondiff_told *told, void *context)
{
	struct buf path;
	struct pair pair = {.a = a, .b = b, .pointer = &path, .told = told, .context = context};
	struct standing top;
	buf_init(&pair.room, 0);
	buf_init(&path, 0);
	buf_append_text(&path, "");
	stand_at_top(&top, ignored);
	differ(&pair, 0, 0, &top);
	buf_free(&pair.room);
	buf_free(&path);
	return pair.count;
}
