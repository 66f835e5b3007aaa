/* Tells when the files of a set may hold something else than before. */
#include "filewatch.h"
#include "clock.h"
#include "helper.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	EVENTS = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF |
	         IN_MOVE_SELF,
	WATCHES = FILESET_FOLDERS + 1 + 2 * FILESET_NAMED,
	LOOK_MS = 30000, /* of a disk that is slow: from then on it is told */
	CLOSE_MS = 1000,
	RESTLESS = 10, /* times settle_ms: a folder that is never quiet is looked at nevertheless */
};

/* What one look needs and finds; the thread's own while it runs. */
struct look {
	struct filewatch *watch;
	struct fileset set; /* copies */
	int fd;             /* a duplicate of the watch's; -1 = none */
	int watches[WATCHES];
	size_t watch_count;
	int failure; /* errno of a watch that could not be had, 0 = none */
	struct fileset_look found;
};

struct filewatch {
	struct filewatch_config config;
	struct fileset set;
	struct helper *helper;
	int fd; /* of inotify; -1 = polling only */
	struct event *readable, *settled, *poll;
	int64_t restless_since;   /* of the first change that was not looked at yet; 0 = none */
	bool looking, again, old; /* a look is under way; another is due after it; it is out of date */
	int watches[WATCHES];
	size_t watch_count;
	bool told_partial, told_failure, closing;
};

static void set_copy(struct fileset *to, const struct fileset *from)
{
	*to = (struct fileset){.folder = mem_strdup(from->folder),
	        .suffix = mem_strdup(from->suffix),
	        .file_count = from->file_count};
	for (size_t i = 0; i < from->file_count; i++)
		to->files[i] = mem_strdup(from->files[i]);
}

static void set_free(struct fileset *set)
{
	mem_free((char *)(size_t)set->folder);
	mem_free((char *)(size_t)set->suffix);
	for (size_t i = 0; i < set->file_count; i++)
		mem_free((char *)(size_t)set->files[i]);
}

/* ---- on the thread ---- */

/* The same folder twice is one watch; a folder in the place of another gets its own. */
static void watch_folder(void *context, const char *folder)
{
	struct look *look = context;
	if (look->fd < 0 || look->watch_count == WATCHES)
		return;
	int number = inotify_add_watch(look->fd, folder, EVENTS);
	if (number >= 0)
		look->watches[look->watch_count++] = number;
	else if (errno == ENOSPC || errno == ENOMEM)
		look->failure = errno;
}

static void watch_folder_of(struct look *look, const char *path)
{
	char *folder = text_folder(path);
	watch_folder(look, folder);
	mem_free(folder);
}

static void run_look(void *context)
{
	struct look *look = context;
	if (look->set.folder)
		watch_folder_of(look, look->set.folder);
	for (size_t i = 0; i < look->set.file_count; i++) {
		char *real = realpath(look->set.files[i], NULL);
		watch_folder_of(look, look->set.files[i]);
		if (real)
			watch_folder_of(look, real);
		free(real);
	}
	fileset_look(&look->set, &look->found, watch_folder, look);
}

/* ---- on the loop ---- */

static void look_free(struct look *look)
{
	if (look->fd >= 0)
		close(look->fd);
	set_free(&look->set);
	mem_free(look);
}

static bool is_among(const int *numbers, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

/* Folders that were replaced or moved away are watched no longer. */
static void take_watches(struct filewatch *watch, const struct look *look)
{
	for (size_t i = 0; i < watch->watch_count; i++)
		if (!is_among(look->watches, look->watch_count, watch->watches[i]))
			inotify_rm_watch(watch->fd, watch->watches[i]);
	memcpy(watch->watches, look->watches, look->watch_count * sizeof *look->watches);
	watch->watch_count = look->watch_count;
}

static void tell_limits(struct filewatch *watch, const struct look *look)
{
	if (look->failure && !watch->told_failure)
		log_warn("filewatch",
		        "%s: the system allows no more watches (fs.inotify.max_user_watches); changes are "
		        "seen "
		        "every %lld ms",
		        look->set.folder ? look->set.folder : look->set.files[0],
		        (long long)watch->config.poll_ms);
	watch->told_failure |= look->failure != 0;
	if (look->found.partial && !watch->told_partial)
		log_warn("filewatch",
		        "%s holds more than %d names or %d folders, and those beyond are not watched; keep "
		        "scripts in "
		        "a folder of their own",
		        look->set.folder, FILESET_ENTRIES, FILESET_FOLDERS);
	watch->told_partial |= look->found.partial;
}

static void begin_look(struct filewatch *watch);

static void end_look(struct look *look)
{
	struct filewatch *watch = look->watch;
	bool again = watch->again || watch->old, told = look->found.sha256[0] && !watch->old;
	watch->looking = watch->old = watch->again = false;
	take_watches(watch, look);
	if (!watch->closing && told) {
		tell_limits(watch, look);
		watch->config.looked(watch->config.context, &look->found);
	}
	look_free(look);
	if (again)
		begin_look(watch);
}

/* When late, nothing else is looked at until the disk has answered, and then it is told. */
static void look_done(void *context, bool late)
{
	if (!late)
		end_look(context);
}

static void look_forgotten(void *context)
{
	end_look(context);
}

static void begin_look(struct filewatch *watch)
{
	watch->again = watch->looking;
	if (watch->looking || watch->closing)
		return;
	struct look *look = mem_zalloc(1, sizeof *look);
	look->watch = watch;
	look->fd = watch->fd < 0 ? -1 : fcntl(watch->fd, F_DUPFD_CLOEXEC, 0);
	set_copy(&look->set, &watch->set);
	watch->looking = true;
	watch->restless_since = 0;
	helper_submit(watch->helper, &(struct helper_job){.name = "looking at the script's folder",
	                                     .context = look,
	                                     .run = run_look,
	                                     .done = look_done,
	                                     .forget = look_forgotten,
	                                     .deadline_ms = LOOK_MS});
}

static void arm(struct event *timer, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_add(timer, &after);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct filewatch *watch = context;
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int64_t now = clock_now(), settle = watch->config.settle_ms;
	(void)what;
	while (read(fd, events, sizeof events) > 0)
		continue; /* which one it was does not matter */
	if (watch->restless_since == 0)
		watch->restless_since = now;
	if (now - watch->restless_since < RESTLESS * settle)
		arm(watch->settled, settle);
}

static void on_settled(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	begin_look(context);
}

static void on_poll(evutil_socket_t fd, short what, void *context)
{
	struct filewatch *watch = context;
	(void)fd;
	(void)what;
	if (!watch->looking)
		begin_look(watch);
	arm(watch->poll, watch->config.poll_ms);
}

struct filewatch *filewatch_open(struct event_base *base, const struct filewatch_config *config,
        const struct fileset *set, struct err *err)
{
	struct helper *helper = helper_open(base, err);
	if (helper == NULL)
		return NULL;
	struct filewatch *watch = mem_zalloc(1, sizeof *watch);
	*watch = (struct filewatch){.config = *config, .helper = helper};
	set_copy(&watch->set, set);
	watch->settled = event_new(base, -1, 0, on_settled, watch);
	watch->poll = event_new(base, -1, 0, on_poll, watch);
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd >= 0) {
		watch->readable = event_new(base, watch->fd, EV_READ | EV_PERSIST, on_readable, watch);
		event_add(watch->readable, NULL);
	} else {
		log_warn("filewatch", "inotify is not to be had (%s); changes are seen every %lld ms",
		        strerror(errno), (long long)config->poll_ms);
	}
	arm(watch->poll, config->poll_ms);
	begin_look(watch);
	return watch;
}

void filewatch_use(struct filewatch *watch, const struct fileset *set)
{
	struct fileset before = watch->set;
	set_copy(&watch->set, set);
	set_free(&before);
	watch->old = watch->looking;
	begin_look(watch);
}

void filewatch_close(struct filewatch *watch)
{
	if (watch == NULL)
		return;
	watch->closing = true;
	helper_close(watch->helper, CLOSE_MS);
	if (watch->readable)
		event_free(watch->readable);
	event_free(watch->settled);
	event_free(watch->poll);
	if (watch->fd >= 0)
		close(watch->fd);
	set_free(&watch->set);
	mem_free(watch);
}
