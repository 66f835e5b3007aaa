/* A JSON tree as one line that does not depend on the order of members. */
#include "jsontree.h"
#include "mem.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b, void *context)
{
	const struct jsontree *tree = context;
	struct bytes one = jsontree_raw(tree, *(const uint32_t *)a);
	struct bytes other = jsontree_raw(tree, *(const uint32_t *)b);
	int order = memcmp(one.data, other.data, one.size < other.size ? one.size : other.size);
	return order ? order : (one.size > other.size) - (one.size < other.size);
}

static void append_object(const struct jsontree *tree, uint32_t object, struct buf *out)
{
	uint32_t count = tree->nodes[object].count, at = object + 1;
	uint32_t *keys = mem_zalloc(count + 1, sizeof *keys);
	for (uint32_t i = 0; i < count; i++, at = tree->nodes[at + 1].next)
		keys[i] = at;
	qsort_r(keys, count, sizeof *keys, by_name, (void *)tree);
	for (uint32_t i = 0; i < count; i++) {
		struct bytes name = jsontree_raw(tree, keys[i]);
		buf_append_byte(out, i ? ',' : '{');
		buf_append(out, name.data, name.size);
		buf_append_byte(out, ':');
		jsontree_line(tree, keys[i] + 1, out);
	}
	buf_append_text(out, count ? "}" : "{}");
	mem_free(keys);
}

static void append_array(const struct jsontree *tree, uint32_t array, struct buf *out)
{
	uint32_t at = array + 1;
	buf_append_byte(out, '[');
	for (uint32_t i = 0; i < tree->nodes[array].count; i++, at = tree->nodes[at].next) {
		buf_append_text(out, i ? "," : "");
		jsontree_line(tree, at, out);
	}
	buf_append_byte(out, ']');
}

void jsontree_line(const struct jsontree *tree, uint32_t index, struct buf *out)
{
	struct bytes raw = jsontree_raw(tree, index);
	switch (tree->nodes[index].kind) {
	case JSONTREE_OBJECT: append_object(tree, index, out); break;
	case JSONTREE_ARRAY: append_array(tree, index, out); break;
	default: buf_append(out, raw.data, raw.size);
	}
}
