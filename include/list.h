/* Intrusive doubly linked lists that know their name and their length.
 *
 * The node is embedded in what is listed; container_of leads home. A node is
 * on at most one list; list_remove leaves it unlinked, so removing twice is
 * caught by the assertion. */
#ifndef MILLRACE_LIST_H
#define MILLRACE_LIST_H

#include <assert.h>
#include <stddef.h>
#include <stdbool.h>

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct list_node {
	struct list_node *next, *prev; /* both NULL while on no list */
};

struct list {
	struct list_node head;
	size_t count;
	const char *name; /* for dumps and metrics */
};

static inline void list_init(struct list *list, const char *name)
{
	list->head.next = list->head.prev = &list->head;
	list->count = 0;
	list->name = name;
}

static inline bool list_empty(const struct list *list)
{
	return list->count == 0;
}

static inline bool list_linked(const struct list_node *node)
{
	return node->next != NULL;
}

static inline void list_insert_before(struct list *list, struct list_node *where, struct list_node *node)
{
	assert(!list_linked(node));
	node->prev = where->prev;
	node->next = where;
	where->prev->next = node;
	where->prev = node;
	list->count++;
}

static inline void list_append(struct list *list, struct list_node *node)
{
	list_insert_before(list, &list->head, node);
}

static inline void list_prepend(struct list *list, struct list_node *node)
{
	list_insert_before(list, list->head.next, node);
}

static inline void list_remove(struct list *list, struct list_node *node)
{
	assert(list_linked(node) && list->count > 0);
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = NULL;
	list->count--;
}

/* First node, or NULL when the list is empty. */
static inline struct list_node *list_first(const struct list *list)
{
	return list->count == 0 ? NULL : list->head.next;
}

/* Last node, or NULL when the list is empty. */
static inline struct list_node *list_last(const struct list *list)
{
	return list->count == 0 ? NULL : list->head.prev;
}

/* The node after this one, or NULL at the end. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
	return node->next == &list->head ? NULL : node->next;
}

/* Walks a list; the body may remove the current node, nothing else. */
#define list_each(list, node, after)                                                                         \
	for (struct list_node *node = list_first(list), *after = node ? list_next(list, node) : NULL; node;  \
	        node = after, after = node ? list_next(list, node) : NULL)

#endif
