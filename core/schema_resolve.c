/* What references between schemas mean: documents, their identifiers ($id), JSON pointers into them. */
#include "mem.h"
#include "schema_compiler.h"
#include "schema_uri.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DOCUMENTS = 1000 };

/* ---- identifiers ---- */

static struct schema_identifier *find_identifier(const struct schema_compiler *c, const char *uri)
{
	uint64_t hash = jsontree_hash(uri, strlen(uri));
	for (size_t i = 0; i < c->identifier_count; i++)
		if (c->identifiers[i].hash == hash && strcmp(c->identifiers[i].uri, uri) == 0)
			return &c->identifiers[i];
	return NULL;
}

/* Takes `uri`. */
static void add_identifier(struct schema_compiler *c, char *uri, struct schema_spot spot)
{
	struct schema_identifier *known = find_identifier(c, uri);
	if (known) {
		if (known->spot.document != spot.document || known->spot.index != spot.index)
			known->ambiguous = true;
		mem_free(uri);
		return;
	}
	if ((c->identifier_count & (c->identifier_count - 1)) == 0)
		c->identifiers = mem_realloc(c->identifiers,
		        (c->identifier_count ? 2 * c->identifier_count : 1) * sizeof *c->identifiers);
	c->identifiers[c->identifier_count++] =
	        (struct schema_identifier){.uri = uri, .hash = jsontree_hash(uri, strlen(uri)), .spot = spot};
}

/* The text of that member where it is a string; the caller frees. */
static char *member_text(struct schema_spot spot, const char *name)
{
	const struct jsontree *tree = &spot.document->tree;
	uint32_t value = jsontree_member(tree, spot.index, name, strlen(name));
	if (value == 0 || tree->nodes[value].kind != JSONTREE_STRING)
		return NULL;
	struct buf room;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(tree, value, &room);
	char *copy = mem_dup(text.data, text.size);
	buf_free(&room);
	return copy;
}

static bool has_reference(struct schema_spot spot)
{
	char *reference = member_text(spot, "$ref");
	mem_free(reference);
	return reference != NULL;
}

/* What the schema's own $id makes of the base: the document's memory has the answer. */
static const char *own_base(
        struct schema_compiler *c, struct schema_spot spot, const char *base, uint32_t *root)
{
	char *id = has_reference(spot)
	                   ? NULL /* all beside a $ref is ignored */
	                   : member_text(spot, spot.document->draft == SCHEMA_DRAFT_4 ? "id" : "$id");
	if (id == NULL)
		return base;
	char *uri = schema_uri_resolve(base, id), *fragment = schema_uri_cut_fragment(uri);
	if (fragment && *fragment)
		add_identifier(c, mem_printf("%s#%s", uri, fragment), spot);
	if (id[0] != '#' && id[0] != '\0') {
		base = schema_copy(c->schema, uri, strlen(uri));
		*root = spot.index;
		add_identifier(c, mem_strdup(uri), spot);
	}
	mem_free(uri);
	mem_free(id);
	return base;
}

/* ---- where schemas stand within schemas ---- */

static void index_schema(struct schema_compiler *c, struct schema_spot spot, const char *base, uint32_t root);

static void index_members(struct schema_compiler *c, struct schema_spot spot, const char *base, uint32_t root)
{
	const struct jsontree_node *nodes = spot.document->tree.nodes;
	bool object = nodes[spot.index].kind == JSONTREE_OBJECT;
	if (!object && nodes[spot.index].kind != JSONTREE_ARRAY)
		return;
	uint32_t at = spot.index + 1;
	for (uint32_t i = 0; i < nodes[spot.index].count; i++, at = nodes[at + object].next)
		index_schema(c, (struct schema_spot){spot.document, at + object}, base, root);
}

static bool one_of(const struct jsontree *tree, uint32_t key, const char *const *names)
{
	for (; *names; names++)
		if (jsontree_string_is(tree, key, *names, strlen(*names)))
			return true;
	return false;
}

static void index_schema(struct schema_compiler *c, struct schema_spot spot, const char *base, uint32_t root)
{
	static const char *const schemas[] = {"additionalItems", "additionalProperties", "contains", "else",
	        "if", "items", "not", "propertyNames", "then", NULL};
	static const char *const lists[] = {"allOf", "anyOf", "items", "oneOf", NULL};
	static const char *const maps[] = {
	        "$defs", "definitions", "dependencies", "patternProperties", "properties", NULL};
	const struct jsontree *tree = &spot.document->tree;
	const struct jsontree_node *node = &tree->nodes[spot.index];
	if (node->kind == JSONTREE_OBJECT)
		base = own_base(c, spot, base, &root);
	spot.document->bases[spot.index] = base;
	spot.document->roots[spot.index] = root;
	if (node->kind != JSONTREE_OBJECT)
		return;
	uint32_t key = spot.index + 1;
	for (uint32_t i = 0; i < node->count; i++, key = tree->nodes[key + 1].next) {
		struct schema_spot value = {spot.document, key + 1};
		enum jsontree_kind kind = tree->nodes[key + 1].kind;
		if (kind == JSONTREE_ARRAY ? one_of(tree, key, lists) : one_of(tree, key, maps))
			index_members(c, value, base, root);
		else if (kind != JSONTREE_ARRAY && one_of(tree, key, schemas))
			index_schema(c, value, base, root);
	}
}

/* ---- documents ---- */

static bool find_draft(struct schema_compiler *c, struct schema_document *document)
{
	static const struct {
		const char *word;
		enum schema_draft draft;
	} drafts[] = {{"/draft-04/", SCHEMA_DRAFT_4}, {"/draft-05/", SCHEMA_DRAFT_4},
	        {"/draft-06/", SCHEMA_DRAFT_6}, {"/draft-07/", SCHEMA_DRAFT_7}};
	struct schema_spot root = {document, 0};
	document->draft = c->settings.draft ? c->settings.draft : SCHEMA_DRAFT_7;
	char *named = document->tree.nodes[0].kind == JSONTREE_OBJECT ? member_text(root, "$schema") : NULL;
	bool known = true;
	if (named) {
		known = !strstr(named, "/draft-0") && !strstr(named, "/draft/20");
		for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++)
			if (strstr(named, drafts[i].word)) {
				document->draft = drafts[i].draft;
				known = true;
			}
		if (!known)
			schema_complain(c, root,
			        "its $schema is \"%.100s\"; drafts 04, 06 and 07 of JSON Schema are known",
			        named);
	}
	mem_free(named);
	return known;
}

static bool open_document(struct schema_compiler *c, struct schema_document *document, const struct buf *text)
{
	struct err why;
	if (!schema_document_read(document, text->data ? text->data : "", text->size, &why))
		return err_set(c->err, "%s: %s", document->uri, why.text);
	size_t count = document->tree.count;
	document->compiled = mem_zalloc(count, sizeof *document->compiled);
	document->bases = mem_zalloc(count, sizeof *document->bases);
	document->roots = mem_zalloc(count, sizeof *document->roots);
	if (!find_draft(c, document))
		return false;
	struct schema_spot root = {document, 0};
	add_identifier(c, mem_strdup(document->uri), root);
	index_schema(c, root, document->uri, 0);
	return true;
}

static struct schema_document *load(struct schema_compiler *c, const char *uri, struct err *why)
{
	struct schema *schema = c->schema;
	struct buf text;
	if (schema->document_count == MAX_DOCUMENTS) {
		err_set(why, "the schema refers to more than %d documents", MAX_DOCUMENTS);
		return NULL;
	}
	buf_init(&text, 0);
	struct schema_document *document = NULL;
	if (c->source->load(c->source->context, uri, &text, why)) {
		document = mem_zalloc(1, sizeof *document);
		document->uri = mem_strdup(uri);
		schema->documents = mem_realloc(
		        schema->documents, (schema->document_count + 1) * sizeof(struct schema_document *));
		schema->documents[schema->document_count++] = document;
	}
	if (document && !open_document(c, document, &text)) {
		why->text[0] = '\0'; /* c->err has the reason already */
		document = NULL;
	}
	buf_free(&text);
	return document;
}

static bool refuse(
        struct schema_compiler *c, const struct schema_spot *from, const char *uri, const char *why)
{
	if (from)
		return schema_complain(c, *from, "$ref: there is no schema %s: %s", uri, why);
	return err_set(c->err, "%s: %s", uri, why);
}

/* The document or identified schema of that URI without a fragment. */
static bool find_resource(struct schema_compiler *c, const struct schema_spot *from, const char *uri,
        struct schema_spot *target)
{
	for (size_t i = 0; i < c->schema->document_count; i++)
		if (strcmp(c->schema->documents[i]->uri, uri) == 0) {
			*target = (struct schema_spot){c->schema->documents[i], 0};
			return true;
		}
	const struct schema_identifier *known = find_identifier(c, uri);
	if (known && !known->ambiguous) {
		*target = known->spot;
		return true;
	}
	bool ambiguous = known;
	struct err why = {""};
	struct schema_document *document = load(c, uri, &why);
	if (document == NULL && why.text[0] == '\0')
		return false;
	if (document == NULL)
		return refuse(c, from, uri,
		        ambiguous ? "several schemas have it as $id, and there is no document of that name"
		                  : why.text);
	*target = (struct schema_spot){document, 0};
	return true;
}

/* ---- fragments ---- */

/* The member or element of that name, or 0. */
static uint32_t step(const struct jsontree *tree, uint32_t index, const struct buf *name)
{
	const struct jsontree_node *node = &tree->nodes[index];
	const char *text = name->data ? name->data : "";
	if (node->kind == JSONTREE_OBJECT)
		return jsontree_member(tree, index, text, name->size);
	if (node->kind != JSONTREE_ARRAY || name->size == 0 || name->size > 9 ||
	        strspn(text, "0123456789") != name->size || (text[0] == '0' && name->size > 1))
		return 0;
	unsigned long place = strtoul(text, NULL, 10);
	if (place >= node->count)
		return 0;
	uint32_t at = index + 1;
	while (place--)
		at = tree->nodes[at].next;
	return at;
}

/* Follows a JSON pointer; what it passes tells which base a schema has that stands where none was expected.
 */
static bool follow(struct schema_compiler *c, struct schema_spot *spot, const char *pointer)
{
	struct schema_document *document = spot->document;
	uint32_t known = spot->index;
	struct buf name;
	buf_init(&name, 0);
	bool good = true;
	while (good && *pointer) {
		buf_clear(&name);
		good = schema_pointer_next(&pointer, &name);
		spot->index = good ? step(&document->tree, spot->index, &name) : 0;
		good = spot->index != 0;
		if (good && document->bases[spot->index])
			known = spot->index;
	}
	buf_free(&name);
	if (good && document->bases[spot->index] == NULL)
		index_schema(c, *spot, document->bases[known], document->roots[known]);
	return good;
}

static bool find_fragment(struct schema_compiler *c, const struct schema_spot *from, const char *uri,
        char *fragment, struct schema_spot *target)
{
	char *whole = mem_printf("%s#%s", uri, fragment);
	bool good = true;
	if (*fragment == '/') {
		good = schema_uri_unescape(fragment) && follow(c, target, fragment);
	} else if (*fragment) {
		const struct schema_identifier *known = find_identifier(c, whole);
		good = known && !known->ambiguous;
		if (good)
			*target = known->spot;
	}
	if (!good)
		refuse(c, from, whole, "the document has nothing at that place");
	mem_free(whole);
	return good;
}

bool schema_resolve(struct schema_compiler *c, const struct schema_spot *from, const char *reference,
        struct schema_spot *target)
{
	const char *base = from ? from->document->bases[from->index] : "";
	char *uri = schema_uri_resolve(base, reference), *fragment = schema_uri_cut_fragment(uri);
	bool good = true;
	if (from && strcmp(uri, base) == 0) /* within the same schema, whoever else has its $id */
		*target = (struct schema_spot){from->document, from->document->roots[from->index]};
	else
		good = find_resource(c, from, uri, target);
	if (good && fragment)
		good = find_fragment(c, from, uri, fragment, target);
	mem_free(uri);
	return good;
}
