/* Files that belong together: which there are now, and a digest of what they hold. */
#include "fileset.h"
#include "buf.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Folders are a queue, so that the nearest are looked into before a limit is reached. */
struct listing {
	const char *suffix;
	char *folders[FILESET_FOLDERS];
	unsigned depths[FILESET_FOLDERS];
	size_t folder_count;
	char **files;
	size_t file_count;
	size_t entries;
	bool partial;
};

static void add_folder(struct listing *listing, const char *path, unsigned depth)
{
	if (listing->folder_count == FILESET_FOLDERS) {
		listing->partial = true;
		return;
	}
	listing->depths[listing->folder_count] = depth;
	listing->folders[listing->folder_count++] = mem_strdup(path);
}

static void add_file(struct listing *listing, const char *path)
{
	listing->files = mem_realloc(listing->files, (listing->file_count + 1) * sizeof *listing->files);
	listing->files[listing->file_count++] = mem_strdup(path);
}

static bool counts(const struct listing *listing, const char *name)
{
	size_t size = strlen(name), suffix = strlen(listing->suffix);
	return size > suffix && strcmp(name + size - suffix, listing->suffix) == 0;
}

/* Most names in a folder need no stat: what is no folder is of interest by its suffix only. */
static void add_entry(struct listing *listing, const char *folder, const struct dirent *entry, unsigned depth)
{
	char path[PATH_MAX];
	struct stat status;
	bool plain = entry->d_type == DT_REG;
	int size = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
	if (entry->d_name[0] == '.' || size >= (int)sizeof path ||
	        (plain && !counts(listing, entry->d_name)) || stat(path, &status) != 0)
		return;
	if (S_ISDIR(status.st_mode) && depth < FILESET_DEPTH)
		add_folder(listing, path, depth + 1);
	else if (S_ISREG(status.st_mode) && counts(listing, entry->d_name))
		add_file(listing, path);
}

static void list_folder(struct listing *listing, size_t i)
{
	DIR *dir = opendir(listing->folders[i]);
	for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
		if (++listing->entries > FILESET_ENTRIES) {
			listing->partial = true;
			break;
		}
		add_entry(listing, listing->folders[i], entry, listing->depths[i]);
	}
	if (dir)
		closedir(dir);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What the file holds into `content`; false with errno when it cannot be read, or is no file. */
static bool read_file(int fd, struct buf *content)
{
	char *room;
	ssize_t got = 1;
	while (got > 0 && (room = buf_reserve(content, 65536)) != NULL) {
		got = read(fd, room, 65536);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			buf_commit(content, (size_t)got);
	}
	return got >= 0;
}

/* One line per file: its name, and its digest or why there is none. */
static void describe_file(struct buf *out, const char *path, struct buf *content, size_t *left)
{
	char sha256[DIGEST_HEX];
	struct stat status = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	buf_clear(content);
	if (fd < 0 || fstat(fd, &status) != 0) {
		buf_printf(out, "%s: error %d\n", path, errno);
	} else if (!S_ISREG(status.st_mode)) {
		buf_printf(out, "%s: no file\n", path);
	} else if ((uintmax_t)status.st_size > *left) {
		buf_printf(out, "%s: %jd bytes of %jd.%09ld\n", path, (intmax_t)status.st_size,
		        (intmax_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
	} else if (!read_file(fd, content)) {
		buf_printf(out, "%s: error %d\n", path, errno);
	} else {
		*left -= content->size < *left ? content->size : *left;
		digest_hex(DIGEST_SHA256, &(struct bytes){content->data, content->size}, 1, sha256);
		buf_printf(out, "%s: %s\n", path, sha256);
	}
	if (fd >= 0)
		close(fd);
}

static void describe(const struct fileset *set, const struct listing *listing, char sha256[DIGEST_HEX])
{
	struct buf all, content;
	size_t left = FILESET_BYTES;
	buf_init(&all, 0);
	buf_init(&content, FILESET_BYTES + 65536);
	for (size_t i = 0; i < set->file_count; i++)
		describe_file(&all, set->files[i], &content, &left);
	for (size_t i = 0; i < listing->file_count; i++)
		describe_file(&all, listing->files[i], &content, &left);
	digest_hex(DIGEST_SHA256, &(struct bytes){all.data, all.size}, 1, sha256);
	buf_free(&all);
	buf_free(&content);
}

void fileset_look(const struct fileset *set, struct fileset_look *look, fileset_folder *visit, void *context)
{
	struct listing listing = {.suffix = set->suffix ? set->suffix : ".lua"};
	if (set->folder)
		add_folder(&listing, set->folder, 1);
	for (size_t i = 0; i < listing.folder_count; i++) {
		if (visit)
			visit(context, listing.folders[i]);
		list_folder(&listing, i);
	}
	if (listing.file_count)
		qsort(listing.files, listing.file_count, sizeof *listing.files, by_name);
	*look = (struct fileset_look){.files = listing.file_count, .partial = listing.partial};
	describe(set, &listing, look->sha256);
	for (size_t i = 0; i < listing.folder_count; i++)
		mem_free(listing.folders[i]);
	for (size_t i = 0; i < listing.file_count; i++)
		mem_free(listing.files[i]);
	mem_free(listing.files);
}
