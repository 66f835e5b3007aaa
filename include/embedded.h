/* Files of scripts/ inside the binary, so that `millrace demo`, `init` and `types` need none beside it, and
 * those of the status page. Made by scripts/embed.mk. */
#ifndef MILLRACE_EMBEDDED_H
#define MILLRACE_EMBEDDED_H

#include <stddef.h>
#include <string.h>

struct embedded_file {
	const char *name;          /* below scripts/ or core/: "lib/mediawiki.lua", "page/page.html" */
	const unsigned char *data; /* followed by a NUL that size does not count */
	size_t size;
};

extern const struct embedded_file embedded_files[];
extern const size_t embedded_count; /* of scripts/: these come first, by name */
extern const size_t embedded_all;

/* The file of that name, or NULL. */
static inline const struct embedded_file *embedded_find(const char *name)
{
	for (size_t i = 0; i < embedded_all; i++)
		if (strcmp(embedded_files[i].name, name) == 0)
			return &embedded_files[i];
	return NULL;
}

#endif
