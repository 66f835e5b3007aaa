/* Intrusive binary heaps: the first of many, in any order of ours. */
#include "heap.h"
#include "mem.h"

#include <assert.h>

void heap_init(struct heap *heap, bool (*before)(const struct heap_node *a, const struct heap_node *b))
{
	*heap = (struct heap){.before = before};
}

void heap_free(struct heap *heap)
{
	mem_free(heap->nodes);
	heap_init(heap, heap->before);
}

static void put(struct heap *heap, size_t index, struct heap_node *node)
{
	heap->nodes[index] = node;
	node->place = index + 1;
}

static void rise(struct heap *heap, size_t index, struct heap_node *node)
{
	while (index > 0) {
		size_t parent = (index - 1) / 2;
		if (!heap->before(node, heap->nodes[parent]))
			break;
		put(heap, index, heap->nodes[parent]);
		index = parent;
	}
	put(heap, index, node);
}

static void sink(struct heap *heap, size_t index, struct heap_node *node)
{
	for (;;) {
		size_t child = index * 2 + 1;
		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && heap->before(heap->nodes[child + 1], heap->nodes[child]))
			child++;
		if (!heap->before(heap->nodes[child], node))
			break;
		put(heap, index, heap->nodes[child]);
		index = child;
	}
	put(heap, index, node);
}

void heap_push(struct heap *heap, struct heap_node *node)
{
	assert(!heap_holds(node));
	if (heap->count == heap->capacity) {
		heap->capacity = heap->capacity ? heap->capacity * 2 : 32;
		heap->nodes = mem_realloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
	}
	rise(heap, heap->count++, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	size_t index = node->place - 1;
	assert(heap_holds(node) && index < heap->count && heap->nodes[index] == node);
	struct heap_node *last = heap->nodes[--heap->count];
	node->place = 0;
	if (last == node)
		return;
	if (index > 0 && heap->before(last, heap->nodes[(index - 1) / 2]))
		rise(heap, index, last);
	else
		sink(heap, index, last);
}

struct heap_node *heap_first(const struct heap *heap)
{
	return heap->count ? heap->nodes[0] : NULL;
}
