/* The schema validator as a filter, for tests that hold it against another one.
 *
 * In, a line each: {"schema": ..., "instance": ...}. Out, a line each: a list of what is wrong as
 * [pointer, keyword, place of the schema], or a text that says why the schema does not compile. Formats are
 * notes. */
#include "jsontree.h"
#include "schema.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool load(void *context, const char *uri, struct buf *text, struct err *err)
{
	const struct bytes *schema = context;
	if (strcmp(uri, "/schema") != 0)
		return err_set(err, "there is one schema only");
	return buf_append(text, schema->data, schema->size);
}

static void put_text(struct buf *out, const char *text)
{
	text_json_string(out, text, strlen(text));
}

static void put_errors(struct buf *out, const struct schema_errors *errors)
{
	buf_append_byte(out, '[');
	for (size_t i = 0; i < errors->count; i++) {
		buf_append_text(out, i ? ",[" : "[");
		put_text(out, errors->list[i].pointer);
		buf_append_byte(out, ',');
		put_text(out, errors->list[i].keyword);
		buf_append_byte(out, ',');
		put_text(out, errors->list[i].schema);
		buf_append_byte(out, ']');
	}
	buf_append_byte(out, ']');
}

static void answer(struct schema_checker *checker, const struct jsontree *tree, struct buf *out)
{
	struct bytes text = jsontree_raw(tree, jsontree_member(tree, 0, "schema", 6));
	struct bytes instance = jsontree_raw(tree, jsontree_member(tree, 0, "instance", 8));
	struct schema_source source = {&text, load};
	struct schema_settings settings = {.formats_are_notes = true};
	struct err err;
	struct schema *schema = schema_compile("/schema", &source, &settings, &err);
	struct schema_errors errors;
	schema_errors_init(&errors, 0);
	if (schema == NULL)
		put_text(out, err.text);
	else if (schema_check(checker, schema, instance.data, instance.size, 0, &errors))
		buf_append_text(out, "[]");
	else
		put_errors(out, &errors);
	schema_errors_free(&errors);
	schema_free(schema);
}

int main(void)
{
	struct schema_checker *checker = schema_checker_new(NULL);
	struct jsontree tree;
	struct json_error error;
	struct buf out = {0};
	char *line = NULL;
	size_t room = 0;
	ssize_t size;
	jsontree_init(&tree);
	while ((size = getline(&line, &room, stdin)) > 0) {
		buf_clear(&out);
		if (!jsontree_parse(&tree, line, (size_t)size, NULL, &error)) {
			fprintf(stderr, "%s at %zu: %s\n", error.message, error.offset, line);
			return 1;
		}
		answer(checker, &tree, &out);
		printf("%s\n", out.data);
	}
	free(line);
	buf_free(&out);
	jsontree_free(&tree);
	schema_checker_free(checker);
	return 0;
}
