/* One structured line per fact on stderr, repeats throttled. */
#include "log.h"
#include "buf.h"
#include "clock.h"
#include "text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEAR_LINE "\r\033[K"

enum { THROTTLE_MS = 10000, LINE_LIMIT = 16384 };

static const char *const level_names[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

/* The one process-wide sink. */
static struct {
	pthread_mutex_t mutex;
	enum log_format format;
	_Atomic enum log_level level;
	bool colour;
	const char *service;
	char status[256];          /* stands below the last line; "" = none */
	_Atomic uint64_t lines[4]; /* read by the loop without the mutex, as is level */
	_Atomic uint64_t suppressed;
	void (*hear)(enum log_level level, const char *module, const char *message); /* instead of stderr */
} sink = {.mutex = PTHREAD_MUTEX_INITIALIZER, .format = LOG_TEXT, .level = LOG_INFO, .service = "millrace"};

void log_init(enum log_format format, enum log_level level, const char *service)
{
	bool terminal = isatty(STDERR_FILENO);
	const char *term = getenv("TERM");
	sink.format = format != LOG_AUTO ? format : terminal ? LOG_TEXT : LOG_JSON;
	sink.colour = terminal && getenv("NO_COLOR") == NULL && (term == NULL || strcmp(term, "dumb") != 0);
	sink.level = level;
	sink.service = service;
}

void log_set_level(enum log_level level)
{
	sink.level = level;
}

enum log_level log_level(void)
{
	return sink.level;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
		if (strcmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}

static bool moves_terminal(char byte)
{
	unsigned char c = (unsigned char)byte;
	return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
}

/* Cuts a message that is too long, between two characters. */
static void cut(struct buf *message)
{
	if (message->size <= LINE_LIMIT)
		return;
	message->size = LINE_LIMIT;
	while (message->size > LINE_LIMIT - 4 && (message->data[message->size] & 0xC0) == 0x80)
		message->size--;
	buf_append_text(message, "...");
}

static void format_text(struct buf *line, enum log_level level, const char *time, const char *module,
        const struct buf *message)
{
	static const char *const colours[] = {
	        [LOG_DEBUG] = "\033[2m", [LOG_INFO] = "", [LOG_WARN] = "\033[33m", [LOG_ERROR] = "\033[31m"};
	const char *on = sink.colour ? colours[level] : "";
	buf_printf(
	        line, "%.8s %s%-5s%s %s: ", time + 11, on, level_names[level], *on ? "\033[0m" : "", module);
	for (size_t i = 0; i < message->size;
	        i++) /* a control character must not move the reader's terminal */
		buf_append_byte(line, moves_terminal(message->data[i]) ? '?' : message->data[i]);
}

static void format_json(struct buf *line, enum log_level level, const char *time, const char *module,
        const struct buf *message)
{
	buf_printf(line,
	        "{\"@timestamp\":\"%s\",\"log.level\":\"%s\",\"log.logger\":\"%s\",\"message\":", time,
	        level_names[level], module);
	text_json_string(line, message->data ? message->data : "", message->size);
	buf_append_text(line, ",\"service.name\":");
	text_json_string(line, sink.service, strlen(sink.service));
	buf_append_text(line, ",\"ecs.version\":\"1.11.0\"}");
}

static void format_logfmt(struct buf *line, enum log_level level, const char *time, const char *module,
        const struct buf *message)
{
	buf_printf(line, "ts=%s level=%s logger=%s msg=", time, level_names[level], module);
	text_json_string(line, message->data ? message->data : "", message->size);
}

/* True when the site may speak now; counts what it may not say. */
static bool site_speaks(struct log_site *site, uint64_t *suppressed)
{
	int64_t now = clock_now();
	if (site->last != 0 && now - site->last < THROTTLE_MS) {
		site->suppressed++;
		sink.suppressed++;
		return false;
	}
	*suppressed = site->suppressed;
	site->suppressed = 0;
	site->last = now ? now : 1;
	return true;
}

void log_write(enum log_level level, struct log_site *site, const char *module, const char *format, ...)
{
	if (level < sink.level)
		return;
	uint64_t suppressed = 0;
	pthread_mutex_lock(&sink.mutex);
	if (site == NULL || site_speaks(site, &suppressed)) {
		struct buf message, line;
		char time[CLOCK_TEXT];
		buf_init(&message, 0);
		buf_init(&line, 0);
		if (sink.status[0])
			buf_append_text(&line, CLEAR_LINE);
		va_list args;
		va_start(args, format);
		buf_vprintf(&message, format, args);
		va_end(args);
		cut(&message);
		if (suppressed)
			buf_printf(&message, " (and %llu more like it)", (unsigned long long)suppressed);
		clock_format(clock_wall(), time);
		if (sink.format == LOG_JSON)
			format_json(&line, level, time, module, &message);
		else if (sink.format == LOG_LOGFMT)
			format_logfmt(&line, level, time, module, &message);
		else
			format_text(&line, level, time, module, &message);
		buf_append_byte(&line, '\n');
		buf_append_text(&line, sink.status);
		if (sink.hear) {
			sink.hear(level, module, message.data ? message.data : "");
		} else {
			ssize_t written = write(STDERR_FILENO, line.data, line.size);
			(void)written; /* nobody is left to tell */
		}
		sink.lines[level]++;
		buf_free(&message);
		buf_free(&line);
	}
	pthread_mutex_unlock(&sink.mutex);
}

void log_listen(void (*hear)(enum log_level level, const char *module, const char *message))
{
	pthread_mutex_lock(&sink.mutex);
	sink.hear = hear;
	pthread_mutex_unlock(&sink.mutex);
}

void log_status(const char *text)
{
	char line[sizeof CLEAR_LINE + sizeof sink.status];
	pthread_mutex_lock(&sink.mutex);
	snprintf(sink.status, sizeof sink.status, "%s", text);
	int size = snprintf(line, sizeof line, CLEAR_LINE "%s", sink.status);
	ssize_t written = write(STDERR_FILENO, line, (size_t)size);
	(void)written;
	pthread_mutex_unlock(&sink.mutex);
}

uint64_t log_lines(enum log_level level)
{
	return sink.lines[level];
}

uint64_t log_suppressed(void)
{
	return sink.suppressed;
}
