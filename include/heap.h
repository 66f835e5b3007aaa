/* Intrusive binary heaps: the first of many, in any order of ours. Pure.
 *
 * The node is embedded in what is ordered; container_of leads home. A node is in at most one heap. */
#ifndef MILLRACE_HEAP_H
#define MILLRACE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
	size_t place; /* 0 while in no heap */
};

struct heap {
	struct heap_node **nodes; /* nodes[0] is the first */
	size_t count, capacity;
	bool (*before)(const struct heap_node *a,
	        const struct heap_node *b); /* a comes first; equal ones in no order */
};

void heap_init(struct heap *heap, bool (*before)(const struct heap_node *a, const struct heap_node *b));
void heap_free(struct heap *heap); /* the heap's own memory; the nodes belong to others */
void heap_push(struct heap *heap, struct heap_node *node);
void heap_remove(struct heap *heap, struct heap_node *node); /* wherever it stands; asserts that it does */
struct heap_node *heap_first(const struct heap *heap);       /* NULL when empty */

static inline bool heap_holds(const struct heap_node *node)
{
	return node->place != 0;
}

#endif
