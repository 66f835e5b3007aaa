/* `millrace health`: is a running engine alive, or ready? For a container's HEALTHCHECK, a script, a person.
 */
#include "adminclient.h"
#include "command.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
        "usage: millrace health [OPTION...]\n"
        "\n"
        "Asks a running engine whether it is alive: whether its loop turns. Brokers and\n"
        "upstreams that are away are no reason to say no.\n"
        "\n"
        "examples:\n"
        "  millrace health\n"
        "  millrace health --ready       and reads and writes, too: one line for each check\n"
        "\n"
        "options:\n"
        "      --ready             ask whether it is ready\n"
        "      --url URL           the engine's admin address [http://127.0.0.1:9464]\n"
        "      --timeout TIME      how long an answer may take [5s]\n"
        "  -q, --quiet             no words, only the exit code\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 yes, 1 no, 2 usage, 69 nobody answers.\n"
        "See also: millrace reload --help\n";

enum { TIMEOUT_MS = 5000 };

static int ask(const struct adminclient *client, bool ready, bool quiet)
{
	struct err err = {""};
	struct buf body;
	buf_init(&body, 0);
	int status =
	        adminclient_ask(client, "GET", ready ? "/readyz?verbose" : "/livez?verbose", &body, &err);
	if (!quiet && status == 0)
		fprintf(stderr, "millrace health: %s\n", err.text);
	else if (!quiet && body.size)
		fwrite(body.data, 1, body.size, status == 200 ? stdout : stderr);
	buf_free(&body);
	return status == 200 ? EXIT_SUCCESS : status == 0 ? EXIT_UNREACHABLE : EXIT_FAILURE;
}

int command_health(int argc, char **argv)
{
	enum { READY = 256, URL, TIMEOUT };
	static const struct option long_options[] = {
	        {"ready", no_argument, NULL, READY},
	        {"url", required_argument, NULL, URL},
	        {"timeout", required_argument, NULL, TIMEOUT},
	        {"quiet", no_argument, NULL, 'q'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	struct adminclient client = {.url = "http://127.0.0.1:9464", .timeout_ms = TIMEOUT_MS};
	bool ready = false, quiet = false;
	struct err err = {""};
	int option;
	while ((option = getopt_long(argc, argv, ":qh", long_options, NULL)) != -1)
		switch (option) {
		case READY: ready = true; break;
		case URL: client.url = optarg; break;
		case TIMEOUT:
			if (!text_duration(optarg, &client.timeout_ms) || client.timeout_ms <= 0)
				return command_usage("health",
				        "--timeout: expected a time such as 5s, found '%s'", optarg);
			break;
		case 'q': quiet = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("health", "unexpected argument '%s'", argv[optind]);
	if (!adminclient_url_good(client.url, &err))
		return command_usage("health", "--url: %s", err.text);
	return ask(&client, ready, quiet);
}
