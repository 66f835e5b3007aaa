/* Lines on a descriptor as a sink. */
#include "buf.h"
#include "list.h"
#include "mem.h"
#include "sink.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Written from serve, or earlier when so much has come; beyond FULL nothing more is taken. */
enum { EARLY = 64 * 1024, FULL = 1024 * 1024, FILE_CHUNK = 256 * 1024 };

struct pending {
	struct output *output;
	uint64_t end; /* of its line, counted from the first byte ever taken */
};

struct sink_file {
	struct sink sink; /* first */
	int fd;
	bool may_wait; /* a pipe, a socket, a terminal: asked before each write, never set non-blocking,
	                  since the descriptor may be shared with other programs */
	struct event *writable; /* NULL: nobody is woken */
	struct buf buf;         /* lines taken; those before `at` are written */
	size_t at;
	char last;               /* byte written */
	uint64_t taken, written; /* bytes ever */
	struct pending *pending; /* in the order taken; those before `first` are settled */
	size_t first, count, capacity;
	int error;    /* errno of the write that failed, until the next serve; 0 = none */
	bool no_room; /* somebody was sent away */
};

static struct sink_file *file_of(struct sink *sink)
{
	return container_of(sink, struct sink_file, sink);
}

static size_t unwritten(const struct sink_file *file)
{
	return file->buf.size - file->at;
}

/* Drops what is written. */
static void compact(struct sink_file *file)
{
	size_t left = unwritten(file);
	if (left > 0)
		memmove(file->buf.data, file->buf.data + file->at, left);
	file->buf.size = left;
	file->at = 0;
}

/* Whoever sees POLLOUT may write PIPE_BUF bytes without waiting (pipe(7)), no more. */
static ssize_t write_some(struct sink_file *file)
{
	size_t size = unwritten(file);
	size_t most = file->may_wait ? PIPE_BUF : FILE_CHUNK;
	struct pollfd waiting = {.fd = file->fd, .events = POLLOUT};
	if (file->may_wait && poll(&waiting, 1, 0) <= 0)
		return 0;
	ssize_t done = write(file->fd, file->buf.data + file->at, size < most ? size : most);
	if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	return done;
}

static void write_all(struct sink_file *file)
{
	ssize_t done = 1;
	while (file->error == 0 && done > 0 && unwritten(file) > 0) {
		done = write_some(file);
		if (done < 0) {
			file->error = errno;
			return;
		}
		if (done > 0)
			file->last = file->buf.data[file->at + (size_t)done - 1];
		file->at += (size_t)done;
		file->written += (uint64_t)done;
	}
	if (unwritten(file) > 0 && file->writable)
		event_add(file->writable, NULL);
}

static void settle(struct sink_file *file, struct output *output, enum output_state state, const char *error)
{
	output->state = state;
	mem_free(output->error);
	output->error = mem_strdup(error);
	file->sink.handlers.settled(file->sink.handlers.context, output);
}

static void settle_written(struct sink_file *file)
{
	while (file->first < file->count && file->pending[file->first].end <= file->written)
		settle(file, file->pending[file->first++].output, OUTPUT_ACKED, NULL);
	if (file->first == file->count)
		file->first = file->count = 0;
}

/* Bytes of the line that the unwritten ones begin with. */
static size_t line_size(const struct sink_file *file)
{
	const char *from = file->buf.data + file->at, *end = memchr(from, '\n', unwritten(file));
	return end ? (size_t)(end - from) + 1 : unwritten(file);
}

/* Gives everything unwritten back. Of a line that was begun the rest stays, to be written when that is
 * possible again: its output comes twice then, but no line is torn. */
static void settle_failed(struct sink_file *file, const char *error)
{
	struct pending *pending = file->pending;
	size_t first = file->first, count = file->count;
	compact(file);
	size_t rest = file->last == '\n' ? 0 : line_size(file);
	file->buf.size = rest;
	file->taken = file->written + rest;
	file->pending = NULL;
	file->first = file->count = file->capacity = 0;
	for (size_t i = first; i < count; i++)
		settle(file, pending[i].output, OUTPUT_FAILED, error);
	mem_free(pending);
}

static void serve(struct sink *sink)
{
	struct sink_file *file = file_of(sink);
	write_all(file);
	settle_written(file);
	if (file->error) {
		struct err err;
		err_set(&err, "cannot write the lines of %s: %s", sink->config->name, strerror(file->error));
		file->error = 0;
		settle_failed(file, err.text);
	}
	if (file->no_room && unwritten(file) < FULL) {
		file->no_room = false;
		sink->handlers.room(sink->handlers.context);
	}
}

/* One line: line ends inside a value, which in JSON are white space, become blanks. */
static void append_line(struct sink_file *file, const struct output *output)
{
	size_t size = output->value ? output->value_size : strlen("null");
	char *line = buf_reserve(&file->buf, size + 1);
	memcpy(line, output->value ? output->value : "null", size);
	for (char *at = line; (at = memchr(at, '\n', size - (size_t)(at - line)));)
		*at = ' ';
	line[size] = '\n';
	buf_commit(&file->buf, size + 1);
	file->taken += size + 1;
}

static void append_pending(struct sink_file *file, struct output *output)
{
	if (file->first > 0 && file->first >= file->count / 2) {
		file->count -= file->first;
		memmove(file->pending, file->pending + file->first, file->count * sizeof *file->pending);
		file->first = 0;
	}
	if (file->count == file->capacity) {
		file->capacity = file->capacity ? 2 * file->capacity : 64;
		file->pending = mem_realloc(file->pending, file->capacity * sizeof *file->pending);
	}
	file->pending[file->count++] = (struct pending){output, file->taken};
}

static enum sink_sent send_output(struct sink *sink, struct output *output)
{
	struct sink_file *file = file_of(sink);
	if (sink->config->max_bytes > 0 && output_bytes(output) > sink->config->max_bytes) {
		mem_free(output->error);
		output->error = mem_printf("%zu bytes, but max_bytes of %s is %zu", output_bytes(output),
		        sink->config->name, sink->config->max_bytes);
		output->state = OUTPUT_REFUSED;
		return SINK_REFUSED;
	}
	if (unwritten(file) >= FULL) {
		file->no_room = true;
		return SINK_NO_ROOM;
	}
	if (file->at > unwritten(file))
		compact(file);
	append_line(file, output);
	append_pending(file, output);
	output->state = OUTPUT_SENT;
	if (unwritten(file) >= EARLY)
		write_all(file);
	return SINK_TAKEN;
}

static size_t outstanding(const struct sink *sink)
{
	const struct sink_file *file = container_of(sink, const struct sink_file, sink);
	return file->count - file->first;
}

static size_t held_bytes(const struct sink *sink)
{
	return unwritten(container_of(sink, const struct sink_file, sink));
}

static bool ready(const struct sink *sink)
{
	(void)sink;
	return true;
}

static void close_file(struct sink *sink)
{
	struct sink_file *file = file_of(sink);
	serve(sink);
	settle_failed(file, "closed before it was written");
	if (file->writable)
		event_free(file->writable);
	buf_free(&file->buf);
	mem_free(file->pending);
	mem_free(file);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context; /* the loop's turn serves the sink */
}

void sink_file_wake(struct sink *sink, struct event_base *base)
{
	struct sink_file *file = file_of(sink);
	if (file->may_wait && file->writable == NULL)
		file->writable = event_new(base, file->fd, EV_WRITE, on_writable, NULL);
}

struct sink *sink_file_open(int fd, const struct sink_config *config, const struct sink_handlers *handlers)
{
	static const struct sink_verbs verbs = {
	        .send = send_output,
	        .serve = serve,
	        .outstanding = outstanding,
	        .held_bytes = held_bytes,
	        .ready = ready,
	        .close = close_file,
	};
	struct stat stat;
	struct sink_file *file = mem_zalloc(1, sizeof *file);
	file->sink = (struct sink){&verbs, config, *handlers};
	file->fd = fd;
	file->may_wait = fstat(fd, &stat) == 0 && (S_ISFIFO(stat.st_mode) || S_ISSOCK(stat.st_mode) ||
	                                                  (S_ISCHR(stat.st_mode) && isatty(fd)));
	file->last = '\n';
	buf_init(&file->buf, 0);
	return &file->sink;
}
