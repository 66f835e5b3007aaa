/* How a check says what is wrong. */
#include "schema_report.h"
#include "schema_uri.h"

#include <stdarg.h>
#include <string.h>

enum {
	SHOWN_BYTES = 60,      /* of a value */
	TEXT_BYTES = 64 * 1024 /* of all errors of one check */
};

static const char NOTHING[] = "";

void schema_report_begin(struct schema_errors *errors)
{
	if (errors->limit == 0 || errors->limit > SCHEMA_MAX_ERRORS)
		errors->limit = SCHEMA_MAX_ERRORS;
	errors->count = 0;
	errors->text.limit = TEXT_BYTES;
	buf_clear(&errors->text);
}

bool schema_report_full(const struct schema_run *run)
{
	return run->errors == NULL || run->errors->count >= run->errors->limit;
}

/* While errors are collected their texts may move: a text's place stands where its address will. */
static const char *place_in(const struct schema_errors *errors)
{
	return (const char *)(uintptr_t)(errors->text.size + 1);
}

static const char *address(const struct schema_errors *errors, const char *place)
{
	size_t offset = (size_t)(uintptr_t)place - 1;
	return errors->text.data && offset < errors->text.size ? errors->text.data + offset : NOTHING;
}

void schema_report_end(struct schema_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		struct schema_error *error = &errors->list[i];
		error->pointer = address(errors, error->pointer);
		error->expected = address(errors, error->expected);
		error->found = address(errors, error->found);
		error->schema = address(errors, error->schema);
	}
}

static void end_text(struct schema_errors *errors)
{
	buf_append(&errors->text, "", 1);
}

static void put_shortened(struct buf *out, const char *text, size_t size)
{
	size_t shown = size < SHOWN_BYTES ? size : SHOWN_BYTES;
	while (shown < size && shown && ((unsigned char)text[shown] & 0xC0) == 0x80)
		shown--; /* cut between characters */
	for (size_t i = 0; i < shown; i++)
		buf_append_byte(out, (unsigned char)text[i] < ' ' ? ' ' : text[i]);
	if (shown < size)
		buf_append_text(out, "...");
}

static void put_count(struct buf *out, const char *what, size_t count, const char *one, const char *many)
{
	buf_printf(out, "%s%zu %s", what, count, count == 1 ? one : many);
}

static void put_hidden(struct buf *out, const struct jsontree *tree, uint32_t index)
{
	switch (tree->nodes[index].kind) {
	case JSONTREE_STRING:
		put_count(
		        out, "a string of ", jsontree_string_length(tree, index), "character", "characters");
		break;
	case JSONTREE_NUMBER:
		buf_append_text(out, jsontree_is_whole(tree, index) ? "a whole number" : "a number");
		break;
	case JSONTREE_NULL: buf_append_text(out, "null"); break;
	default: buf_append_text(out, "a boolean"); break;
	}
}

static void put_value(struct buf *out, const struct jsontree *tree, uint32_t index, bool hidden)
{
	const struct jsontree_node *node = &tree->nodes[index];
	if (node->kind == JSONTREE_ARRAY) {
		put_count(out, "an array of ", node->count, "element", "elements");
	} else if (node->kind == JSONTREE_OBJECT) {
		put_count(out, "an object of ", node->count, "property", "properties");
	} else if (hidden) {
		put_hidden(out, tree, index);
	} else {
		struct bytes raw = jsontree_raw(tree, index);
		put_shortened(out, raw.data, raw.size);
		if (node->kind == JSONTREE_STRING && raw.size > SHOWN_BYTES)
			put_count(
			        out, " (", jsontree_string_length(tree, index), "character)", "characters)");
	}
}

static void put_path(struct buf *out, const struct schema_run *run, const struct schema_path *path)
{
	if (path == NULL || path->up == NULL)
		return;
	put_path(out, run, path->up);
	if (path->key == 0) {
		buf_printf(out, "/%u", path->element);
		return;
	}
	struct buf room;
	buf_init(&room, 0);
	struct bytes name = jsontree_string(run->tree, path->key, &room);
	schema_pointer_append(out, name.data, name.size);
	buf_free(&room);
}

bool schema_report(struct schema_run *run, const struct schema_node *node, const struct schema_path *path,
        uint32_t index, const char *keyword, const char *found, const char *expected, ...)
{
	struct schema_errors *errors = run->errors;
	if (schema_report_full(run))
		return false;
	struct schema_error *error = &errors->list[errors->count++];
	error->keyword = keyword;
	error->schema = place_in(errors);
	schema_document_place(node->document, node->index, &errors->text);
	end_text(errors);
	error->pointer = place_in(errors);
	put_path(&errors->text, run, path);
	end_text(errors);
	error->expected = place_in(errors);
	va_list args;
	va_start(args, expected);
	buf_vprintf(&errors->text, expected, args);
	va_end(args);
	end_text(errors);
	error->found = place_in(errors);
	if (found)
		buf_append_text(&errors->text, found);
	else
		put_value(&errors->text, run->tree, index, run->options & SCHEMA_HIDE_VALUES);
	end_text(errors);
	return false;
}

bool schema_count_good(struct schema_run *run, const struct schema_node *node, const struct schema_path *path,
        uint32_t index, const struct schema_count *words, size_t count, size_t min, size_t max)
{
	bool good = true;
	if (count < min)
		good = schema_report(run, node, path, index, words->least, NULL, "at least %zu %s", min,
		        min == 1 ? words->one : words->many);
	if (count > max)
		good = schema_report(run, node, path, index, words->most, NULL, "at most %zu %s", max,
		        max == 1 ? words->one : words->many);
	return good;
}

void schema_report_unreadable(struct schema_errors *errors, const struct json_error *why)
{
	if (errors == NULL)
		return;
	schema_report_begin(errors);
	struct schema_error *error = &errors->list[errors->count++];
	*error = (struct schema_error){
	        .keyword = "json",
	};
	error->pointer = error->schema = place_in(errors);
	end_text(errors);
	error->expected = place_in(errors);
	buf_append_text(&errors->text, "JSON text");
	end_text(errors);
	error->found = place_in(errors);
	buf_printf(&errors->text, "%s at offset %zu", why->message, why->offset);
	end_text(errors);
	schema_report_end(errors);
}

void schema_report_value(const struct schema_value *value, struct buf *out)
{
	struct bytes raw = jsontree_raw(&value->document->tree, value->index);
	put_shortened(out, raw.data, raw.size);
}
