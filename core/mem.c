/* Memory that is there or the process ends. */
#include "mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jemalloc's, where the program is linked with it (see the Makefile): it takes over malloc by being there,
 * and its settings from this name. Few arenas, and what is freed goes back soon: memory is counted here. */
__attribute__((visibility("default"))) const char *malloc_conf =
        "narenas:2,dirty_decay_ms:500,muzzy_decay_ms:0";
extern int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t size)
        __attribute__((weak));

enum {
	LARGE_BYTES =
	        1 << 20, /* a block of its own; glibc would learn ever higher ones and keep what they leave */
	KEPT_BYTES = 16 << 20, /* free memory at the end of the heap that is not given back */
};

void mem_open(void)
{
	if (mallctl)
		return;
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

void mem_give_back(void)
{
	if (mallctl)
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
	else
		malloc_trim(0);
}

static void *or_die(void *pointer)
{
	if (pointer == NULL) {
		static const char text[] = "millrace: out of memory\n";
		fwrite(text, 1, sizeof text - 1, stderr);
		abort();
	}
	return pointer;
}

void *mem_alloc(size_t size)
{
	return or_die(malloc(size ? size : 1));
}

void *mem_zalloc(size_t count, size_t size)
{
	return or_die(calloc(count ? count : 1, size ? size : 1));
}

void *mem_realloc(void *old, size_t size)
{
	return or_die(realloc(old, size ? size : 1));
}

char *mem_strdup(const char *text)
{
	return text ? or_die(strdup(text)) : NULL;
}

char *mem_dup(const void *data, size_t size)
{
	if (data == NULL)
		return NULL;
	char *copy = mem_alloc(size + 1);
	memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

char *mem_printf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int size = vasprintf(&text, format, args);
	va_end(args);
	return or_die(size < 0 ? NULL : text);
}

void mem_free(void *pointer)
{
	free(pointer);
}
