/* `millrace reload`: a running engine loads its script again, and says what became of it. */
#include "adminclient.h"
#include "clock.h"
#include "command.h"
#include "mem.h"
#include "text.h"
#include "yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
        "usage: millrace reload [OPTION...]\n"
        "\n"
        "Tells a running engine to read its configuration, script and params again. A\n"
        "script that does not load, or whose data tests (x_test.yaml beside x.lua) fail,\n"
        "leaves the old one in place, and the reason is printed with file and line.\n"
        "Records that have begun finish on the script that they began on. A script that\n"
        "was rolled back is loaded all the same.\n"
        "\n"
        "examples:\n"
        "  millrace reload\n"
        "  millrace reload --wait && echo 'every record runs on the new script'\n"
        "  millrace reload --url http://10.0.0.7:9464 --token-file /run/secrets/token\n"
        "\n"
        "options:\n"
        "      --url URL           the engine's admin address [http://127.0.0.1:9464]\n"
        "      --token-file FILE   holds what admin.token says; needed from other machines\n"
        "      --wait              until no record runs on an older script any more\n"
        "      --timeout TIME      how long it may take in all, such as 30s [60s]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 the new script runs (or nothing has changed), 1 it does not load or\n"
        "pass its tests, or the engine was busy or not done in time, 2 usage,\n"
        "69 unreachable.\n"
        "See also: millrace check --help\n";

enum { POLL_MS = 200, LEAST_MS = 1000 /* for one question, however little time is left */ };

struct reload_options {
	const char *url, *token_file;
	char token[COMMAND_TOKEN_MAX];
	bool wait;
	int64_t timeout_ms;
};

/* ---- what the engine answers: JSON is YAML ---- */

static void no_listener(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	(void)context;
	(void)place;
	(void)text;
	(void)hint;
}

static struct yaml_node *parse(const struct buf *body)
{
	struct yaml_listener listener = {NULL, no_listener};
	return body->size ? yaml_tree_parse(body->data, body->size, &listener) : NULL;
}

/* The text of a member of an object in the answer, or NULL. */
static const char *member(const struct yaml_node *node, const char *name)
{
	long at = node && node->kind == YAML_MAP ? yaml_tree_find(node, name) : -1;
	return at >= 0 && node->items[at].kind == YAML_TEXT ? node->items[at].text : NULL;
}

static const struct yaml_node *object(const struct yaml_node *node, const char *name)
{
	long at = node && node->kind == YAML_MAP ? yaml_tree_find(node, name) : -1;
	return at >= 0 ? &node->items[at] : NULL;
}

/* How many states live; 0 when the answer does not say so. */
static unsigned states_of(const struct buf *body)
{
	struct yaml_node *root = parse(body);
	const char *states = member(object(root, "script"), "states");
	unsigned count = states ? (unsigned)strtoul(states, NULL, 10) : 0;
	yaml_tree_free(root);
	return count;
}

/* ---- asking ---- */

struct asking {
	struct adminclient client;
	int64_t deadline;
	struct buf body;
};

static int unreachable(const struct err *err)
{
	fflush(stdout);
	fprintf(stderr, "millrace reload: %s\nIs the engine running there? Its address is admin.listen.\n",
	        err->text);
	return EXIT_UNREACHABLE;
}

static int ask(struct asking *asking, const char *method, const char *path, struct err *err)
{
	int64_t left = asking->deadline - clock_now();
	asking->client.timeout_ms = left > LEAST_MS ? left : LEAST_MS;
	buf_clear(&asking->body);
	return adminclient_ask(&asking->client, method, path, &asking->body, err);
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

static int unexpected(const struct asking *asking, int status)
{
	fflush(stdout);
	fprintf(stderr, "millrace reload: %s answers %d: %.*s\n", asking->client.url, status,
	        (int)strcspn(asking->body.size ? asking->body.data : "", "\n"),
	        asking->body.size ? asking->body.data : "");
	return EXIT_FAILURE;
}

static int time_is_up(unsigned states)
{
	fflush(stdout);
	fprintf(stderr, "millrace reload: %u older state%s still finish%s records; the time is up\n",
	        states - 1, states == 2 ? "" : "s", states == 2 ? "es its" : " their");
	return EXIT_FAILURE;
}

/* Until one state lives. */
static int wait_for_one(struct asking *asking)
{
	struct err err = {""};
	for (unsigned states = 0;;) {
		int status = ask(asking, "GET", "/api/v1/status", &err);
		bool late = clock_now() >= asking->deadline;
		if (status == 0) /* the engine was there a moment ago: a late answer is no missing engine */
			return late && states > 1 ? time_is_up(states) : unreachable(&err);
		states = status == 200 ? states_of(&asking->body) : 0;
		if (states == 0)
			return unexpected(asking, status);
		if (states == 1)
			return EXIT_SUCCESS;
		if (late)
			return time_is_up(states);
		rest();
	}
}

static bool says(const char *outcome, const char *name)
{
	return outcome && strcmp(outcome, name) == 0;
}

/* Prints what became of it; true when it is worth asking again: no state was free. */
static bool tell(const struct asking *asking, int status, bool patient, int *code)
{
	struct yaml_node *root = parse(&asking->body);
	const char *outcome = member(root, "outcome"), *message = member(root, "message");
	bool again = patient && says(outcome, "busy") && clock_now() < asking->deadline;
	*code = EXIT_FAILURE;
	if (outcome == NULL || message == NULL)
		unexpected(asking, status);
	else if (says(outcome, "swapped") || says(outcome, "unchanged"))
		*code = printf("%s: %s\n", outcome, message) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	else if (!again)
		fprintf(stderr, "%s: %s\n", outcome, message);
	yaml_tree_free(root);
	return again;
}

static int reload(const struct reload_options *options)
{
	struct err err = {""};
	struct asking asking = {
	        .client = {.url = options->url, .token = options->token[0] ? options->token : NULL},
	        .deadline = clock_now() + options->timeout_ms};
	int status, code = EXIT_FAILURE;
	buf_init(&asking.body, 0);
	while ((status = ask(&asking, "POST", "/-/reload", &err)) != 0 &&
	        tell(&asking, status, options->wait, &code))
		rest();
	if (status == 0)
		code = unreachable(&err);
	else if (code == EXIT_SUCCESS && options->wait)
		code = wait_for_one(&asking);
	buf_free(&asking.body);
	return code;
}

int command_reload(int argc, char **argv)
{
	enum { URL = 256, TOKEN_FILE, WAIT, TIMEOUT };
	static const struct option long_options[] = {{"url", required_argument, NULL, URL},
	        {"token-file", required_argument, NULL, TOKEN_FILE}, {"wait", no_argument, NULL, WAIT},
	        {"timeout", required_argument, NULL, TIMEOUT}, {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0}};
	struct reload_options options = {.url = "http://127.0.0.1:9464", .timeout_ms = 60000};
	struct err err;
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case URL: options.url = optarg; break;
		case TOKEN_FILE: options.token_file = optarg; break;
		case WAIT: options.wait = true; break;
		case TIMEOUT:
			if (!text_duration(optarg, &options.timeout_ms) || options.timeout_ms <= 0)
				return command_usage("reload",
				        "--timeout: expected a time such as 30s or 2m, found '%s'", optarg);
			break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("reload", "unexpected argument '%s'", argv[optind]);
	if (!adminclient_url_good(options.url, &err))
		return command_usage("reload", "--url: %s", err.text);
	if (options.token_file && !command_token("reload", options.token_file, options.token))
		return EXIT_USAGE;
	return reload(&options);
}
