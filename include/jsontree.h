/* A JSON text as a flat tree: where each value stands, without a copy of it.
 *
 * The nodes lie in the order of the text in one array: a container is followed by its members, an object's
 * each as a key (a string) and a value, and `next` leads past all a node holds. The text is read as strictly
 * as json_decode does (json.h), duplicate keys are refused, and it must stay where it is as long as the tree
 * is used. A tree is meant to be used again and again: what it has allocated, it keeps.
 *
 *	for (uint32_t at = root + 1, i = 0; i < nodes[root].count; i++, at = nodes[at].next)   an array
 *	for (... at = nodes[at + 1].next)   an object: the key is at `at`, its value at `at + 1`
 */
#ifndef MILLRACE_JSONTREE_H
#define MILLRACE_JSONTREE_H

#include "buf.h"
#include "json_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONTREE_FEW 64 /* members of an object up to which looking at each is the quickest way */

enum jsontree_kind {
	JSONTREE_NULL,
	JSONTREE_FALSE,
	JSONTREE_TRUE,
	JSONTREE_NUMBER,
	JSONTREE_STRING,
	JSONTREE_ARRAY,
	JSONTREE_OBJECT,
};

struct jsontree_node {
	uint8_t kind;
	bool escaped;    /* of a string: it has escapes; of an object: a key in it has */
	bool small;      /* of a number: it is written as an integer, and `integer` is its value */
	bool fractional; /* of a number: it is written with a fraction or an exponent */
	uint32_t start;  /* offset of its first byte; a string's is behind the quote */
	uint32_t size;   /* bytes; a string's are those between the quotes */
	uint32_t next;   /* index of the node behind all that it holds */
	union {
		uint64_t hash;   /* of a key: jsontree_hash of what it means */
		int64_t integer; /* of a small number */
		uint32_t count;  /* of a container: its elements or members */
	};
};

struct jsontree {
	const char *text; /* the caller's */
	size_t size;
	struct jsontree_node *nodes; /* [0] is the whole document */
	uint32_t count, capacity;
	struct jsontree_level *levels; /* room for what is open while parsing */
	struct buf scratch;            /* room for keys with escapes */
};

void jsontree_init(struct jsontree *tree);
void jsontree_free(struct jsontree *tree); /* gives the memory back; the tree may be used again */
/* Reads the text in place of what the tree held before. False: error says why (may be NULL), and the tree is
 * empty. A text of 4 GiB or more, or one with more values or levels than `limits` (NULL: 128 levels) allow,
 * is refused. A value takes 24 bytes. */
bool jsontree_parse(struct jsontree *tree, const char *text, size_t size, const struct json_limits *limits,
        struct json_error *error);

/* What the string at `index` means. `room` is overwritten where escapes had to be resolved; otherwise the
 * bytes lie in the text. */
struct bytes jsontree_string(const struct jsontree *tree, uint32_t index, struct buf *room);
/* How many characters (code points) it has. */
size_t jsontree_string_length(const struct jsontree *tree, uint32_t index);
bool jsontree_string_is(const struct jsontree *tree, uint32_t index, const char *text, size_t size);
/* Index of the value of that member of the object, or 0. */
uint32_t jsontree_member(const struct jsontree *tree, uint32_t object, const char *name, size_t size);
/* The indexes of the object's keys in an order that depends only on what they mean; the caller frees with
 * mem_free. */
uint32_t *jsontree_sorted_keys(const struct jsontree *tree, uint32_t object);
/* Same value? Numbers by value (1.0 is 1), objects whatever their order. */
bool jsontree_equal(const struct jsontree *a, uint32_t a_index, const struct jsontree *b, uint32_t b_index);
/* Equal values have equal hashes. */
uint64_t jsontree_value_hash(const struct jsontree *tree, uint32_t index);
/* Is the number a whole one? 1.0 and 1e3 are. */
bool jsontree_is_whole(const struct jsontree *tree, uint32_t index);
/* Appends the value for people: a member or element a line, two spaces for each level below `indent`; scalars
 * as they stand in the text. Texts, arrays and objects of members of which `hide` (NULL: none) says so become
 * `instead`. */
void jsontree_print(const struct jsontree *tree, uint32_t index, unsigned indent,
        bool (*hide)(const char *name, size_t size), const char *instead, struct buf *out);
/* Appends the value on one line, the members of objects by their names: the same for equal texts whatever
 * their order. Scalars as they stand in the text. */
void jsontree_line(const struct jsontree *tree, uint32_t index, struct buf *out);
/* The bytes of the whole value in the text, a string's quotes included. */
struct bytes jsontree_raw(const struct jsontree *tree, uint32_t index);

static inline const char *jsontree_text(const struct jsontree *tree, uint32_t index)
{
	return tree->text + tree->nodes[index].start;
}

/* Of a property's name: quick, the same everywhere in one process; no protection against chosen names. */
static inline uint64_t jsontree_hash(const char *text, size_t size)
{
	const uint64_t mix = 0x9E3779B97F4A7C15u;
	uint64_t hash = (size + 1) * mix, word;
	for (; size >= 8; text += 8, size -= 8) {
		memcpy(&word, text, 8);
		hash = (hash ^ word) * mix;
		hash ^= hash >> 29;
	}
	word = 0;
	for (size_t i = 0; i < size; i++)
		word |= (uint64_t)(unsigned char)text[i] << (8 * i);
	hash = (hash ^ word) * mix;
	return hash ^ hash >> 32;
}

#endif
