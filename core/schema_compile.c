/* From a schema's documents to nodes: each schema that can be reached is read once.
 *
 *	schema_compile     the root's node, then all that wait: reading one lets others wait
 *	schema_node_at     the node of a schema, made and queued when it is asked for first
 *	measure            no way through schemas of one and the same value is endless or very long
 */
#include "mem.h"
#include "schema_compiler.h"
#include "schema_uri.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	MAX_NODES = 200000,
	MAX_HEIGHT = 100, /* schemas that may follow one another for the same value */
};

/* ---- complaints ---- */

bool schema_complain(struct schema_compiler *c, struct schema_spot spot, const char *format, ...)
{
	char text[700];
	struct buf place;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	buf_init(&place, 0);
	schema_document_place(spot.document, spot.index, &place);
	err_set(c->err, "%s: %s", place.data, text);
	buf_free(&place);
	return false;
}

const char *schema_describe(struct schema_compiler *c, struct schema_spot spot)
{
	const struct jsontree *tree = &spot.document->tree;
	switch (tree->nodes[spot.index].kind) {
	case JSONTREE_ARRAY: return "a list";
	case JSONTREE_OBJECT: return "an object";
	default: break;
	}
	struct bytes raw = jsontree_raw(tree, spot.index);
	size_t shown = raw.size < 60 ? raw.size : 60;
	while (shown < raw.size && shown && ((unsigned char)raw.data[shown] & 0xC0) == 0x80)
		shown--;
	return schema_copy(c->schema, raw.data, shown);
}

/* ---- nodes ---- */

static void enqueue(struct schema_compiler *c, struct schema_node *node, struct schema_spot spot)
{
	if ((c->queued & (c->queued - 1)) == 0)
		c->queue = mem_realloc(c->queue, (c->queued ? 2 * c->queued : 1) * sizeof *c->queue);
	c->queue[c->queued++] = (struct schema_work){node, spot};
}

const struct schema_node *schema_node_at(struct schema_compiler *c, struct schema_spot spot)
{
	struct schema_node **compiled = &spot.document->compiled[spot.index];
	enum jsontree_kind kind = spot.document->tree.nodes[spot.index].kind;
	if (*compiled)
		return *compiled;
	if (kind != JSONTREE_OBJECT && kind != JSONTREE_TRUE && kind != JSONTREE_FALSE) {
		schema_complain(c, spot, "expected a schema (an object, true or false), found %s",
		        schema_describe(c, spot));
		return NULL;
	}
	if (c->queued == MAX_NODES) {
		schema_complain(c, spot, "more than %d schemas belong together", MAX_NODES);
		return NULL;
	}
	struct schema_node *node = schema_alloc(c->schema, sizeof *node);
	node->types = SCHEMA_ANY_TYPE;
	node->never = kind == JSONTREE_FALSE;
	node->whole_decimal = spot.document->draft != SCHEMA_DRAFT_4;
	node->document = spot.document;
	node->index = spot.index;
	*compiled = node;
	enqueue(c, node, spot);
	return node;
}

static bool read_all(struct schema_compiler *c)
{
	while (c->read < c->queued) {
		struct schema_work work = c->queue[c->read++];
		if (work.spot.document->tree.nodes[work.spot.index].kind == JSONTREE_OBJECT &&
		        !schema_read_keywords(c, work.node, work.spot))
			return false;
		work.node->plain = !work.node->never && !work.node->reference && !work.node->object &&
		                   !work.node->array && !work.node->number && !work.node->string &&
		                   !work.node->logic;
	}
	return true;
}

/* ---- ways through schemas of one value ---- */

static struct schema_spot spot_of(const struct schema_node *node)
{
	return (struct schema_spot){(struct schema_document *)(uintptr_t)node->document, node->index};
}

static bool measure(
        struct schema_compiler *c, const struct schema_node *node, unsigned depth, unsigned *height);

static bool measure_each(
        struct schema_compiler *c, const struct schema_branches *branches, unsigned depth, unsigned *height)
{
	for (size_t i = 0; i < branches->count; i++)
		if (!measure(c, branches->nodes[i], depth, height))
			return false;
	return true;
}

static bool measure_logic(
        struct schema_compiler *c, const struct schema_logic *logic, unsigned depth, unsigned *height)
{
	return measure_each(c, &logic->all_of, depth, height) &&
	       measure_each(c, &logic->any_of, depth, height) &&
	       measure_each(c, &logic->one_of, depth, height) && measure(c, logic->negated, depth, height) &&
	       measure(c, logic->condition, depth, height) && measure(c, logic->then, depth, height) &&
	       measure(c, logic->otherwise, depth, height);
}

static bool measure_dependencies(
        struct schema_compiler *c, const struct schema_object *object, unsigned depth, unsigned *height)
{
	for (size_t i = 0; i < object->dependency_count; i++)
		if (!measure(c, object->dependencies[i].node, depth, height))
			return false;
	return true;
}

/* Raises *height to the node's own. The node is the compiler's still, so it may be marked. */
static bool measure(
        struct schema_compiler *c, const struct schema_node *node, unsigned depth, unsigned *height)
{
	struct schema_node *marked = (struct schema_node *)(uintptr_t)node;
	unsigned below = 0;
	if (node == NULL)
		return true;
	if (marked->seen && !marked->done)
		return schema_complain(c, spot_of(node),
		        "the schema leads back to itself for the same value: a check would not end");
	if (depth >= MAX_HEIGHT || depth + marked->height >= MAX_HEIGHT)
		return schema_complain(c, spot_of(node),
		        "more than %d schemas follow one another for the same value", MAX_HEIGHT);
	if (!marked->seen) {
		marked->seen = true;
		if (!measure(c, node->reference, depth + 1, &below) ||
		        (node->logic && !measure_logic(c, node->logic, depth + 1, &below)) ||
		        (node->object && !measure_dependencies(c, node->object, depth + 1, &below)))
			return false;
		marked->height = below;
		marked->done = true;
	}
	if (marked->height + 1 > *height)
		*height = marked->height + 1;
	return true;
}

static bool measure_all(struct schema_compiler *c)
{
	for (size_t i = 0; i < c->queued; i++) {
		unsigned height = 0;
		if (!measure(c, c->queue[i].node, 0, &height))
			return false;
	}
	return true;
}

/* ---- the whole ---- */

static void note_title(struct schema *schema, struct schema_spot root)
{
	const struct jsontree *tree = &root.document->tree;
	uint32_t title = tree->nodes[root.index].kind == JSONTREE_OBJECT
	                         ? jsontree_member(tree, root.index, "title", 5)
	                         : 0;
	schema->title = "";
	if (title == 0 || tree->nodes[title].kind != JSONTREE_STRING)
		return;
	struct buf room;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(tree, title, &room);
	schema->title = schema_copy(schema, text.data, text.size);
	buf_free(&room);
}

static bool compile(struct schema_compiler *c)
{
	struct schema_spot root;
	if (!schema_resolve(c, NULL, c->schema->uri, &root))
		return false;
	note_title(c->schema, root);
	c->schema->root = schema_node_at(c, root);
	return c->schema->root && read_all(c) && measure_all(c);
}

struct schema *schema_compile(const char *uri, const struct schema_source *source,
        const struct schema_settings *settings, struct err *err)
{
	struct err unread;
	struct schema_compiler c = {
	        .schema = mem_zalloc(1, sizeof *c.schema),
	        .source = source,
	        .err = err ? err : &unread,
	};
	if (settings)
		c.settings = *settings;
	struct schema *schema = c.schema;
	schema->uri = mem_strdup(uri);
	if (!compile(&c)) {
		schema_free(schema);
		schema = NULL;
	}
	for (size_t i = 0; i < c.identifier_count; i++)
		mem_free(c.identifiers[i].uri);
	mem_free(c.identifiers);
	mem_free(c.queue);
	return schema;
}
