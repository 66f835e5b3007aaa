/* Preloaded into the binary under test: a disk that fails below the folder $FAULTY_STORE, as long as the file
 * $FAULTY says how: "hangs" (a flush does), "is full", "is read-only", "cannot rename" or "is broken" (a
 * flush fails, and what was written may be lost). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

static bool in_store(const char *path)
{
	const char *store = getenv("FAULTY_STORE");
	return store && strncmp(path, store, strlen(store)) == 0;
}

static bool disk(const char *fault)
{
	char text[32] = "";
	const char *name = getenv("FAULTY");
	FILE *file = name ? fopen(name, "re") : NULL;
	if (file == NULL)
		return false;
	bool read = fgets(text, sizeof text, file) != NULL;
	fclose(file);
	return read && strcmp(text, fault) == 0;
}

static bool is_of_store(int fd)
{
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t size = readlink(link, path, sizeof path - 1);
	path[size > 0 ? size : 0] = '\0';
	return in_store(path);
}

static int fail(int code)
{
	errno = code;
	return -1;
}

int fsync(int fd)
{
	while (is_of_store(fd) && disk("hangs"))
		usleep(10000);
	return is_of_store(fd) && disk("is broken") ? fail(EIO) : REAL(fsync)(fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
	return is_of_store(fd) && disk("is full") ? fail(ENOSPC) : REAL(write)(fd, data, size);
}

int open(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	unsigned mode = flags & O_CREAT ? va_arg(rest, unsigned) : 0;
	va_end(rest);
	return flags & O_CREAT && in_store(path) && disk("is read-only") ? fail(EROFS)
	                                                                 : REAL(open)(path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
	return in_store(path) && disk("is read-only") ? fail(EROFS) : REAL(mkdir)(path, mode);
}

int unlink(const char *path)
{
	return in_store(path) && disk("is read-only") ? fail(EROFS) : REAL(unlink)(path);
}

int rename(const char *from, const char *to)
{
	if (in_store(to) && disk("is read-only"))
		return fail(EROFS);
	return in_store(to) && disk("cannot rename") ? fail(ENOSYS) : REAL(rename)(from, to);
}
