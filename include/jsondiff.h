/* Where two JSON values differ, first or everywhere, but for members that are not to be looked at.
 *
 * Equal means jsontree_equal's: numbers by value, objects whatever their order. */
#ifndef MILLRACE_JSONDIFF_H
#define MILLRACE_JSONDIFF_H

#include "buf.h"
#include "jsontree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of members, from the document down: "meta.id" is {"meta", "id"}. */
struct jsondiff_path {
	char **names;
	size_t count;
};

struct jsondiff_paths {
	struct jsondiff_path *items;
	size_t count;
};

/* Reads "meta.id,meta.dt"; false when a name is empty ("" alone means none). Free with jsondiff_paths_free,
 * whatever is answered. */
bool jsondiff_paths_parse(struct jsondiff_paths *paths, const char *text);
void jsondiff_paths_free(struct jsondiff_paths *paths);
/* Index of the value there, or -1: it is not there, or the way leads through what is no object. */
int64_t jsondiff_find(const struct jsontree *tree, const struct jsondiff_path *path);

/* Equal documents have equal hashes, whatever stands at the ignored paths. */
uint64_t jsondiff_hash(const struct jsontree *tree, const struct jsondiff_paths *ignored);
/* False when they are equal but for the ignored paths. Else the JSON pointer (RFC 6901) of the first value
 * that differs or that only one of them has is written; the pointer is "" for the document itself, and an
 * index into an array is written as `*`. First is: in the order of a's members, then those that only b has;
 * in an object of more than JSONTREE_FEW members any. Arrays differ in the first element that does, or as a
 * whole when one is the other's beginning. */
bool jsondiff_first(const struct jsontree *a, const struct jsontree *b, const struct jsondiff_paths *ignored,
        struct buf *pointer);

/* One of a, of b, or both (then the values differ); -1 = it is not there. */
struct jsondiff_difference {
	const char *path; /* "revision.slots[0].main"; "" = the document; a name that needs it is quoted */
	int64_t a, b;     /* indices of the values */
};
typedef void jsondiff_told(void *context, const struct jsondiff_difference *difference);
/* Tells each difference, and answers how many. Objects are compared member by member in the order above;
 * arrays element by element, each with the one at the same place. */
size_t jsondiff_each(const struct jsontree *a, const struct jsontree *b, const struct jsondiff_paths *ignored,
        jsondiff_told *told, void *context);

#endif
