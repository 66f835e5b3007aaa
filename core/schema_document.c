/* A schema's document: YAML or JSON text as a flat tree. */
#include "mem.h"
#include "schema_private.h"
#include "schema_uri.h"
#include "yaml_tree.h"

#include <string.h>

enum { JSON_BYTES = 1024 * 1024 }; /* largest document, as of YAML */

/* The first thing that is wrong with a YAML text. */
struct complaint {
	struct err *err;
	bool told;
};

static void on_problem(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	struct complaint *complaint = context;
	if (!complaint->told)
		err_set(complaint->err, "line %u, column %u: %s%s%s%s", place->line, place->column, text,
		        hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
	complaint->told = true;
}

static bool yaml_to_json(const char *text, size_t size, struct buf *out, struct err *err)
{
	struct complaint complaint = {.err = err};
	struct yaml_listener listener = {&complaint, on_problem};
	struct yaml_node *root = yaml_tree_parse(text, size, &listener);
	if (root && !complaint.told)
		yaml_tree_json(root, out, &listener);
	if (out->full)
		err_set(err, "the document is larger than 1 MiB");
	yaml_tree_free(root);
	return !complaint.told && !out->full;
}

/* Does it look like JSON? A YAML map in braces has no quotes around its first key, most often. */
static bool looks_like_json(const char *text, size_t size)
{
	char first[2] = {0};
	for (size_t i = 0, found = 0; i < size && found < 2; i++)
		if (text[i] == '\0' || !strchr(" \t\r\n", text[i]))
			first[found++] = text[i];
	return first[0] == '[' || (first[0] == '{' && (first[1] == '"' || first[1] == '}'));
}

bool schema_document_read(struct schema_document *document, const char *text, size_t size, struct err *err)
{
	struct json_error error;
	buf_init(&document->text, JSON_BYTES);
	jsontree_init(&document->tree);
	if (!buf_append(&document->text, text, size))
		return err_set(err, "the document is larger than 1 MiB");
	if (jsontree_parse(&document->tree, document->text.data, document->text.size, NULL, &error))
		return true;
	if (looks_like_json(text, size))
		return err_set(err, "%s at offset %zu", error.message, error.offset);
	buf_clear(&document->text);
	if (!yaml_to_json(text, size, &document->text, err))
		return false;
	return jsontree_parse(&document->tree, document->text.data, document->text.size, NULL, &error) ||
	       err_set(err, "%s", error.message);
}

void schema_document_place(const struct schema_document *document, uint32_t index, struct buf *place)
{
	buf_printf(place, "%s#", document->uri);
	schema_pointer_of(&document->tree, index, place);
}

void schema_document_free(struct schema_document *document)
{
	mem_free(document->uri);
	buf_free(&document->text);
	jsontree_free(&document->tree);
	mem_free(document->compiled);
	mem_free(document->bases);
	mem_free(document->roots);
	mem_free(document);
}
