/* JSON lines of a descriptor as a source with one partition. */
#include "buf.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "source.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, MESSAGES_PER_PUMP = 256, CHUNKS_PER_PUMP = 64 };

struct source_file {
	struct source source; /* first */
	int fd;
	struct event *readable; /* NULL for what never makes a reader wait: files, /dev/null */
	size_t max_line;
	struct partition partition;
	struct buf buf; /* bytes read: those before `at` are done with */
	size_t at;
	size_t scanned; /* up to here, from `at` on, there is no line end */
	int64_t line;   /* number of the one that begins at `at` */
	bool skipping;  /* what comes up to the next line end is the rest of a line cut at max_line */
	bool told, cut_told;
	bool ended; /* of the file */
	bool stopped;
};

static struct source_file *file_of(struct source *source)
{
	return container_of(source, struct source_file, source);
}

static const struct source_file *file_of_const(const struct source *source)
{
	return container_of(source, const struct source_file, source);
}

static bool may_wait(int fd)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0)
		return false;
	return S_ISFIFO(stat.st_mode) || S_ISSOCK(stat.st_mode) || (S_ISCHR(stat.st_mode) && isatty(fd));
}

/* The loop's turn does the work; the event has only to end the wait for it. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
}

static bool blank(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

static void hand_over(struct source_file *file, size_t size)
{
	const char *line = file->buf.data + file->at;
	if (blank(line, size))
		return;
	struct source_message message = {.partition = &file->partition,
	        .offset = file->line,
	        .timestamp = clock_wall(),
	        .value = {line, size}};
	file->source.handlers.message(file->source.handlers.context, &message);
}

/* Drops what was done with, when that is at least half of the bytes: each byte is moved at most once or so.
 */
static void compact(struct source_file *file)
{
	if (file->at < file->buf.size && file->at < file->buf.size / 2)
		return;
	size_t left = file->buf.size - file->at;
	if (left > 0)
		memmove(file->buf.data, file->buf.data + file->at, left);
	file->buf.size = 0;
	if (left > 0)
		buf_commit(&file->buf, left);
	file->scanned -= file->at;
	file->at = 0;
}

static void line_done(struct source_file *file, size_t end)
{
	file->at = file->scanned = end;
	file->line++;
	file->skipping = false;
}

/* A line that outgrew max_line is handed over cut, so that it fails by itself and visibly. */
static void cut_line(struct source_file *file)
{
	if (!file->cut_told)
		log_warn("source",
		        "%s: line %lld is longer than %zu bytes: it is cut there and will be refused",
		        file->partition.topic, (long long)file->line + 1, file->max_line);
	file->cut_told = true;
	hand_over(file, file->max_line);
	file->skipping = true;
}

/* Takes one line, or the beginning of one, out of the bytes read; false when they hold none that is whole. */
static bool take_line(struct source_file *file)
{
	size_t left = file->buf.size - file->scanned;
	const char *end = left ? memchr(file->buf.data + file->scanned, '\n', left) : NULL;
	file->scanned = end ? (size_t)(end - file->buf.data) : file->buf.size;
	size_t size = file->scanned - file->at;
	if (!file->skipping && size > file->max_line)
		cut_line(file);
	else if (!file->skipping && (end || (file->ended && size > 0)))
		hand_over(file, size);
	else if (end == NULL && !file->skipping)
		return false;
	if (end || file->ended)
		line_done(file, file->scanned + (end != NULL));
	else
		file->at = file->scanned;
	return end != NULL;
}

/* More bytes, or the end. False when there are none now. */
static bool read_more(struct source_file *file)
{
	struct pollfd waiting = {.fd = file->fd, .events = POLLIN};
	if (file->readable && poll(&waiting, 1, 0) == 0)
		return false;
	compact(file);
	ssize_t got = read(file->fd, buf_reserve(&file->buf, CHUNK), CHUNK);
	if (got > 0) {
		buf_commit(&file->buf, (size_t)got);
		return true;
	}
	if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	file->ended = true;
	if (got < 0) {
		struct err err;
		err_set(&err, "cannot read %s: %s", file->partition.topic, strerror(errno));
		file->source.handlers.failed(file->source.handlers.failed_context, err.text);
	}
	return true;
}

static bool finished(const struct source *source)
{
	const struct source_file *file = file_of_const(source);
	return file->ended && file->at == file->buf.size;
}

static bool pump(struct source *source)
{
	struct source_file *file = file_of(source);
	int64_t first = file->line;
	size_t chunks = 0;
	if (!file->told && !file->stopped) {
		file->told = true;
		source->handlers.taken(source->handlers.context, &file->partition);
	}
	while (!file->stopped && !finished(source) && source->handlers.room(source->handlers.context)) {
		if (file->line - first >= MESSAGES_PER_PUMP || chunks >= CHUNKS_PER_PUMP)
			return true;
		if (take_line(file) || file->ended)
			continue;
		if (!read_more(file)) {
			if (file->readable)
				event_add(file->readable, NULL);
			return false;
		}
		chunks++;
	}
	return false;
}

static void commit(struct source *source, bool now)
{
	(void)source, (void)now;
}

static const char *trouble(const struct source *source, size_t n)
{
	(void)source;
	(void)n;
	return NULL;
}

static bool ready(const struct source *source)
{
	return file_of_const(source)->told;
}

static void stop(struct source *source)
{
	struct source_file *file = file_of(source);
	file->stopped = true;
	if (file->readable)
		event_del(file->readable);
}

static bool close_file(struct source *source)
{
	stop(source);
	return true;
}

static void destroy(struct source *source)
{
	struct source_file *file = file_of(source);
	if (file->readable)
		event_free(file->readable);
	buf_free(&file->buf);
	offsets_close(file->partition.offsets);
	mem_free(file->partition.topic);
	mem_free(file);
}

struct source *source_file_open(struct event_base *base, int fd, const char *name, size_t max_line,
        const struct source_handlers *handlers)
{
	static const struct source_verbs verbs = {
	        pump, commit, ready, trouble, finished, stop, close_file, destroy};
	struct source_file *file = mem_zalloc(1, sizeof *file);
	file->source.verbs = &verbs;
	file->source.handlers = *handlers;
	file->fd = fd;
	file->max_line = max_line;
	buf_init(&file->buf, 0);
	file->partition = (struct partition){.topic = mem_strdup(name),
	        .state = PARTITION_READING,
	        .offsets = offsets_open(0, NULL, 0),
	        .until = -1,
	        .committed = -1,
	        .high = -1};
	list_init(&file->source.partitions, "partitions");
	list_append(&file->source.partitions, &file->partition.node);
	if (may_wait(fd))
		file->readable = event_new(base, fd, EV_READ, on_readable, NULL);
	return &file->source;
}
