/* What the verbs of the command line share. */
#include "command.h"
#include "clock.h"
#include "mem.h"
#include "script_trouble.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int command_usage(const char *verb, const char *format, ...)
{
	va_list args;
	fprintf(stderr, "millrace %s: ", verb);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry 'millrace %s --help'.\n", verb);
	return EXIT_USAGE;
}

int command_bad_option(char **argv, int option, const struct option *long_options)
{
	const char *names[64], *given = argv[optind - 1];
	size_t count = 0;
	if (option == ':')
		return command_usage(argv[0], "option '%s' needs a value", given);
	if (optopt && optopt < 256)
		return command_usage(argv[0], "unknown option '-%c'", optopt);
	for (; long_options->name && count < 64; long_options++)
		names[count++] = long_options->name;
	const char *near = strncmp(given, "--", 2) == 0 ? text_did_you_mean(given + 2, names, count) : NULL;
	if (near)
		return command_usage(argv[0], "unknown option '%s'; did you mean '--%s'?", given, near);
	return command_usage(argv[0], "unknown option '%s'", given);
}

bool command_token(const char *verb, const char *path, char token[COMMAND_TOKEN_MAX])
{
	FILE *file = fopen(path, "re");
	size_t size = file ? fread(token, 1, COMMAND_TOKEN_MAX - 1, file) : 0;
	bool good = file && !ferror(file);
	if (!good)
		fprintf(stderr, "millrace %s: --token-file: %s: %s\n", verb, path, strerror(errno));
	if (file)
		fclose(file);
	while (size && (token[size - 1] == '\n' || token[size - 1] == '\r'))
		size--;
	token[size] = '\0';
	if (good && size == 0)
		fprintf(stderr, "millrace %s: --token-file: %s is empty\n", verb, path);
	return good && size > 0;
}

bool command_colour(int fd)
{
	const char *term = getenv("TERM");
	return isatty(fd) && getenv("NO_COLOR") == NULL && (term == NULL || strcmp(term, "dumb") != 0);
}

static const struct {
	const char *name;
	enum log_format format;
} formats[] = {{"auto", LOG_AUTO}, {"text", LOG_TEXT}, {"json", LOG_JSON}, {"logfmt", LOG_LOGFMT}};

static bool format_parse(const char *text, enum log_format *format)
{
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (strcmp(text, formats[i].name) == 0) {
			*format = formats[i].format;
			return true;
		}
	return false;
}

bool command_log_option(struct command_log *log, int option)
{
	if (option == COMMAND_LOG_LEVEL)
		log->level = optarg;
	else if (option == COMMAND_LOG_FORMAT)
		log->format = optarg;
	else
		return false;
	return true;
}

bool command_log_good(const char *verb, const struct command_log *log)
{
	enum log_level level;
	enum log_format format;
	if (log->level && !log_level_parse(log->level, &level)) {
		command_usage(
		        verb, "--log-level: expected debug, info, warn or error, found '%s'", log->level);
		return false;
	}
	if (log->format && !format_parse(log->format, &format)) {
		command_usage(
		        verb, "--log-format: expected auto, text, json or logfmt, found '%s'", log->format);
		return false;
	}
	return true;
}

void command_log_init(
        const struct command_log *log, enum log_format format, enum log_level level, const char *service)
{
	if (log->format)
		format_parse(log->format, &format);
	if (log->level)
		log_level_parse(log->level, &level);
	log_init(format, level, service);
}

int command_resolve_streams(struct config *config, int64_t patience_ms)
{
	enum { WAIT_SECONDS = 5 };
	int64_t until = clock_now() + patience_ms;
	for (;;) {
		struct config_report report = {.colour = command_colour(STDERR_FILENO)};
		enum config_streams outcome = config_resolve_streams(config, &report);
		if (report.text.size)
			fputs(report.text.data, stderr);
		config_report_free(&report);
		if (outcome == CONFIG_STREAMS_GOOD)
			return EXIT_SUCCESS;
		if (outcome == CONFIG_STREAMS_BAD)
			return EXIT_CONFIG;
		if (clock_now() + WAIT_SECONDS * 1000 > until)
			return EXIT_UNREACHABLE;
		sleep(WAIT_SECONDS);
	}
}

struct config *command_load(const char *path, int *code)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	struct config *config = config_load(path, &report);
	if (report.text.size)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	*code = config ? command_resolve_streams(config, 0) : EXIT_CONFIG;
	if (*code == EXIT_SUCCESS)
		return config;
	config_free(config);
	return NULL;
}

bool command_script_loads(const struct config *config)
{
	struct err err = {""};
	struct script_world world;
	config_world(config, &world);
	struct script *script = script_open(&config->script, &world, &err);
	bool good = script != NULL;
	if (!good) {
		struct buf text;
		struct script_trouble trouble = {.message = err.text, .script = config->script.path};
		buf_init(&text, 0);
		script_trouble_text(&trouble, command_colour(STDERR_FILENO), &text);
		fputs(text.data, stderr);
		buf_free(&text);
	}
	script_release(script);
	mem_free((void *)(size_t)world.sinks);
	return good;
}
