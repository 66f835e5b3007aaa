/* The properties that a schema does not know: found, named, left out of the text.
 *
 * Branches are chosen with additional properties allowed, else an unknown property would make every branch
 * that forbids it look wrong. */
#include "mem.h"
#include "schema_private.h"
#include "schema_uri.h"

#include <string.h>

static void mark(struct schema_run *run, const struct schema_node *node, uint32_t index);

static void mark_member(struct schema_run *run, const struct schema_object *object, uint32_t key)
{
	const struct schema_name *name = schema_name_of(run, &object->names, key);
	bool known = name && name->declared;
	if (name && name->node)
		mark(run, name->node, key + 1);
	for (size_t i = 0; i < object->pattern_count; i++)
		if (schema_name_matches(run, &object->patterns[i], key)) {
			known = true;
			mark(run, object->patterns[i].node, key + 1);
		}
	if (known)
		return;
	if (object->closed)
		run->checker->marks[key] = true;
	else if (object->additional)
		mark(run, object->additional, key + 1);
}

static void mark_object(struct schema_run *run, const struct schema_object *object, uint32_t index)
{
	const struct jsontree_node *nodes = run->tree->nodes;
	uint32_t key = index + 1;
	for (uint32_t i = 0; i < nodes[index].count; i++, key = nodes[key + 1].next)
		mark_member(run, object, key);
	for (size_t i = 0; i < object->dependency_count; i++) {
		const struct schema_dependency *dependency = &object->dependencies[i];
		if (dependency->node && jsontree_member(run->tree, index, dependency->name, dependency->size))
			mark(run, dependency->node, index);
	}
}

static void mark_array(struct schema_run *run, const struct schema_array *array, uint32_t index)
{
	const struct jsontree_node *nodes = run->tree->nodes;
	uint32_t at = index + 1;
	for (uint32_t i = 0; i < nodes[index].count; i++, at = nodes[at].next) {
		const struct schema_node *node = i < array->tuple_count ? array->tuple[i] : array->additional;
		if (array->items)
			node = array->items;
		if (node)
			mark(run, node, at);
	}
}

/* The branch that matches: the first one, or the only one. */
static void mark_branch(
        struct schema_run *run, const struct schema_branches *branches, bool only, uint32_t index)
{
	const struct schema_node *found = NULL;
	for (size_t i = 0; i < branches->count; i++)
		if ((only || !found) && schema_matches(run, branches->nodes[i], index)) {
			if (found)
				return;
			found = branches->nodes[i];
		}
	if (found)
		mark(run, found, index);
}

static void mark_logic(struct schema_run *run, const struct schema_logic *logic, uint32_t index)
{
	for (size_t i = 0; i < logic->all_of.count; i++)
		mark(run, logic->all_of.nodes[i], index);
	mark_branch(run, &logic->any_of, false, index);
	mark_branch(run, &logic->one_of, true, index);
	if (logic->condition) {
		bool holds = schema_matches(run, logic->condition, index);
		const struct schema_node *next = holds ? logic->then : logic->otherwise;
		if (next)
			mark(run, next, index);
	}
}

static void mark(struct schema_run *run, const struct schema_node *node, uint32_t index)
{
	while (node->reference)
		node = node->reference;
	if (node->plain || run->steps == 0)
		return;
	run->steps--;
	enum jsontree_kind kind = run->tree->nodes[index].kind;
	if (kind == JSONTREE_OBJECT && node->object)
		mark_object(run, node->object, index);
	if (kind == JSONTREE_ARRAY && node->array)
		mark_array(run, node->array, index);
	if (node->logic)
		mark_logic(run, node->logic, index);
}

/* Reads the text and marks the keys of all properties that are not known. */
static bool find_unknown(struct schema_checker *checker, const struct schema *schema, const char *json,
        size_t size, struct schema_errors *errors)
{
	struct schema_run run;
	if (!schema_read(checker, json, size, errors))
		return false;
	if (checker->tree.count > checker->mark_capacity) {
		mem_free(checker->marks);
		checker->mark_capacity = checker->tree.capacity;
		checker->marks = mem_alloc(checker->mark_capacity * sizeof *checker->marks);
	}
	memset(checker->marks, 0, checker->tree.count * sizeof *checker->marks);
	schema_run_init(&run, checker, SCHEMA_ALLOW_ADDITIONAL);
	mark(&run, schema->root, 0);
	return true;
}

/* ---- the text without them ---- */

struct cutter {
	const struct jsontree *tree;
	const bool *marks;
	struct buf *out;
	size_t at; /* up to here the text has been copied, or left out */
	size_t cut;
};

static void cut(struct cutter *c, size_t from, size_t to)
{
	buf_append(c->out, c->tree->text + c->at, from - c->at);
	c->at = to;
	c->cut++;
}

static size_t end_of(const struct jsontree *tree, uint32_t index)
{
	struct bytes raw = jsontree_raw(tree, index);
	return (size_t)(raw.data - tree->text) + raw.size;
}

static size_t start_of(const struct jsontree *tree, uint32_t key)
{
	return tree->nodes[key].start - 1; /* at its quote */
}

/* With a member goes the comma before it, or behind it where nothing before it stays. */
static void copy_value(struct cutter *c, uint32_t index)
{
	const struct jsontree_node *nodes = c->tree->nodes, *node = &nodes[index];
	bool object = node->kind == JSONTREE_OBJECT, kept = false;
	size_t end_before = 0;
	if (!object && node->kind != JSONTREE_ARRAY)
		return;
	uint32_t at = index + 1;
	for (uint32_t i = 0; i < node->count; i++, at = nodes[at + object].next) {
		size_t end = end_of(c->tree, at + object);
		if (!object || !c->marks[at]) {
			copy_value(c, at + object);
			kept = true;
		} else if (kept) {
			cut(c, end_before, end);
		} else {
			bool last = i + 1 == node->count;
			cut(c, start_of(c->tree, at), last ? end : start_of(c->tree, nodes[at + 1].next));
		}
		end_before = end;
	}
}

bool schema_strip(struct schema_checker *checker, const struct schema *schema, const char *json, size_t size,
        struct buf *out, size_t *stripped, struct schema_errors *errors)
{
	*stripped = 0;
	if (!find_unknown(checker, schema, json, size, errors))
		return false;
	struct cutter c = {.tree = &checker->tree, .marks = checker->marks, .out = out};
	copy_value(&c, 0);
	buf_append(out, json + c.at, size - c.at);
	*stripped = c.cut;
	return !out->full;
}

bool schema_unknown(struct schema_checker *checker, const struct schema *schema, const char *json,
        size_t size, struct buf *pointers, size_t *count, struct schema_errors *errors)
{
	*count = 0;
	if (!find_unknown(checker, schema, json, size, errors))
		return false;
	const struct jsontree *tree = &checker->tree;
	for (uint32_t at = 0; at < tree->count; at++) {
		if (!checker->marks[at])
			continue;
		if (++*count <= SCHEMA_MAX_UNKNOWN) {
			schema_pointer_of(tree, at, pointers);
			buf_append(pointers, "", 1);
		}
		at = tree->nodes[at + 1].next - 1; /* what it holds goes with it */
	}
	return !pointers->full;
}
