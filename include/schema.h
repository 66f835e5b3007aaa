/* JSON Schema: compiled once, then asked of every event whether it is what its schema says.
 *
 * Draft-07, and drafts 04 and 06 with their own spellings (`id`, a boolean exclusiveMinimum, 1.0 not an
 * integer in draft-04); a document's `$schema` names its draft. Every keyword of theirs that asserts
 * something is there; `format` asserts date-time, date, time, email, hostname, ipv4, ipv6, uri,
 * uri-reference, regex, json-pointer and relative-json-pointer, other formats are notes. Numbers are compared
 * digit by digit, never as doubles. Patterns are ECMA-262's with the flag u.
 *
 * Why our own: there is no such library in C, nor in Lua, in Debian 12 or 13. valijson (libvalijson-dev) is
 * C++ templates that want a document of another parser, and compares numbers as doubles; pboettch's validator
 * is C++ and not packaged; jsonschema-c stopped at draft-04. All of them build a DOM first, which costs more
 * than the whole check here. The official test suite and a second validator hold what is written here
 * (tests/unit/test_schema_suite.c, tests/system/test_schemas.py). Patterns are PCRE2's.
 *
 * A compiled schema is never written to again: it may be compiled in one thread and used in others, each with
 * a checker of its own. */
#ifndef MILLRACE_SCHEMA_H
#define MILLRACE_SCHEMA_H

#include "buf.h"
#include "err.h"
#include "json_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schema;         /* a compiled schema with all it refers to */
struct schema_checker; /* the memory that checks need, used again and again */

/* Where the text of a schema comes from, YAML or JSON. `uri` has no fragment; the text is appended. On false
 * err says why. Called in schema_compile only, once for each document. */
struct schema_source {
	void *context;
	bool (*load)(void *context, const char *uri, struct buf *text, struct err *err);
};

enum schema_draft { SCHEMA_DRAFT_ANY, SCHEMA_DRAFT_4 = 4, SCHEMA_DRAFT_6 = 6, SCHEMA_DRAFT_7 = 7 };

struct schema_settings {
	enum schema_draft draft; /* of documents that name none; 0 = 7 */
	bool formats_are_notes;  /* `format` asserts nothing */
};

/* Compiles the schema at `uri` (which may have a fragment) and all that it refers to; the caller frees with
 * schema_free. NULL: err names the document, the place in it and what is wrong. References to what the source
 * does not have, what no draft allows, references that lead back to themselves without going deeper into the
 * event, and patterns that PCRE2 refuses are errors. An identifier that stands in one document more than once
 * is not (Wikimedia's schemas repeat their fragments), as long as nothing refers to it. `settings` may be
 * NULL. */
struct schema *schema_compile(const char *uri, const struct schema_source *source,
        const struct schema_settings *settings, struct err *err);
void schema_free(struct schema *schema);         /* NULL is fine */
const char *schema_uri(const struct schema *);   /* as it was asked for */
const char *schema_title(const struct schema *); /* its `title`, or "" */

enum {
	/* additionalProperties: false is not enforced (for events of a version that no repository has) */
	SCHEMA_ALLOW_ADDITIONAL = 1,
	/* errors show no values of the event, only of what kind they are (the names of its properties they
	   do) */
	SCHEMA_HIDE_VALUES = 2,
};

/* One thing that is wrong. The texts live in the schema_errors until they are cleared. */
struct schema_error {
	const char *pointer;  /* where in the event: RFC 6901, "" is the whole */
	const char *keyword;  /* that was not kept, "json" when the text is none */
	const char *expected; /* "an integer", "at least 1 character", "no property \"x\"" */
	const char *found;    /* "\"abc\"", "an object with 3 members", shortened */
	const char *schema;   /* where the keyword stands: URI # pointer of its schema */
};

enum { SCHEMA_MAX_ERRORS = 16 };

struct schema_errors {
	size_t limit; /* of those kept, at most and by default SCHEMA_MAX_ERRORS; the check ends when they
	                 are full */
	size_t count;
	struct schema_error list[SCHEMA_MAX_ERRORS];
	struct buf text; /* their texts lie here */
};

void schema_errors_init(struct schema_errors *errors, size_t limit); /* 0 = SCHEMA_MAX_ERRORS */
void schema_errors_free(struct schema_errors *errors);
/* Appends one sentence for people: `/page/page_id: expected an integer, found "abc" (type, <schema>)`. */
void schema_error_print(const struct schema_error *error, struct buf *out);

/* One per thread. `limits` are those of the events' texts; NULL: 128 levels. */
struct schema_checker *schema_checker_new(const struct json_limits *limits);
void schema_checker_free(struct schema_checker *checker);

/* Is the JSON text what the schema says? `options` are SCHEMA_... above. On false, errors (may be NULL, which
 * is quicker) hold at least one. Work is bounded: a check that takes far more steps than the event has
 * values, or a pattern that goes back and forth for too long, is an error ("limit") as well, and never hangs.
 */
bool schema_check(struct schema_checker *checker, const struct schema *schema, const char *json, size_t size,
        unsigned options, struct schema_errors *errors);

/* Appends the text without the properties that the schema forbids by additionalProperties: false; all else
 * stays byte for byte. *stripped is how many were left out (one that holds others counts once). Nothing is
 * said about whether the rest is valid. What anyOf forbids is left out where its first branch forbids it that
 * matches apart from that, likewise oneOf. False: not a JSON text (errors, may be NULL, say why), or `out` is
 * full. */
bool schema_strip(struct schema_checker *checker, const struct schema *schema, const char *json, size_t size,
        struct buf *out, size_t *stripped, struct schema_errors *errors);
enum { SCHEMA_MAX_UNKNOWN = 100 };

/* Appends the JSON pointers of those properties, each closed by a NUL byte, of the first SCHEMA_MAX_UNKNOWN;
 * *count is of all. Otherwise as schema_strip. */
bool schema_unknown(struct schema_checker *checker, const struct schema *schema, const char *json,
        size_t size, struct buf *pointers, size_t *count, struct schema_errors *errors);

#endif
