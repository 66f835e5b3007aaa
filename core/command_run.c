/* `millrace run`: the pipeline, until a signal ends it. */
#include "clock.h"
#include "command.h"
#include "config.h"
#include "log.h"
#include "mem.h"
#include "signals.h"
#include "worker.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
        "usage: millrace run -c FILE [OPTION...]\n"
        "\n"
        "Runs the pipeline of a configuration file until it is told to stop.\n"
        "\n"
        "examples:\n"
        "  millrace run -c millrace.yaml\n"
        "  millrace check millrace.yaml && millrace run -c millrace.yaml --log-format json\n"
        "  millrace run -c millrace.yaml --group backfill-1 --from 2026-11-01T00:00:00Z --until end\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       the configuration [$MILLRACE_CONFIG]\n"
        "      --group NAME        consumer group, instead of source.group\n"
        "      --from TIME         where the group begins: earliest, latest or a time such as\n"
        "                          2026-11-01T00:00:00Z; needs --group\n"
        "      --until TIME        stop by itself at this time, or at the `end` of the topics as\n"
        "                          it is now; needs --group\n"
        "      --strict-drain      exit 75 when the drain's time was up before all was done\n"
        "      --log-level LEVEL   debug, info, warn or error, instead of log.level\n"
        "      --log-format FORMAT auto, text, json or logfmt, instead of log.format\n"
        "  -h, --help              this text\n"
        "\n"
        "signals: TERM or INT drains (waiting lookups go back at once, calls in the air have\n"
        "`drain`), a second one quits at once. HUP loads the script again.\n"
        "exit codes: 0 stopped as asked, 1 failed, 2 usage, 75 drain timed out, 78 bad\n"
        "configuration or script.\n"
        "See also: millrace check --help, millrace config --help\n";

struct run_options {
	const char *config;
	struct command_log log;
	const char *group, *from, *until;
	bool strict_drain;
};

static void replace(char **text, const char *by)
{
	if (by == NULL)
		return;
	mem_free(*text);
	*text = mem_strdup(by);
}

static int run(const struct run_options *options)
{
	struct config_report report = {0};
	struct config *config = config_load(options->config, &report);
	if (report.text.size)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	if (config == NULL)
		return EXIT_CONFIG;
	replace(&config->source.group, options->group);
	replace(&config->source.start, options->from);
	replace(&config->source.until, options->until);
	command_log_init(&options->log, config->log_format, config->log_level, config->name);
	struct worker_config worker_config = {.config = config, .strict_drain = options->strict_drain};
	struct worker *worker = worker_start(&worker_config);
	int code = EXIT_FAILURE;
	if (worker) {
		signals_install(worker, true);
		code = worker_join(worker, NULL);
		signals_forget();
		worker_free(worker);
	}
	config_free(config);
	return code;
}

static bool is_time(const char *text, const char *word, const char *other)
{
	int64_t wall;
	return strcmp(text, word) == 0 || strcmp(text, other) == 0 || clock_parse(text, strlen(text), &wall);
}

/* What is wrong with a bounded run, or NULL. */
static const char *bad_bounds(const struct run_options *options)
{
	if ((options->from || options->until) && options->group == NULL)
		return "--from and --until need --group NAME: a bounded run keeps positions of its own";
	if (options->from && !is_time(options->from, "earliest", "latest"))
		return "--from: expected earliest, latest or a time such as 2026-11-01T00:00:00Z";
	if (options->until && !is_time(options->until, "end", "end"))
		return "--until: expected end or a time such as 2026-11-01T00:00:00Z";
	return NULL;
}

int command_run(int argc, char **argv)
{
	enum { STRICT_DRAIN = 256, GROUP, FROM, UNTIL };
	static const struct option long_options[] = {
	        {"config", required_argument, NULL, 'c'},
	        {"strict-drain", no_argument, NULL, STRICT_DRAIN},
	        {"group", required_argument, NULL, GROUP},
	        {"from", required_argument, NULL, FROM},
	        {"until", required_argument, NULL, UNTIL},
	        COMMAND_LOG,
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	struct run_options options = {.config = getenv("MILLRACE_CONFIG")};
	int option;
	while ((option = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1)
		switch (option) {
		case 'c': options.config = optarg; break;
		case STRICT_DRAIN: options.strict_drain = true; break;
		case GROUP: options.group = optarg; break;
		case FROM: options.from = optarg; break;
		case UNTIL: options.until = optarg; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default:
			if (!command_log_option(&options.log, option))
				return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("run",
		        "unexpected argument '%s'; the configuration is given with -c FILE", argv[optind]);
	if (options.config == NULL)
		return command_usage("run", "no configuration: give one with -c FILE");
	const char *bad = bad_bounds(&options);
	if (bad)
		return command_usage("run", "%s", bad);
	if (!command_log_good("run", &options.log))
		return EXIT_USAGE;
	return run(&options);
}
