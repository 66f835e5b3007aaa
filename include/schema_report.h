/* What the files of the check share: how it says what is wrong (made only once something is), and scalars. */
#ifndef MILLRACE_SCHEMA_REPORT_H
#define MILLRACE_SCHEMA_REPORT_H

#include "schema_private.h"

/* The way from the document to a value; lives on the stack of the check. */
struct schema_path {
	const struct schema_path *up; /* NULL: this is the whole document */
	uint32_t key;                 /* of a member: its key's index; 0: an element */
	uint32_t element;             /* of an array: its place */
};

typedef const struct schema_path path_t;

/* Begins to collect: what an earlier check left is gone. */
void schema_report_begin(struct schema_errors *errors);
/* Adds an error about the value at `index` (found: described from it unless given). Nothing happens when the
 * run keeps no errors, or enough of them. Always false. */
__attribute__((format(printf, 7, 8))) bool schema_report(struct schema_run *run,
        const struct schema_node *node, const struct schema_path *path, uint32_t index, const char *keyword,
        const char *found, const char *expected, ...);
/* The keywords that bound a number of things, and what the things are called. */
struct schema_count {
	const char *least, *most, *one, *many;
};
/* Whether `count` is within; reports what it is not. */
bool schema_count_good(struct schema_run *run, const struct schema_node *node, const struct schema_path *path,
        uint32_t index, const struct schema_count *words, size_t count, size_t min, size_t max);
/* Makes the texts' addresses final. */
void schema_report_end(struct schema_errors *errors);
/* The one error of a text that is not JSON. */
void schema_report_unreadable(struct schema_errors *errors, const struct json_error *why);
bool schema_report_full(const struct schema_run *run);
/* Appends a schema's own value, shortened. */
void schema_report_value(const struct schema_value *value, struct buf *out);

/* Is there a reason to look further? All errors are wanted, or there is none so far. */
static inline bool schema_go_on(const struct schema_run *run, bool good)
{
	return good || run->errors;
}

/* ---- schema_scalar.c ---- */

/* The check ends without a verdict: the first to say so is remembered. Always false. */
bool schema_give_up(struct schema_run *run, const struct schema_node *node);
enum schema_match schema_match_at(
        struct schema_run *run, const struct schema_pattern *pattern, uint32_t index);
bool schema_check_number(
        struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path);
bool schema_check_string(
        struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path);

#endif
