/* Schemas for tests: from texts that stand in the test, or from the repository in tests/system/schemas. */
#ifndef MILLRACE_SCHEMA_FIXTURE_H
#define MILLRACE_SCHEMA_FIXTURE_H

#include "schema.h"
#include "unit.h"

struct texts {
	const char *uri, *text;
};

static inline bool fixture_read_file(const char *path, struct buf *text)
{
	char bytes[65536];
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	for (size_t size; (size = fread(bytes, 1, sizeof bytes, file)) > 0;)
		buf_append(text, bytes, size);
	fclose(file);
	return true;
}

/* `context`: texts up to one without a uri, or NULL. What they do not have is looked for as a file. */
static inline bool fixture_load(void *context, const char *uri, struct buf *text, struct err *err)
{
	static const char *const endings[] = {"", ".yaml", ".json"};
	for (const struct texts *texts = context; texts && texts->uri; texts++)
		if (strcmp(texts->uri, uri) == 0)
			return buf_append_text(text, texts->text);
	for (size_t i = 0; i < 3; i++) {
		char path[300];
		snprintf(path, sizeof path, "tests/system/schemas/jsonschema%s%s", uri, endings[i]);
		if (fixture_read_file(path, text))
			return true;
	}
	return err_set(err, "no repository has it");
}

static inline struct schema *fixture_schema_of(const struct texts *texts, const char *uri, struct err *err)
{
	struct schema_source source = {(void *)(uintptr_t)texts, fixture_load};
	return schema_compile(uri, &source, NULL, err);
}

/* The schema of the repository, which must be good. */
static inline struct schema *fixture_repository_schema(const char *uri)
{
	struct err err;
	struct schema *schema = fixture_schema_of(NULL, uri, &err);
	if (schema == NULL)
		fail_msg("%s", err.text);
	return schema;
}

/* The schema that stands in the text, which must be good. */
static inline struct schema *fixture_schema(const char *text)
{
	const struct texts texts[] = {{"/test", text}, {NULL, NULL}};
	struct err err;
	struct schema *schema = fixture_schema_of(texts, "/test", &err);
	if (schema == NULL)
		fail_msg("%s", err.text);
	return schema;
}

/* All errors of the event, a line each; "" when there are none. The caller frees. */
static inline char *fixture_errors(const struct schema *schema, const char *json, unsigned options)
{
	struct schema_checker *checker = schema_checker_new(NULL);
	struct schema_errors errors;
	struct buf text;
	schema_errors_init(&errors, 0);
	buf_init(&text, 0);
	buf_append_text(&text, "");
	bool good = schema_check(checker, schema, json, strlen(json), options, &errors);
	assert_int_equal(good, schema_check(checker, schema, json, strlen(json), options, NULL));
	assert_true(good || errors.count);
	for (size_t i = 0; !good && i < errors.count; i++) {
		schema_error_print(&errors.list[i], &text);
		buf_append_text(&text, i + 1 < errors.count ? "\n" : "");
	}
	schema_errors_free(&errors);
	schema_checker_free(checker);
	return buf_steal(&text, NULL);
}

#endif
