/* Tells when the files of a set may hold something else than before.
 *
 * A thread of its own looks: when inotify saw something and it has been quiet since, and every now and then
 * for file systems whose changes inotify does not see. The loop never waits for a disk. Folders are watched,
 * never files: editors write a new file and rename it, and Kubernetes swaps the symlink `..data` of a mounted
 * ConfigMap (https://ahmet.im/blog/kubernetes-inotify/ describes what a watch sees). Watched are the set's
 * folder, the folders in it and the one around it (it may be replaced as a whole), and those of the named
 * files, by their names and where their links lead. */
#ifndef MILLRACE_FILEWATCH_H
#define MILLRACE_FILEWATCH_H

#include "err.h"
#include "fileset.h"

#include <stdint.h>

struct filewatch;
struct event_base;

/* After each look, whether something changed or not: compare look->sha256. */
typedef void filewatch_looked(void *context, const struct fileset_look *look);

struct filewatch_config {
	int64_t settle_ms; /* how long it must be quiet after a change (but no longer than ten times this) */
	int64_t poll_ms;   /* how often it looks anyway */
	filewatch_looked *looked;
	void *context;
};

/* Looks for the first time at once. NULL and err: no thread is to be had. Copies set. */
struct filewatch *filewatch_open(struct event_base *base, const struct filewatch_config *config,
        const struct fileset *set, struct err *err);
/* Looks at once, at another set or the same. A look under way is not told: it began before what the caller
 * knows.
 */
void filewatch_use(struct filewatch *watch, const struct fileset *set);
void filewatch_close(struct filewatch *watch); /* NULL is fine */

#endif
