/* Tells that something in some folders may have changed: inotify, and slow polling where that sees nothing.
 *
 * Folders are watched, never files: editors write a new file and rename it, and Kubernetes swaps the symlink
 * `..data` of a mounted ConfigMap (https://ahmet.im/blog/kubernetes-inotify/ describes what a watch sees). Bursts
 * are one call; `changed` may be called without a change, so look before you act. */
#ifndef MILLRACE_FILEWATCH_H
#define MILLRACE_FILEWATCH_H

#include <stdbool.h>
#include <stdint.h>

struct filewatch;
struct event_base;

typedef void filewatch_changed(void *context);

/* settle_ms: how long it must be quiet after a change; poll_ms: how often `changed` is called anyway. */
struct filewatch *filewatch_open(struct event_base *base, int64_t settle_ms, int64_t poll_ms,
	filewatch_changed *changed, void *context);
/* A folder and the folders in it. One that is not there, or beyond the system's watches, is polled only. */
void filewatch_add(struct filewatch *watch, const char *folder);
void filewatch_close(struct filewatch *watch); /* NULL is fine */

#endif
