/* Tells that something in some folders may have changed. */
#include "filewatch.h"
#include "log.h"
#include "mem.h"

#include <dirent.h>
#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	EVENTS = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF |
	         IN_MOVE_SELF,
	DEPTH = 3, /* scripts/, scripts/lib/, and what stands in that */
};

struct filewatch {
	int fd; /* of inotify; -1 = polling only */
	struct event *readable, *settled, *poll;
	struct timeval settle, every;
	char **folders; /* as added: watched again after each change, for new folders in them */
	size_t folder_count;
	filewatch_changed *changed;
	void *context;
};

static struct timeval timeval_of(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* The same folder twice is one watch; a folder that was replaced gets a new one. */
static void watch_folder(struct filewatch *watch, const char *folder, int depth)
{
	char path[PATH_MAX];
	struct stat st;
	if (watch->fd < 0 || inotify_add_watch(watch->fd, folder, EVENTS) < 0 || depth == 0)
		return;
	DIR *dir = opendir(folder);
	for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		int size = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (size < (int)sizeof path && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			watch_folder(watch, path, depth - 1);
	}
	if (dir)
		closedir(dir);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct filewatch *watch = context;
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	(void)what;
	while (read(fd, events, sizeof events) > 0)
		continue; /* which one it was does not matter */
	event_add(watch->settled, &watch->settle);
}

static void look(struct filewatch *watch)
{
	for (size_t i = 0; i < watch->folder_count; i++)
		watch_folder(watch, watch->folders[i], DEPTH);
	watch->changed(watch->context);
}

static void on_settled(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look(context);
}

static void on_poll(evutil_socket_t fd, short what, void *context)
{
	struct filewatch *watch = context;
	(void)fd;
	(void)what;
	look(watch);
	event_add(watch->poll, &watch->every);
}

struct filewatch *filewatch_open(struct event_base *base, int64_t settle_ms, int64_t poll_ms,
        filewatch_changed *changed, void *context)
{
	struct filewatch *watch = mem_zalloc(1, sizeof *watch);
	watch->settle = timeval_of(settle_ms);
	watch->every = timeval_of(poll_ms);
	watch->changed = changed;
	watch->context = context;
	watch->settled = event_new(base, -1, 0, on_settled, watch);
	watch->poll = event_new(base, -1, 0, on_poll, watch);
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd >= 0) {
		watch->readable = event_new(base, watch->fd, EV_READ | EV_PERSIST, on_readable, watch);
		event_add(watch->readable, NULL);
	} else {
		log_warn("filewatch", "inotify is not to be had; changes are seen every %lld ms",
		        (long long)poll_ms);
	}
	event_add(watch->poll, &watch->every);
	return watch;
}

void filewatch_add(struct filewatch *watch, const char *folder)
{
	watch->folders = mem_realloc(watch->folders, (watch->folder_count + 1) * sizeof *watch->folders);
	watch->folders[watch->folder_count++] = mem_strdup(folder);
	watch_folder(watch, folder, DEPTH);
}

void filewatch_close(struct filewatch *watch)
{
	if (watch == NULL)
		return;
	if (watch->readable)
		event_free(watch->readable);
	event_free(watch->settled);
	event_free(watch->poll);
	if (watch->fd >= 0)
		close(watch->fd);
	for (size_t i = 0; i < watch->folder_count; i++)
		mem_free(watch->folders[i]);
	mem_free(watch->folders);
	mem_free(watch);
}
