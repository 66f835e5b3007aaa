/* `millrace config`: the effective configuration, and what can be configured. */
#include "command.h"
#include "config.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace config show [-c] FILE | defaults | schema | reference\n"
        "\n"
        "Shows the effective configuration of a file, or what can be configured at all.\n"
        "\n"
        "examples:\n"
        "  millrace config show millrace.yaml        every value, and where it came from\n"
        "  millrace config defaults > millrace.yaml  a commented file to begin with\n"
        "  millrace config schema > schema.json      JSON Schema, for editors and charts\n"
        "  millrace config reference                 all keys as a Markdown table\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       show: the configuration [$MILLRACE_CONFIG]\n"
        "  -h, --help              this text\n"
        "\n"
        "Secrets are shown as \"<redacted>\": passwords, tokens, and all that was read by\n"
        "{file: PATH}.\n"
        "exit codes: 0 done, 2 usage, 78 the configuration does not load.\n"
        "See also: millrace check --help\n";

static int print(struct buf *out)
{
	bool written = fwrite(out->data, 1, out->size, stdout) == out->size && fflush(stdout) == 0;
	buf_free(out);
	if (!written)
		perror("millrace config: standard output");
	return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int show(const char *path)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	struct config *config = config_load(path, &report);
	if (report.text.size)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	if (config == NULL)
		return EXIT_CONFIG;
	struct buf out;
	buf_init(&out, 0);
	config_show(config, &out);
	config_free(config);
	return print(&out);
}

static int describe(const char *what)
{
	static const char *const names[] = {"show", "defaults", "schema", "reference"};
	struct buf out;
	buf_init(&out, 0);
	if (strcmp(what, "defaults") == 0)
		config_defaults(&out);
	else if (strcmp(what, "schema") == 0)
		config_schema(&out);
	else if (strcmp(what, "reference") == 0)
		config_reference(&out);
	if (out.size)
		return print(&out);
	const char *near = text_did_you_mean(what, names, sizeof names / sizeof *names);
	if (near)
		return command_usage("config", "unknown word '%s'; did you mean '%s'?", what, near);
	return command_usage(
	        "config", "unknown word '%s'; expected show, defaults, schema or reference", what);
}

int command_config(int argc, char **argv)
{
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
	        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *path = NULL;
	int option;
	while ((option = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1)
		switch (option) {
		case 'c': path = optarg; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	const char *what = optind < argc ? argv[optind++] : NULL;
	if (what == NULL)
		return command_usage("config", "expected show, defaults, schema or reference");
	bool showing = strcmp(what, "show") == 0;
	if (showing && path == NULL && optind < argc)
		path = argv[optind++];
	if (optind < argc)
		return command_usage("config", "unexpected argument '%s'", argv[optind]);
	if (!showing)
		return describe(what);
	if (path == NULL)
		path = getenv("MILLRACE_CONFIG");
	return path ? show(path)
	            : command_usage("config", "no configuration: give a FILE or set MILLRACE_CONFIG");
}
