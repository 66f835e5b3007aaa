/* What a compiled schema is made of: shared by its compiler, the check and the stripping.
 *
 * One node for each schema in the documents that can be reached. A node is a summary of its keywords by what
 * kind of value they speak of; a part that has none is NULL. All of it lies in the schema's memory, never
 * moves, and is not written to once schema_compile has returned. */
#ifndef MILLRACE_SCHEMA_PRIVATE_H
#define MILLRACE_SCHEMA_PRIVATE_H

#include "jsontree.h"
#include "schema.h"
#include "schema_format.h"
#include "schema_regex.h"

enum schema_type {
	SCHEMA_NULL = 1,
	SCHEMA_BOOLEAN = 2,
	SCHEMA_NUMBER = 4, /* any number, whole ones too */
	SCHEMA_INTEGER = 8,
	SCHEMA_STRING = 16,
	SCHEMA_ARRAY = 32,
	SCHEMA_OBJECT = 64,
	SCHEMA_ANY_TYPE = 127,
};

/* A document that was loaded. */
struct schema_document {
	char *uri; /* where it was found */
	struct buf text;
	struct jsontree tree;
	enum schema_draft draft;
	struct schema_node **compiled; /* by index in the tree; NULL: not asked for yet */
	const char **bases; /* by index: URI that references there stand on; NULL: no schema known */
	uint32_t *roots;    /* by index: the schema to which that URI belongs */
};

/* A property that `properties` or `required` name, or a text of `enum`. */
struct schema_name {
	const char *text; /* NULL: an empty slot */
	size_t size;
	uint64_t hash;
	const struct schema_node *node; /* of `properties`, else NULL */
	bool declared;                  /* in `properties` */
	bool required;
};

/* By name, with open addressing and at least as many empty slots as full ones. */
struct schema_names {
	struct schema_name *slots;
	size_t mask; /* slots - 1 */
	size_t count;
};

struct schema_pattern {
	const struct schema_regex *regex;
	const char *text;
	const struct schema_node *node; /* of patternProperties */
};

struct schema_dependency {
	const char *name;
	size_t size;
	const struct schema_node *node; /* NULL: a list of names */
	const struct schema_name *names;
	size_t count;
};

struct schema_object {
	struct schema_names names;
	const struct schema_name *required;    /* in the schema's order */
	size_t required_count, required_names; /* listed; different ones */
	const struct schema_pattern *patterns;
	size_t pattern_count;
	const struct schema_node *additional; /* NULL: anything goes */
	bool closed;                          /* additionalProperties: false */
	const struct schema_node *property_names;
	const struct schema_dependency *dependencies;
	size_t dependency_count;
	size_t min, max; /* members; max SIZE_MAX = any */
};

struct schema_array {
	const struct schema_node *items;  /* of all elements, or NULL */
	const struct schema_node **tuple; /* of the first ones */
	size_t tuple_count;
	const struct schema_node *additional; /* of those behind the tuple, or NULL */
	const struct schema_node *contains;
	size_t min, max;
	bool unique;
};

/* A bound or a divisor as it is written, in a tree of numbers: compared by value. */
struct schema_limit {
	const char *text; /* NULL: none */
	size_t size;
	bool small;
	int64_t integer; /* when small */
};

struct schema_number {
	struct schema_limit minimum, maximum, above, below; /* the last two are exclusive */
	struct schema_limit multiple_of;
	uint64_t divisor; /* of multiple_of: divisor * 10^power */
	int64_t power;
};

struct schema_string {
	size_t min, max; /* characters */
	struct schema_pattern pattern;
	schema_format *format;
	const char *format_name;
};

/* One value of enum or const, in the document where it stands. */
struct schema_value {
	const struct schema_document *document;
	uint32_t index;
};

struct schema_branches {
	const struct schema_node **nodes;
	size_t count;
};

struct schema_logic {
	const struct schema_value *values; /* of enum; all of them */
	size_t value_count;
	struct schema_names texts; /* of enum: those that are strings, found by hash */
	bool has_enum, has_const;
	struct schema_value constant;
	struct schema_branches all_of, any_of, one_of;
	const struct schema_node *negated, *condition, *then, *otherwise;
};

struct schema_node {
	uint8_t types;      /* allowed ones, of enum schema_type */
	bool never;         /* the schema false */
	bool plain;         /* `types` says all */
	bool whole_decimal; /* 1.0 is an integer */
	bool seen, done;    /* for the compiler's walk */
	unsigned height;    /* the compiler's: longest way through schemas of the same value */
	const struct schema_document *document; /* where the schema stands */
	uint32_t index;
	const struct schema_node *reference;
	const struct schema_object *object;
	const struct schema_array *array;
	const struct schema_number *number;
	const struct schema_string *string;
	const struct schema_logic *logic;
};

struct schema_block; /* a piece of the schema's memory */

struct schema {
	char *uri;
	const char *title;
	const struct schema_node *root;
	struct schema_document **documents;
	size_t document_count;
	struct schema_regex **regexes;
	size_t regex_count;
	struct schema_block *blocks;
};

/* The entry of that name, or NULL. */
static inline const struct schema_name *schema_names_find(
        const struct schema_names *names, uint64_t hash, const char *text, size_t size)
{
	if (names->slots == NULL)
		return NULL;
	for (size_t at = hash & names->mask;; at = (at + 1) & names->mask) {
		const struct schema_name *name = &names->slots[at];
		if (name->text == NULL)
			return NULL;
		if (name->hash == hash && name->size == size && memcmp(name->text, text, size) == 0)
			return name;
	}
}

/* ---- schema_check.c, for schema_strip.c ---- */

/* One look at one text. */
struct schema_run {
	struct schema_checker *checker;
	const struct jsontree *tree;
	unsigned options;
	struct schema_errors *errors; /* NULL: only the verdict counts */
	uint64_t steps;               /* that are left */
	const struct schema_node
	        *culprit; /* where the check gave up, or NULL: then nothing it found counts */
};

struct schema_checker {
	struct jsontree tree;
	struct json_limits limits;
	struct buf room, name; /* strings with escapes: a value, a property's name */
	struct schema_regex_scratch *regex;
	bool *marks; /* schema_strip.c: the keys to leave out, by index */
	size_t mark_capacity;
};

/* The text as checker->tree; false: it is none, and errors (may be NULL) say so. */
bool schema_read(struct schema_checker *checker, const char *json, size_t size, struct schema_errors *errors);
void schema_run_init(struct schema_run *run, struct schema_checker *checker, unsigned options);
/* Does the value match, with nothing said about why not? */
bool schema_matches(struct schema_run *run, const struct schema_node *node, uint32_t index);
/* Does the pattern match that name (of a member, by its key's index)? */
bool schema_name_matches(struct schema_run *run, const struct schema_pattern *pattern, uint32_t key);
/* The member of that name as `properties` and `required` know it, or NULL. */
const struct schema_name *schema_name_of(
        struct schema_run *run, const struct schema_names *names, uint32_t key);

/* ---- schema.c ---- */

void *schema_alloc(struct schema *schema, size_t size); /* zeroed; freed with the schema */
char *schema_copy(struct schema *schema, const char *text, size_t size);

/* ---- schema_document.c ---- */

/* Appends "URI#pointer" of what stands at `index`. */
void schema_document_place(const struct schema_document *document, uint32_t index, struct buf *place);
/* Reads a text, YAML or JSON, into document->tree; false: err says what is wrong with it. */
bool schema_document_read(struct schema_document *document, const char *text, size_t size, struct err *err);
void schema_document_free(struct schema_document *document);

#endif
