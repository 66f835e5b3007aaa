/* A JSON tree as text for people: a member a line. */
#include "jsontree.h"

struct printing {
	const struct jsontree *tree;
	bool (*hide)(const char *name, size_t size);
	const char *instead;
	struct buf *out;
};

static void new_line(struct buf *out, unsigned depth)
{
	buf_append_byte(out, '\n');
	for (unsigned i = 0; i < depth; i++)
		buf_append_text(out, "  ");
}

static uint32_t print(const struct printing *printing, uint32_t index, unsigned depth);

/* A count of tokens is no token. */
static bool may_hide(const struct jsontree_node *value)
{
	return value->kind == JSONTREE_STRING || value->kind == JSONTREE_ARRAY ||
	       value->kind == JSONTREE_OBJECT;
}

/* Answers the index behind the member. */
static uint32_t print_member(const struct printing *printing, uint32_t key, unsigned depth)
{
	const struct jsontree *tree = printing->tree;
	struct bytes name = jsontree_raw(tree, key);
	buf_append(printing->out, name.data, name.size);
	buf_append_text(printing->out, ": ");
	if (printing->hide && may_hide(&tree->nodes[key + 1]) &&
	        printing->hide(jsontree_text(tree, key), tree->nodes[key].size)) {
		buf_printf(printing->out, "\"%s\"", printing->instead);
		return tree->nodes[key + 1].next;
	}
	return print(printing, key + 1, depth);
}

static uint32_t print(const struct printing *printing, uint32_t index, unsigned depth)
{
	const struct jsontree_node *node = &printing->tree->nodes[index];
	struct buf *out = printing->out;
	bool object = node->kind == JSONTREE_OBJECT;
	if ((!object && node->kind != JSONTREE_ARRAY) || node->count == 0) {
		struct bytes raw = jsontree_raw(printing->tree, index);
		bool empty = object || node->kind == JSONTREE_ARRAY;
		buf_append(out, empty ? (object ? "{}" : "[]") : raw.data, empty ? 2 : raw.size);
		return node->next;
	}
	buf_append_byte(out, object ? '{' : '[');
	uint32_t at = index + 1;
	for (uint32_t i = 0; i < node->count; i++) {
		buf_append_text(out, i ? "," : "");
		new_line(out, depth + 1);
		at = object ? print_member(printing, at, depth + 1) : print(printing, at, depth + 1);
	}
	new_line(out, depth);
	buf_append_byte(out, object ? '}' : ']');
	return node->next;
}

void jsontree_print(const struct jsontree *tree, uint32_t index, unsigned indent,
        bool (*hide)(const char *name, size_t size), const char *instead, struct buf *out)
{
	struct printing printing = {tree, hide, instead, out};
	print(&printing, index, indent);
}
