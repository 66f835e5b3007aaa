/* A table of text for a terminal: columns as wide as their widest cell, two spaces between. */
#ifndef MILLRACE_TABLE_H
#define MILLRACE_TABLE_H

#include <stddef.h>

enum { TABLE_COLUMNS = 8 };

struct table {
	size_t columns;
	char *(*rows)[TABLE_COLUMNS]; /* the first is the header */
	size_t count;
};

/* `names` ends with NULL, TABLE_COLUMNS at most. */
void table_begin(struct table *table, const char *const *names);
/* A row whose cells the caller fills, every one, with memory of mem_alloc's; valid until the next row. */
char **table_add(struct table *table);
/* Prints it to standard output and frees what it holds. */
void table_print(struct table *table);

#endif
