/* `millrace run`: the pipeline, until a signal ends it, or the end of a bounded run. */
#include "clock.h"
#include "command.h"
#include "command_bounded.h"
#include "config.h"
#include "log.h"
#include "mem.h"
#include "notify.h"
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
        "  millrace run -c millrace.yaml --group backfill-1 --until end --resume\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       the configuration [$MILLRACE_CONFIG]\n"
        "      --group NAME        consumer group, instead of source.group\n"
        "      --from TIME         where the group begins: earliest, latest or a time such as\n"
        "                          2026-11-01T00:00:00Z; needs --group\n"
        "      --until TIME        stop by itself at this time, or at the `end` of the topics as\n"
        "                          it is now, which is asked once and kept; needs --group\n"
        "      --resume            go on where the group is: without it, --from and --until refuse\n"
        "                          a group that has positions\n"
        "      --json              the summary of a bounded run as one JSON object\n"
        "      --strict-drain      exit 75 when the drain's time was up before all was done\n"
        "      --log-level LEVEL   debug, info, warn or error, instead of log.level\n"
        "      --log-format FORMAT auto, text, json or logfmt, instead of log.format\n"
        "  -h, --help              this text\n"
        "\n"
        "signals: TERM or INT drains (waiting lookups go back at once, calls in the air have\n"
        "`drain`), a second one quits at once. HUP loads the script again. USR1 writes what it\n"
        "does and waits for to the log; USR2 logs at debug for 5 minutes, or stops that.\n"
        "exit codes: 0 stopped as asked, or at the end of a bounded run, whatever became of its\n"
        "records: the summary on standard output says it; 1 failed, or a bounded run was stopped\n"
        "before its end; 2 usage, or the group has positions; 69 the brokers cannot be asked\n"
        "whether it has; 75 drain timed out; 78 bad configuration or script.\n"
        "See also: millrace check --help, millrace config --help\n";

/* A service manager begins again after that, and says so. */
enum { STREAMS_PATIENCE_MS = 60000 };

struct run_options {
	const char *config;
	struct command_log log;
	struct bounds bounds;
	bool strict_drain;
};

static void replace(char **text, const char *by)
{
	if (by == NULL)
		return;
	mem_free(*text);
	*text = mem_strdup(by);
}

static int work(const struct run_options *options, struct config *config)
{
	const struct bounds *bounds = &options->bounds;
	struct worker_config worker_config = {
	        .config = config, .live = config, .strict_drain = options->strict_drain};
	int64_t began = clock_now();
	notify_open();
	struct worker *worker = worker_start(&worker_config);
	if (worker == NULL)
		return EXIT_FAILURE;
	signals_install(worker, true);
	if (bounds->until)
		bounded_watch(worker, options->bounds.json);
	int code = worker_join(worker, NULL);
	signals_forget();
	if (bounds->until)
		bounded_summary(bounds, config, worker, clock_now() - began);
	worker_free(worker);
	return code;
}

static int run(const struct run_options *options)
{
	const struct bounds *bounds = &options->bounds;
	struct config_report report = {0};
	signals_prepare();
	struct config *config = config_load(options->config, &report);
	if (report.text.size)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	if (config == NULL)
		return EXIT_CONFIG;
	int resolved = command_resolve_streams(config, STREAMS_PATIENCE_MS);
	if (resolved != EXIT_SUCCESS) {
		config_free(config);
		return resolved;
	}
	replace(&config->source.group, bounds->group);
	replace(&config->source.start, bounds->from);
	replace(&config->source.until, bounds->until);
	command_log_init(&options->log, config->log_format, config->log_level, config->name);
	int code = EXIT_SUCCESS;
	if ((bounds->from || bounds->until) && !bounds->resume)
		code = bounded_check(config);
	if (code == EXIT_SUCCESS)
		code = work(options, config);
	config_free(config);
	return code;
}

int command_run(int argc, char **argv)
{
	enum { STRICT_DRAIN = 256, GROUP, FROM, UNTIL, RESUME, JSON };
	static const struct option long_options[] = {
	        {"config", required_argument, NULL, 'c'},
	        {"strict-drain", no_argument, NULL, STRICT_DRAIN},
	        {"group", required_argument, NULL, GROUP},
	        {"from", required_argument, NULL, FROM},
	        {"until", required_argument, NULL, UNTIL},
	        {"resume", no_argument, NULL, RESUME},
	        {"json", no_argument, NULL, JSON},
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
		case GROUP: options.bounds.group = optarg; break;
		case FROM: options.bounds.from = optarg; break;
		case UNTIL: options.bounds.until = optarg; break;
		case RESUME: options.bounds.resume = true; break;
		case JSON: options.bounds.json = true; break;
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
	const char *bad = bounded_fault(&options.bounds, clock_wall());
	if (bad)
		return command_usage("run", "%s", bad);
	if (!command_log_good("run", &options.log))
		return EXIT_USAGE;
	return run(&options);
}
