/* One structured line per fact on stderr, repeats throttled.
 *
 * Text on a terminal, else one JSON object a line with ECS field names (https://www.elastic.co/guide/en/ecs),
 * as Wikimedia's log pipeline reads them. Event content and secrets never go into a message at info level or
 * above. Safe from any thread. */
#ifndef MILLRACE_LOG_H
#define MILLRACE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON, LOG_LOGFMT };

/* One call site: at most one line every 10 s when throttled, then with the count of those left out. */
struct log_site {
	int64_t last;        /* steady ms of the last line, 0 = never */
	uint64_t suppressed; /* lines left out since */
};

void log_init(enum log_format format, enum log_level level, const char *service); /* borrows service */
void log_set_level(enum log_level level);
enum log_level log_level(void);
const char *log_level_name(enum log_level level);
bool log_level_parse(const char *text, enum log_level *level);
void log_write(enum log_level level, struct log_site *site, const char *module, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* Lines go to `hear` from now on and not to stderr; called under the log's lock, on whatever thread writes.
 */
void log_listen(void (*hear)(enum log_level level, const char *module, const char *message));
/* A line that stays the last one on a terminal while others go by above it, such as how far a run is; ""
 * takes it away. At most 250 bytes are shown. */
void log_status(const char *text);
/* Lines written at a level, and lines throttled away, since the start (for the metrics). */
uint64_t log_lines(enum log_level level);
uint64_t log_suppressed(void);

#define log_debug(module, ...) log_write(LOG_DEBUG, NULL, module, __VA_ARGS__)
#define log_info(module, ...) log_write(LOG_INFO, NULL, module, __VA_ARGS__)
#define log_warn(module, ...) log_write(LOG_WARN, NULL, module, __VA_ARGS__)
#define log_error(module, ...) log_write(LOG_ERROR, NULL, module, __VA_ARGS__)
/* For what may happen once per record or per call. */
#define log_throttled(level, module, ...)                                                                    \
	do {                                                                                                 \
		static struct log_site log_site_here;                                                        \
		log_write(level, &log_site_here, module, __VA_ARGS__);                                       \
	} while (0)

#endif
