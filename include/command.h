/* The verbs of the command line, and what they share: exit codes, usage errors, options in common. */
#ifndef MILLRACE_COMMAND_H
#define MILLRACE_COMMAND_H

#include "config.h"
#include "log.h"

#include <getopt.h>
#include <stdbool.h>

/* Exit codes (besides EXIT_SUCCESS and EXIT_FAILURE), as <sysexits.h> has them where it has them. */
enum {
	EXIT_USAGE = 2,
	EXIT_DATA = 65,
	EXIT_UNREACHABLE = 69,
	EXIT_DRAIN = 75,
	EXIT_CONFIG = 78,
};

/* argv[0] is the verb; each answers an exit code. */
int command_run(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_enrich(int argc, char **argv);
int command_check(int argc, char **argv);
int command_test(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_limits(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_config(int argc, char **argv);
int command_offsets(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_errors(int argc, char **argv);
int command_tap(int argc, char **argv);
int command_top(int argc, char **argv);
int command_health(int argc, char **argv);
int command_init(int argc, char **argv);
int command_types(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_version(int argc, char **argv);

/* "millrace VERB: ..." and where to read on, on stderr; answers EXIT_USAGE. */
int command_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For what getopt_long answered '?' or ':' to (with ':' first in the short options): names the option, with a
 * "did you mean"; answers EXIT_USAGE. */
int command_bad_option(char **argv, int option, const struct option *long_options);
/* What a token file (--token-file) holds, without its newline; false after the trouble was told. */
enum { COMMAND_TOKEN_MAX = 4096 };
bool command_token(const char *verb, const char *path, char token[COMMAND_TOKEN_MAX]);
/* May colours be used on this descriptor? A terminal, NO_COLOR unset, TERM not dumb. */
bool command_colour(int fd);
/* The options --log-level and --log-format, for every verb that logs: its long options end with COMMAND_LOG,
 * and its switch begins with command_log_option. */
struct command_log {
	const char *level, *format; /* as given; NULL = not */
};
enum { COMMAND_LOG_LEVEL = 512, COMMAND_LOG_FORMAT };
/* clang-format off */
#define COMMAND_LOG                                                                                          \
	{"log-level", required_argument, NULL, COMMAND_LOG_LEVEL},                                           \
	{"log-format", required_argument, NULL, COMMAND_LOG_FORMAT}
/* clang-format on */
/* Takes optarg when the option is one of them. */
bool command_log_option(struct command_log *log, int option);
/* False after a usage error was told. */
bool command_log_good(const char *verb, const struct command_log *log);
/* Begins to log; what was not given is as the other arguments say. Borrows service. */
void command_log_init(
        const struct command_log *log, enum log_format format, enum log_level level, const char *service);

/* Asks what is known of the configuration's streams and tells problems on stderr; while nobody knows it tries
 * again, for `patience_ms`. Answers EXIT_SUCCESS, EXIT_UNREACHABLE or EXIT_CONFIG. */
int command_resolve_streams(struct config *config, int64_t patience_ms);
/* Does the configuration's script load, and pass its selftest? What is wrong is on stderr, with its line. */
bool command_script_loads(const struct config *config);
/* For verbs that look at a job from outside: loads its configuration and asks once for its streams. Problems
 * are on stderr; NULL with *code EXIT_CONFIG or EXIT_UNREACHABLE. */
struct config *command_load(const char *path, int *code);

#endif
