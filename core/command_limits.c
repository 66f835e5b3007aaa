/* `millrace limits`, `pause` and `resume`: what an operator tells a running engine about how much it may do.
 */
#include "adminclient.h"
#include "command.h"
#include "mem.h"
#include "yaml_tree.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Of all three verbs. */
#define OPTIONS                                                                                              \
	"options:\n"                                                                                         \
	"      --url URL           the engine's admin address [http://127.0.0.1:9464]\n"                     \
	"      --token-file FILE   holds what admin.token says; needed from other machines\n"                \
	"      --json              the engine's answer as it is\n"                                           \
	"  -h, --help              this text\n"                                                              \
	"\n"                                                                                                 \
	"exit codes: 0 done, 1 refused, 2 usage, 69 unreachable.\n"

static const char limits_help[] =
        "usage: millrace limits [OPTION...] [NAME=VALUE...]\n"
        "\n"
        "Shows which limits hold in a running engine, and who set each: the configuration,\n"
        "its section `backfill`, or an operator. With arguments it sets them, all or none,\n"
        "until a restart, a reload, or a change of the configuration file; `default` takes\n"
        "one back. Names: rate, concurrency (of every upstream), UPSTREAM.rate,\n"
        "UPSTREAM.concurrency, records.\n"
        "\n"
        "examples:\n"
        "  millrace limits\n"
        "  millrace limits mediawiki.rate=50/s records=2000\n"
        "  millrace limits rate=default\n"
        "\n" OPTIONS "See also: millrace pause --help\n";

static const char pause_help[] =
        "usage: millrace pause|resume [OPTION...]\n"
        "\n"
        "`pause` makes a running engine take no more records: what is open ends, the\n"
        "process stays alive and ready and keeps its partitions. It lasts until `resume`\n"
        "or the end of the process, whatever is reloaded.\n"
        "\n"
        "examples:\n"
        "  millrace pause && millrace limits\n"
        "  millrace resume --url http://10.0.0.7:9464 --token-file /run/secrets/token\n"
        "\n" OPTIONS "See also: millrace limits --help\n";

enum { TIMEOUT_MS = 10000 };

struct limits_options {
	const char *verb, *help, *path;
	const char *url, *token_file;
	char token[COMMAND_TOKEN_MAX];
	bool json;
};

/* ---- the engine's answer: JSON is YAML ---- */

static void no_listener(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	(void)context;
	(void)place;
	(void)text;
	(void)hint;
}

static const struct yaml_node *member(const struct yaml_node *node, const char *name)
{
	long at = node && node->kind == YAML_MAP ? yaml_tree_find(node, name) : -1;
	return at >= 0 ? &node->items[at] : NULL;
}

static const char *text_of(const struct yaml_node *node)
{
	return node && node->kind == YAML_TEXT ? node->text : "?";
}

static void print_limit(const char *above, const char *name, const struct yaml_node *limit)
{
	char key[128], value[128];
	const struct yaml_node *node = member(limit, "value");
	bool rate = strcmp(name, "rate") == 0, none = node && yaml_tree_is_null(node);
	snprintf(key, sizeof key, "%s%s%s", above, *above ? "." : "", name);
	snprintf(value, sizeof value, "%s%s", none ? "none" : text_of(node), rate && !none ? "/s" : "");
	printf("%-28s %-12s %s\n", key, value, text_of(member(limit, "from")));
}

static bool print_limits(const struct buf *body)
{
	struct yaml_listener listener = {NULL, no_listener};
	struct yaml_node *root = body->size ? yaml_tree_parse(body->data, body->size, &listener) : NULL;
	const struct yaml_node *upstreams = member(root, "upstreams");
	bool good = upstreams && upstreams->kind == YAML_MAP;
	if (good) {
		printf("%-28s %s\n%-28s %s\n", "paused",
		        strcmp(text_of(member(root, "paused")), "true") == 0 ? "yes" : "no", "backfill",
		        text_of(member(root, "backfill")));
		print_limit("", "user_agent", member(root, "user_agent"));
		print_limit("", "records", member(root, "records"));
	}
	for (size_t i = 0; good && i < upstreams->count; i++) {
		print_limit(upstreams->keys[i].text, "rate", member(&upstreams->items[i], "rate"));
		print_limit(
		        upstreams->keys[i].text, "concurrency", member(&upstreams->items[i], "concurrency"));
	}
	yaml_tree_free(root);
	return good;
}

/* ---- asking ---- */

static void append_encoded(struct buf *out, const char *text)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			buf_append_byte(out, *text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
}

/* NAME=VALUE, each argument; false where one is none. */
static bool read_form(char **arguments, int count, struct buf *form)
{
	for (int i = 0; i < count; i++) {
		char *name = mem_dup(arguments[i], strcspn(arguments[i], "="));
		const char *value = strchr(arguments[i], '=');
		bool good = value && *name;
		if (good) {
			buf_append_text(form, i ? "&" : "");
			append_encoded(form, name);
			buf_append_byte(form, '=');
			append_encoded(form, value + 1);
		}
		mem_free(name);
		if (!good) {
			command_usage(
			        "limits", "expected NAME=VALUE, such as rate=50/s, found '%s'", arguments[i]);
			return false;
		}
	}
	return true;
}

static int tell(
        const struct limits_options *options, int status, const struct buf *body, const struct err *err)
{
	const char *text = body->size ? body->data : "";
	bool printed = true;
	if (status == 0) {
		fprintf(stderr,
		        "millrace %s: %s\nIs the engine running there? Its address is admin.listen.\n",
		        options->verb, err->text);
		return EXIT_UNREACHABLE;
	}
	if (status != 200) {
		fprintf(stderr, "millrace %s: %.*s\n", options->verb, (int)strcspn(text, "\n"), text);
		return EXIT_FAILURE;
	}
	if (options->json)
		fputs(text, stdout);
	else if (strcmp(options->verb, "limits") == 0)
		printed = print_limits(body);
	else
		puts(strcmp(options->verb, "pause") == 0 ? "paused" : "resumed");
	if (!printed)
		fprintf(stderr, "millrace limits: %s answers something else: %.*s\n", options->url,
		        (int)strcspn(text, "\n"), text);
	return printed && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int ask(const struct limits_options *options, const struct buf *form)
{
	bool shows = strcmp(options->verb, "limits") == 0 && form->size == 0;
	struct adminclient client = {.url = options->url,
	        .token = options->token[0] ? options->token : NULL,
	        .form = form->size ? form->data : NULL,
	        .timeout_ms = TIMEOUT_MS};
	struct err err = {""};
	struct buf body;
	buf_init(&body, 0);
	int status = adminclient_ask(&client, shows ? "GET" : "POST", options->path, &body, &err);
	int code = tell(options, status, &body, &err);
	buf_free(&body);
	return code;
}

static int run(struct limits_options *options, int argc, char **argv)
{
	enum { URL = 256, TOKEN_FILE, JSON };
	static const struct option long_options[] = {{"url", required_argument, NULL, URL},
	        {"token-file", required_argument, NULL, TOKEN_FILE}, {"json", no_argument, NULL, JSON},
	        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct err err;
	struct buf form;
	int option, code = EXIT_USAGE;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case URL: options->url = optarg; break;
		case TOKEN_FILE: options->token_file = optarg; break;
		case JSON: options->json = true; break;
		case 'h': fputs(options->help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind < argc && strcmp(options->verb, "limits") != 0)
		return command_usage(options->verb, "unexpected argument '%s'", argv[optind]);
	if (!adminclient_url_good(options->url, &err))
		return command_usage(options->verb, "--url: %s", err.text);
	if (options->token_file && !command_token(options->verb, options->token_file, options->token))
		return EXIT_USAGE;
	buf_init(&form, 0);
	if (read_form(argv + optind, argc - optind, &form))
		code = ask(options, &form);
	buf_free(&form);
	return code;
}

static int run_verb(const char *verb, const char *help, const char *path, int argc, char **argv)
{
	struct limits_options options = {
	        .verb = verb, .help = help, .path = path, .url = "http://127.0.0.1:9464"};
	return run(&options, argc, argv);
}

int command_limits(int argc, char **argv)
{
	return run_verb("limits", limits_help, "/-/limits", argc, argv);
}

int command_pause(int argc, char **argv)
{
	return run_verb("pause", pause_help, "/-/pause", argc, argv);
}

int command_resume(int argc, char **argv)
{
	return run_verb("resume", pause_help, "/-/resume", argc, argv);
}
