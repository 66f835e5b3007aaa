/* The command line: finds the verb and runs it. */
#include "command.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *purpose;
} commands[] = {
        {"run", command_run, "run the pipeline of a configuration"},
        {"demo", command_demo, "the whole pipeline on an embedded broker and an embedded API"},
        {"enrich", command_enrich, "a script as a filter: JSON lines in, enriched JSON lines out"},
        {"check", command_check, "check configurations and scripts without running them"},
        {"test", command_test, "the tests beside scripts: events, answers, what comes out"},
        {"reload", command_reload, "make a running engine load its script again"},
        {"limits", command_limits, "the limits of a running engine, and who set each; sets them"},
        {"pause", command_pause, "make a running engine take no more records"},
        {"resume", command_resume, "make it take records again"},
        {"config", command_config, "show the effective configuration, the defaults, the schema"},
        {"offsets", command_offsets, "where partitions stand, and where they would start"},
        {"errors", command_errors, "what failed: listed, shown, replayed"},
        {"audit", command_audit, "inputs without an output, an error or a reason; two outputs compared"},
        {"init", command_init, "a new project: script, tests, samples, configuration, editor settings"},
        {"types", command_types, "what scripts may call, as types for the Lua language server"},
        {"tap", command_tap, "what passes through a running engine, live"},
        {"top", command_top, "a running engine at a glance, drawn anew every second"},
        {"health", command_health, "is a running engine alive, or ready?"},
        {"metrics", command_metrics, "every metric at /metrics, with type, labels and help"},
        {"explain", command_explain, "what a code in an error message means, and what to do"},
        {"version", command_version, "what runs, with its libraries"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *to)
{
	fputs("usage: millrace COMMAND [ARGUMENT...]\n"
	      "\n"
	      "Reads events from Kafka, asks an HTTP API about each of them as a Lua script says,\n"
	      "and writes the enriched events to Kafka: in order, nothing lost.\n"
	      "\n"
	      "examples:\n"
	      "  millrace demo\n"
	      "  millrace check millrace.yaml\n"
	      "  millrace run -c millrace.yaml\n"
	      "  millrace enrich script.lua events.jsonl --endpoint http://localhost:6500/w/api.php\n"
	      "\n"
	      "commands:\n",
	        to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-22s  %s\n", commands[i].name, commands[i].purpose);
	fputs("\n"
	      "options:\n"
	      "  -h, --help              this text; 'millrace COMMAND --help' for a command's\n"
	      "  -V, --version           as 'millrace version'\n"
	      "\n"
	      "exit codes: 0 done, 1 failed, 2 usage, 69 unreachable, 75 drain timed out,\n"
	      "78 configuration or script does not load.\n",
	        to);
}

static int unknown(const char *word)
{
	const char *names[COMMANDS];
	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	const char *near = text_did_you_mean(word, names, COMMANDS);
	fprintf(stderr,
	        near ? "millrace: unknown command '%s'; did you mean '%s'?\n"
	             : "millrace: unknown command '%s'\n",
	        word, near);
	fputs("Try 'millrace --help'.\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	mem_open();
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	const char *word = argv[1];
	if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
		return command_version(1, (char *[]){"version", NULL});
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return unknown(word);
}
