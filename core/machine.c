/* How much memory this process may use, as the kernel tells. */
#include "machine.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The smaller of `limit` and what the file says; a file that is not there, or says "max", says nothing. */
static uint64_t smaller(
        uint64_t limit, const char *root, const char *mount, const char *group, const char *name)
{
	char *path = mem_printf("%s%s%s/%s", root, mount, group, name), text[64] = "";
	FILE *file = fopen(path, "re");
	mem_free(path);
	if (file == NULL)
		return limit;
	bool read = fgets(text, sizeof text, file) != NULL;
	fclose(file);
	uint64_t value = read && text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;
	return value != 0 && value < limit ? value : limit;
}

/* From the group up to the root of its tree: each may have its own limit. */
static uint64_t smallest_upwards(
        uint64_t limit, const char *root, const char *mount, char *group, const char *name)
{
	for (;;) {
		limit = smaller(limit, root, mount, group, name);
		char *slash = strrchr(group, '/');
		if (slash == NULL)
			return limit;
		*slash = '\0';
	}
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "4:memory,cpu:/path" (v1). */
static uint64_t limit_of_line(uint64_t limit, const char *root, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
	if (group == NULL)
		return limit;
	*group++ = '\0';
	if (strcmp(group, "/") == 0)
		*group = '\0';
	if (strcmp(line, "0:") == 0)
		return smallest_upwards(limit, root, "/sys/fs/cgroup", group, "memory.max");
	for (char *at = controllers + 1, *end; *at; at = *end ? end + 1 : end) {
		end = at + strcspn(at, ",");
		if (end - at == 6 && strncmp(at, "memory", 6) == 0)
			return smallest_upwards(
			        limit, root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
	}
	return limit;
}

static uint64_t physical(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)1 << 30;
}

uint64_t machine_memory(const char *root, bool *cgroup)
{
	uint64_t whole = physical(), limit = whole;
	char *path = mem_printf("%s/proc/self/cgroup", root), line[4096];
	FILE *file = fopen(path, "re");
	mem_free(path);
	if (file) {
		while (fgets(line, sizeof line, file))
			limit = limit_of_line(limit, root, line);
		fclose(file);
	}
	*cgroup = limit < whole;
	return limit;
}
