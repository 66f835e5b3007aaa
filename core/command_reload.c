/* `millrace reload`: a running engine loads its script again, and says what became of it. */
#include "adminclient.h"
#include "clock.h"
#include "command.h"
#include "command_reload.h"
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
        "  millrace reload --read-only --all --url http://jobs-pods:9464 \\\n"
        "      --expect enrich.lua=$(sha256sum < enrich.lua | cut -d' ' -f1)\n"
        "\n"
        "options:\n"
        "      --url URL           the engine's admin address, may be given for each of several\n"
        "                          [http://127.0.0.1:9464]\n"
        "      --all               every address that the URL's name has is an engine\n"
        "      --at-least N        so many engines there must be [1]\n"
        "      --token-file FILE   holds what admin.token says; needed from other machines\n"
        "      --wait              until no record runs on an older script any more\n"
        "      --expect SHA256     until this script runs, or this file of it, as NAME=SHA256 (for\n"
        "                          several if need be; `script` in /api/v1/status has all)\n"
        "      --read-only         ask for no reload, only wait for what is expected: for\n"
        "                          engines that watch their script; needs no token\n"
        "      --timeout TIME      how long it may take in all, such as 30s [60s]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 the new script runs (or nothing has changed), 1 it does not load or\n"
        "pass its tests, or the engine was busy or not done in time, 2 usage,\n"
        "69 unreachable.\n"
        "See also: millrace check --help\n";

enum { POLL_MS = 200, LEAST_MS = 1000 /* for one question, however little time is left */ };

struct reload_options {
	const char *token_file;
	const char **urls;
	struct reload_live live;
	struct reload_expected *expected;
	bool read_only;
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

static int reload_one(const struct reload_options *options, const char *url)
{
	struct err err = {""};
	struct asking asking = {.client = {.url = url, .token = options->token[0] ? options->token : NULL},
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

/* Each engine at that URL; the worst code. */
static int reload_at(const struct reload_options *options, const char *url, size_t *engines)
{
	struct err err = {""};
	size_t count;
	int worst = EXIT_SUCCESS;
	if (!options->live.all) {
		*engines += 1;
		return reload_one(options, url);
	}
	char **urls = adminclient_addresses(url, options->timeout_ms, &count, &err);
	if (count == 0)
		worst = unreachable(&err);
	for (size_t i = 0; i < count; i++) {
		printf("%s: ", urls[i]);
		int code = reload_one(options, urls[i]);
		worst = code ? code : worst;
	}
	*engines += count;
	adminclient_free_addresses(urls, count);
	return worst;
}

static int reload(const struct reload_options *options)
{
	size_t engines = 0;
	int worst = EXIT_SUCCESS;
	for (size_t i = 0; !options->read_only && i < options->live.url_count; i++) {
		int code = reload_at(options, options->live.urls[i], &engines);
		worst = code ? code : worst;
	}
	if (worst == EXIT_SUCCESS && options->live.expected_count)
		return reload_live_wait(&options->live);
	if (worst == EXIT_SUCCESS && engines < options->live.at_least) {
		fprintf(stderr, "millrace reload: %zu of at least %zu engines are there\n", engines,
		        options->live.at_least);
		return EXIT_UNREACHABLE;
	}
	return worst;
}

static bool read_count(const char *text, size_t *count)
{
	size_t digits = strspn(text, "0123456789");
	*count = digits && digits < 6 && text[digits] == '\0' ? strtoul(text, NULL, 10) : 0;
	return *count > 0;
}

static int run(int argc, char **argv, struct reload_options *options)
{
	enum { URL = 256, TOKEN_FILE, WAIT, TIMEOUT, ALL, AT_LEAST, EXPECT, READ_ONLY };
	static const struct option long_options[] = {{"url", required_argument, NULL, URL},
	        {"token-file", required_argument, NULL, TOKEN_FILE}, {"wait", no_argument, NULL, WAIT},
	        {"timeout", required_argument, NULL, TIMEOUT}, {"all", no_argument, NULL, ALL},
	        {"at-least", required_argument, NULL, AT_LEAST}, {"expect", required_argument, NULL, EXPECT},
	        {"read-only", no_argument, NULL, READ_ONLY}, {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0}};
	struct reload_live *live = &options->live;
	struct err err;
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case URL: options->urls[live->url_count++] = optarg; break;
		case TOKEN_FILE: options->token_file = optarg; break;
		case WAIT: options->wait = true; break;
		case ALL: live->all = true; break;
		case READ_ONLY: options->read_only = true; break;
		case AT_LEAST:
			if (!read_count(optarg, &live->at_least))
				return command_usage("reload",
				        "--at-least: expected a number such as 3, found '%s'", optarg);
			break;
		case EXPECT:
			if (!reload_expected_read(optarg, &options->expected[live->expected_count++]))
				return command_usage("reload",
				        "--expect: expected SHA256 or NAME=SHA256 of 64 hexadecimal digits, "
				        "found '%s'",
				        optarg);
			break;
		case TIMEOUT:
			if (!text_duration(optarg, &options->timeout_ms) || options->timeout_ms <= 0)
				return command_usage("reload",
				        "--timeout: expected a time such as 30s or 2m, found '%s'", optarg);
			break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("reload", "unexpected argument '%s'", argv[optind]);
	if (options->read_only && live->expected_count == 0)
		return command_usage("reload", "--read-only waits for what --expect says; give that, too");
	if (options->read_only && options->wait)
		return command_usage(
		        "reload", "--wait goes with a reload, which --read-only does not ask for");
	if (live->url_count == 0)
		options->urls[live->url_count++] = "http://127.0.0.1:9464";
	for (size_t i = 0; i < live->url_count; i++)
		if (!adminclient_url_good(live->urls[i], &err))
			return command_usage("reload", "--url: %s", err.text);
	if (options->token_file && !command_token("reload", options->token_file, options->token))
		return EXIT_USAGE;
	live->timeout_ms = options->timeout_ms;
	return reload(options);
}

int command_reload(int argc, char **argv)
{
	size_t most = (size_t)argc + 1; /* of what may be given more than once */
	struct reload_options options = {.timeout_ms = 60000,
	        .urls = mem_zalloc(most, sizeof *options.urls),
	        .expected = mem_zalloc(most, sizeof *options.expected)};
	options.live =
	        (struct reload_live){.urls = options.urls, .expected = options.expected, .at_least = 1};
	int code = run(argc, argv, &options);
	mem_free(options.urls);
	mem_free(options.expected);
	return code;
}
