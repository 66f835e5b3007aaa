/* Memory that is there or the process ends: no caller carries a branch that cannot be tested.
 *
 * Budgets are kept elsewhere (ledger.h, buf.h's cap, the Lua allocator); what reaches malloc here has been
 * allowed already, so failure means the machine has no memory at all. */
#ifndef MILLRACE_MEM_H
#define MILLRACE_MEM_H

#include <stddef.h>

/* Once, before the first thread: large blocks go back to the machine when they are freed, small ones are
 * kept. */
void mem_open(void);
/* What is free goes back to the machine now. */
void mem_give_back(void);
void *mem_alloc(size_t size);                /* uninitialised; the caller frees with mem_free */
void *mem_zalloc(size_t count, size_t size); /* zeroed array */
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);           /* NULL gives NULL */
char *mem_dup(const void *data, size_t size); /* copy with a NUL behind it; NULL data gives NULL */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *pointer); /* NULL is fine */

#endif
