/* A YAML document as a tree of nodes that know their line and column.
 *
 * The only file with libyaml. A strict subset: one document, no tags, no anchors or aliases, keys are plain
 * text, no NUL characters. Nothing is interpreted here: a scalar is its text, and whether it stood plain or
 * in quotes. (The header is not called yaml.h because libyaml's is.) */
#ifndef MILLRACE_YAML_TREE_H
#define MILLRACE_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	YAML_TREE_BYTES = 1024 * 1024, /* largest document */
	YAML_TREE_DEPTH = 32,          /* most nested lists and maps */
	YAML_TREE_NODES = 20000        /* most nodes, keys included */
};

enum yaml_kind {
	YAML_NOTHING, /* something that was refused and reported, or an empty document */
	YAML_TEXT,    /* a scalar */
	YAML_LIST,
	YAML_MAP
};

/* Where something stands: line and column count from 1, columns and length in characters. */
struct yaml_place {
	unsigned line, column, length;
};

struct yaml_node {
	enum yaml_kind kind;
	bool plain; /* a scalar without quotes */
	struct yaml_place place;
	char *text;              /* of a scalar */
	struct yaml_node *items; /* of a list its items, of a map its values */
	struct yaml_node
	        *keys; /* of a map: keys[i] belongs to items[i]; each a scalar, in the file's order */
	size_t count;
};

/* Told about each thing that is wrong; `text` is a sentence without the place, `hint` may be NULL. */
struct yaml_listener {
	void *context;
	void (*problem)(void *context, const struct yaml_place *place, const char *text, const char *hint);
};

/* The document's root; frees with yaml_tree_free. NULL when it cannot be read at all. What was refused inside
 * a readable document is a YAML_NOTHING in the tree. Duplicate keys are reported, and stay. */
struct yaml_node *yaml_tree_parse(const char *text, size_t size, const struct yaml_listener *listener);
void yaml_tree_free(struct yaml_node *root); /* NULL is fine */
/* The index of the first key of that name in a map, or -1. */
long yaml_tree_find(const struct yaml_node *map, const char *name);
/* A plain scalar that YAML 1.2's core schema reads as null: nothing, ~, null, Null, NULL. */
bool yaml_tree_is_null(const struct yaml_node *node);
/* The scalar as a JSON value by YAML 1.2's core schema: null, true, false, a number; everything else, and all
 * that stood in quotes, a string. False when it is a number that JSON has no form for (.inf, .nan). `text` is
 * the scalar's text, or what has taken its place. */
struct buf;
bool yaml_tree_json_scalar(const char *text, bool plain, struct buf *out);
/* Appends the node as JSON in one line, keys as texts. What has no form in JSON is told. */
void yaml_tree_json(const struct yaml_node *node, struct buf *out, const struct yaml_listener *listener);

#endif
