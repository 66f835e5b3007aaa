/* Files of scripts/ inside the binary, so that `millrace demo`, `init` and `types` need none beside it. Made
 * by scripts/embed.mk. */
#ifndef MILLRACE_EMBEDDED_H
#define MILLRACE_EMBEDDED_H

#include <stddef.h>
#include <string.h>

struct embedded_file {
	const char *name;          /* below scripts/: "lib/mediawiki.lua" */
	const unsigned char *data; /* followed by a NUL that size does not count */
	size_t size;
};

extern const struct embedded_file embedded_files[]; /* by name */
extern const size_t embedded_count;

/* The file of that name, or NULL. */
static inline const struct embedded_file *embedded_find(const char *name)
{
	for (size_t i = 0; i < embedded_count; i++)
		if (strcmp(embedded_files[i].name, name) == 0)
			return &embedded_files[i];
	return NULL;
}

#endif
