/* Files that belong together: which there are now, and a digest of what they hold.
 *
 * They are the `*.lua` (or what `suffix` says) of a folder and of the folders in it (hidden ones are left
 * out; symlinks are followed, so that of a mounted ConfigMap the links are read and not `..data`), and some
 * files named one by one. Looking blocks as long as the disk does, touches nothing but its arguments, and is
 * bounded: see the limits.
 */
#ifndef MILLRACE_FILESET_H
#define MILLRACE_FILESET_H

#include "digest.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	FILESET_DEPTH = 3,        /* scripts/, scripts/lib/, and what stands in that */
	FILESET_FOLDERS = 256,    /* most folders that are looked into */
	FILESET_ENTRIES = 5000,   /* most names that are read, whatever they are */
	FILESET_BYTES = 16 << 20, /* beyond it a file counts with its size and time, not with what it holds */
	FILESET_NAMED = 8
};

struct fileset {
	const char *folder; /* NULL = none */
	const char *suffix; /* of the files in it that count; NULL = ".lua" */
	const char *files[FILESET_NAMED];
	size_t file_count;
};

struct fileset_look {
	char sha256[DIGEST_HEX]; /* the same as long as names and contents are */
	size_t files;            /* found in the folder */
	bool partial;            /* a limit was reached: what stands beyond is not looked at */
};

typedef void fileset_folder(void *context, const char *folder);

/* `visit` (or NULL) is told each folder before what is in it is read, so that a watch that it begins misses
 * nothing. */
void fileset_look(const struct fileset *set, struct fileset_look *look, fileset_folder *visit, void *context);

#endif
