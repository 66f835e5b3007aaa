/* `millrace explain`: a page about each code that an error message has. */
#include "command.h"
#include "buf.h"
#include "explain.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
        "usage: millrace explain [CODE | TYPE]\n"
        "\n"
        "Tells what a code in an error message means, what mostly causes it and what to do;\n"
        "of the type of a failure, what can be behind it. Without an argument: all codes.\n"
        "\n"
        "examples:\n"
        "  millrace explain M201\n"
        "  millrace explain HttpStatus     the error_type of an error event, or a metric's label\n"
        "  millrace explain | grep -i schema\n"
        "\n"
        "options:\n"
        "      --json              all pages, or the one asked for, as JSON: one object a line\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 2 usage or an unknown code.\n"
        "See also: millrace check --help, millrace enrich --help\n";

enum { WIDTH = 80 };

/* Words of a paragraph, in lines; `first` stands before the first line, the others are indented as far. */
static void print_wrapped(const char *first, const char *text, size_t size)
{
	size_t indent = strlen(first), column = indent;
	bool begun = false;
	fputs(first, stdout);
	for (const char *at = text, *end = text + size; at < end;) {
		const char *space = memchr(at, ' ', (size_t)(end - at));
		size_t length = (size_t)((space ? space : end) - at);
		if (begun && column + 1 + length > WIDTH) {
			printf("\n%*s", (int)indent, "");
			column = indent;
			begun = false;
		}
		column += (size_t)printf("%s%.*s", begun ? " " : "", (int)length, at);
		begun = true;
		at += length + (space ? 1 : 0);
	}
	putchar('\n');
}

static void print_lines(const char *first, const char *text, bool wrapped)
{
	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "\n");
		if (wrapped)
			print_wrapped(first, at, length);
		else
			printf("%s%.*s\n", first, (int)length, at);
		at += length + (at[length] == '\n');
	}
}

static void print_page(enum code code)
{
	const struct explain_page *page = explain_page(code);
	printf("%s: %s\n", explain_code(code), page->title);
	if (page->type)
		printf("(the type %s in error events and metrics)\n", page->type);
	putchar('\n');
	print_wrapped("", page->meaning, strlen(page->meaning));
	puts("\nMost often:");
	print_lines("  * ", page->causes, true);
	if (page->before) {
		puts("\nInstead of");
		print_lines("    ", page->before, false);
		puts("write");
		print_lines("    ", page->after, false);
	}
	putchar('\n');
	print_wrapped("What to do: ", page->todo, strlen(page->todo));
}

static void append_member(struct buf *out, const char *name, const char *text)
{
	if (text)
		text_json_member(out, name, text);
}

static void print_json(enum code code)
{
	const struct explain_page *page = explain_page(code);
	struct buf line;
	buf_init(&line, 0);
	buf_printf(&line, "{\"code\":\"%s\",\"severity\":\"%s\"", explain_code(code),
	        explain_severity(code) == SEVERITY_ERROR ? "error" : "warning");
	append_member(&line, "title", page->title);
	append_member(&line, "type", page->type);
	append_member(&line, "meaning", page->meaning);
	append_member(&line, "causes", page->causes);
	append_member(&line, "before", page->before);
	append_member(&line, "after", page->after);
	append_member(&line, "todo", page->todo);
	printf("%s}\n", line.data);
	buf_free(&line);
}

static int print_all(bool json)
{
	for (int code = M000_NONE + 1; code < EXPLAIN_COUNT; code++) {
		if (json)
			print_json((enum code)code);
		else
			printf("%s  %-7s  %s\n", explain_code((enum code)code),
			        explain_severity((enum code)code) == SEVERITY_ERROR ? "error" : "warning",
			        explain_page((enum code)code)->title);
	}
	return EXIT_SUCCESS;
}

/* A failure type: its page, or the list of those that it may be. */
static bool print_type(const char *type, bool json)
{
	enum code only = M000_NONE;
	unsigned count = 0;
	for (int code = M000_NONE + 1; code < EXPLAIN_COUNT; code++) {
		const char *of = explain_page((enum code)code)->type;
		if (of && strcmp(of, type) == 0) {
			count++;
			only = (enum code)code;
		}
	}
	if (count == 1 && !json)
		print_page(only);
	else if (count > 1 && !json)
		printf("%s is one of these; the message says which:\n", type);
	for (int code = M000_NONE + 1; code < EXPLAIN_COUNT && (count > 1 || json); code++) {
		const struct explain_page *page = explain_page((enum code)code);
		if (page->type == NULL || strcmp(page->type, type) != 0)
			continue;
		if (json)
			print_json((enum code)code);
		else
			printf("  %s  %s\n", explain_code((enum code)code), page->title);
	}
	return count > 0;
}

static int unknown(const char *word)
{
	const char *names[2 * EXPLAIN_COUNT];
	size_t count = 0;
	for (int code = M000_NONE + 1; code < EXPLAIN_COUNT; code++) {
		const char *type = explain_page((enum code)code)->type;
		names[count++] = explain_code((enum code)code);
		if (type)
			names[count++] = type;
	}
	const char *near = text_did_you_mean(word, names, count);
	if (near)
		return command_usage("explain", "there is no code '%s'; did you mean '%s'?", word, near);
	return command_usage("explain",
	        "there is no code '%s'; 'millrace explain' lists them all. A type that is not listed is the "
	        "script's own: look for millrace.fail in it",
	        word);
}

int command_explain(int argc, char **argv)
{
	static const struct option long_options[] = {
	        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool json = false;
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case 'j': json = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (argc - optind > 1)
		return command_usage("explain", "unexpected argument '%s'", argv[optind + 1]);
	if (optind == argc)
		return print_all(json);
	enum code code = explain_find(argv[optind]);
	if (code == M000_NONE)
		return print_type(argv[optind], json) ? EXIT_SUCCESS : unknown(argv[optind]);
	if (json)
		print_json(code);
	else
		print_page(code);
	return EXIT_SUCCESS;
}
