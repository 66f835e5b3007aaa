/* A table of text for a terminal. */
#include "table.h"
#include "mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

char **table_add(struct table *table)
{
	table->rows = mem_realloc(table->rows, (table->count + 1) * sizeof *table->rows);
	memset(table->rows[table->count], 0, sizeof *table->rows);
	return table->rows[table->count++];
}

void table_begin(struct table *table, const char *const *names)
{
	*table = (struct table){0};
	char **row = table_add(table);
	for (; names[table->columns]; table->columns++)
		row[table->columns] = mem_strdup(names[table->columns]);
}

void table_print(struct table *table)
{
	int widths[TABLE_COLUMNS] = {0};
	for (size_t r = 0; r < table->count; r++)
		for (size_t c = 0; c < table->columns; c++)
			if ((int)strlen(table->rows[r][c]) > widths[c])
				widths[c] = (int)strlen(table->rows[r][c]);
	for (size_t r = 0; r < table->count; r++)
		for (size_t c = 0; c < table->columns; c++) {
			bool last = c + 1 == table->columns;
			printf("%-*s%s", last ? 0 : widths[c], table->rows[r][c], last ? "\n" : "  ");
			mem_free(table->rows[r][c]);
		}
	mem_free(table->rows);
	*table = (struct table){0};
}
