/* `millrace metrics`: every metric that an engine exports, with type, labels and help. */
#include "command.h"
#include "metrics.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
        "usage: millrace metrics [--markdown | --json]\n"
        "\n"
        "Lists every metric that a running engine has at /metrics: name, type, labels, help.\n"
        "\n"
        "examples:\n"
        "  millrace metrics | grep http\n"
        "  millrace metrics --json | jq -r '.[].name'\n"
        "\n"
        "options:\n"
        "      --markdown          a Markdown table\n"
        "      --json              a list of objects\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 2 usage.\n"
        "See also: millrace run --help\n";

enum form { FORM_TEXT, FORM_MARKDOWN, FORM_JSON };

static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

static void print_json(const struct metric_declaration *metric, bool first)
{
	const char *const texts[] = {metric->name, types[metric->type], metric->labels, metric->help};
	static const char *const names[] = {"name", "type", "labels", "help"};
	struct buf line;
	buf_init(&line, 0);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		buf_printf(&line, "%s\"%s\":", i ? "," : "{", names[i]);
		text_json_string(&line, texts[i], strlen(texts[i]));
	}
	printf("%s%s}", first ? "[" : ",\n ", line.data);
	buf_free(&line);
}

/* "client, code (at most 20, then other)" */
static void print_labels(enum metric metric)
{
	const char *open, *at = metrics_declaration(metric)->labels;
	size_t cap = metrics_cap(metric, &open);
	for (const char *separator = ""; *at; separator = ", ") {
		size_t size = strcspn(at, ",");
		printf("%s%.*s", separator, (int)size, at);
		if (cap && strlen(open) == size && strncmp(at, open, size) == 0)
			printf(" (capped: %zu, then `other`)", cap);
		at += size + (at[size] == ',');
	}
}

static void print_row(enum metric metric)
{
	const struct metric_declaration *declaration = metrics_declaration(metric);
	printf("| `%s` | %s | ", declaration->name, types[declaration->type]);
	print_labels(metric);
	printf(" | %s |\n", declaration->help);
}

static void print_one(const struct metric_declaration *metric, enum form form, bool first)
{
	const char *labels = *metric->labels ? metric->labels : "-";
	switch (form) {
	case FORM_JSON: print_json(metric, first); break;
	default: printf("%-52s %-9s %-22s %s\n", metric->name, types[metric->type], labels, metric->help);
	}
}

static int print_all(enum form form)
{
	if (form == FORM_MARKDOWN)
		puts("| metric | type | labels | |\n| --- | --- | --- | --- |");
	for (int i = 0; i < METRIC_COUNT; i++)
		if (form == FORM_MARKDOWN)
			print_row((enum metric)i);
		else
			print_one(metrics_declaration((enum metric)i), form, i == 0);
	if (form == FORM_JSON)
		puts("]");
	return EXIT_SUCCESS;
}

int command_metrics(int argc, char **argv)
{
	enum { MARKDOWN = 256, JSON };
	static const struct option long_options[] = {
	        {"markdown", no_argument, NULL, MARKDOWN},
	        {"json", no_argument, NULL, JSON},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	enum form form = FORM_TEXT;
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case MARKDOWN: form = FORM_MARKDOWN; break;
		case JSON: form = FORM_JSON; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("metrics", "unexpected argument '%s'", argv[optind]);
	return print_all(form);
}
