/* `millrace tap`: what passes through a running engine, live. */
#include "adminclient.h"
#include "clock.h"
#include "command.h"
#include "command_tap.h"
#include "mem.h"
#include "script_where.h"
#include "tap.h"
#include "text.h"
#include "url.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace tap [OPTION...]\n"
        "\n"
        "Shows what passes through a running engine, live: records as they are taken, the\n"
        "requests of the script, the answers, what goes out, what fails. The engine comes first:\n"
        "what is more than the tap's bounds allow is left out and counted, and a tap that is not\n"
        "read holds nothing up. Without the token it shows where, when, how large and how long;\n"
        "events, requests, answers and outputs are for who bears it (admin.token).\n"
        "\n"
        "examples:\n"
        "  millrace tap --stage error\n"
        "  millrace tap --stage response --where 'status ~= 200 or elapsed > 1'\n"
        "  millrace tap --token-file token --where 'event.page.page_id == 12' -n 1\n"
        "  millrace tap --token-file token --follow -n 1      one record, from stage to stage\n"
        "  millrace tap --token-file token --save case -n 5\n"
        "      and then, without a network: millrace enrich SCRIPT --replay case\n"
        "\n"
        "options:\n"
        "      --stage STAGE       in, request, response, out, error or all; several with commas\n"
        "                          [out,error; all with --follow and --save]\n"
        "      --where LUA         only items for which this is true. Names: stage, topic,\n"
        "                          partition, offset, attempt, script, bytes, upstream, host,\n"
        "                          method, status, failure, elapsed, outcome, reason, type; with\n"
        "                          the token: event, key, headers, request, answer, message,\n"
        "                          output (the first one's value), outputs\n"
        "  -n N                    as many items, then the end\n"
        "      --follow            whole records: all stages of some, each shown when it has ended;\n"
        "                          -n and --rate count records, --where judges the last item\n"
        "      --save DIR          follows, and writes events and answers into a new folder, for\n"
        "                          enrich --replay and test; needs the token\n"
        "      --duration TIME     the end after that long, such as 30s [1h]\n"
        "      --rate N            most items a second that the engine shows, 1 to 1000 [100]\n"
        "      --buffer SIZE       what may wait in the engine, 16KiB to 16MiB [1MiB]; items that\n"
        "                          are larger come without their content\n"
        "      --format FORMAT     json (a line each) or pretty [pretty on a terminal, else json]\n"
        "      --reconnect         when the engine is gone, wait for it\n"
        "      --url URL           the engine's admin address [http://127.0.0.1:9464]\n"
        "      --token-file FILE   holds what admin.token says\n"
        "  -q, --quiet             no summary\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 1 refused or not written, 2 usage, 69 nobody answers, or the engine\n"
        "stopped.\n"
        "See also: millrace top --help, millrace enrich --help\n";

enum { CONNECT_MS = 10000, RETRY_MS = 1000 };

enum form { FORM_AUTO, FORM_JSON, FORM_PRETTY };

struct tap_options {
	const char *url, *token_file, *where, *save, *rate, *buffer;
	char token[COMMAND_TOKEN_MAX];
	unsigned stages;
	uint64_t count;
	int64_t duration_ms;
	bool follow, reconnect, quiet;
	enum form form;
};

/* What the engine left out, as it says itself. */
struct left_out {
	uint64_t full, rate;
};

struct session {
	const struct tap_options *options;
	struct where *where;
	struct cassette_writer *save;
	struct tap_records records;
	struct jsontree tree;
	struct buf room, out;
	uint64_t shown, unmatched, unjudged;
	struct left_out before, left_out; /* by engines that are gone, by this one */
	struct err unjudged_why, trouble;
	int64_t until;
	bool started, ended; /* the engine said so */
	int code;            /* EXIT_SUCCESS, or why it cannot go on */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static void listen_to_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* ---- items ---- */

static bool parse(struct session *session, const char *text, size_t size)
{
	struct json_limits limits = {.depth = JSON_MAX_DEPTH};
	return jsontree_parse(&session->tree, text, size, &limits, NULL) &&
	       session->tree.nodes[0].kind == JSONTREE_OBJECT;
}

static bool stop_with(struct session *session, int code, const char *why)
{
	session->code = code;
	return err_set(&session->trouble, "%s", why);
}

static bool flush(struct session *session)
{
	bool good = fwrite(session->out.data, 1, session->out.size, stdout) == session->out.size &&
	            fflush(stdout) == 0;
	buf_clear(&session->out);
	return good || stop_with(session, EXIT_FAILURE, "the output cannot be written");
}

/* The item is in the tree. */
static void put_item(struct session *session, const char *text, size_t size)
{
	if (session->options->form == FORM_PRETTY) {
		tap_view(&session->tree, command_colour(STDOUT_FILENO), &session->out);
		return;
	}
	buf_append(&session->out, text, size);
	buf_append_byte(&session->out, '\n');
}

/* Whether it is to be shown; what cannot be judged is not. */
static bool matches(struct session *session, const char *text, size_t size)
{
	struct err err = {""};
	enum where_verdict verdict =
	        session->where ? where_test(session->where, text, size, &err) : WHERE_YES;
	if (verdict == WHERE_FAILED) {
		session->unjudged++;
		session->unjudged_why = err;
	} else if (verdict == WHERE_WRONG) {
		stop_with(session, EXIT_USAGE, err.text);
	}
	session->unmatched += verdict == WHERE_NO;
	return verdict == WHERE_YES;
}

/* Whether it was enough now. */
static bool count_one(struct session *session)
{
	session->shown++;
	return session->options->count && session->shown == session->options->count;
}

static bool take_item(struct session *session, const char *text, size_t size)
{
	if (!matches(session, text, size))
		return session->code == EXIT_SUCCESS;
	put_item(session, text, size);
	return flush(session) && !count_one(session);
}

/* All of a record that has ended. */
static bool take_record(struct session *session, const struct tap_record *record)
{
	const struct tap_line *last = record->lines[record->count - 1];
	if (!matches(session, last->text, last->size))
		return session->code == EXIT_SUCCESS;
	if (session->save && !tap_save_record(session->save, record, &session->trouble)) {
		session->code = EXIT_FAILURE;
		return false;
	}
	for (size_t i = 0; i < record->count; i++)
		if (session->save == NULL && parse(session, record->lines[i]->text, record->lines[i]->size))
			put_item(session, record->lines[i]->text, record->lines[i]->size);
	if (session->save == NULL && session->options->form == FORM_PRETTY)
		buf_append_byte(&session->out, '\n');
	return flush(session) && !count_one(session);
}

static bool take_followed(struct session *session, const char *text, size_t size)
{
	struct tap_record *record = tap_records_add(&session->records, &session->tree, text, size);
	if (record == NULL)
		return true;
	bool more = take_record(session, record);
	tap_record_free(record);
	return more;
}

/* ---- what the engine tells between items ---- */

static uint64_t number_of(struct session *session, const char *name)
{
	return strtoull(tap_member(&session->tree, 0, name, &session->room), NULL, 10);
}

static bool take_start(struct session *session)
{
	const char *content = tap_member(&session->tree, 0, "content", &session->room);
	session->started = true;
	if (session->save && strcmp(content, "true") != 0)
		return stop_with(session, EXIT_FAILURE,
		        "the engine shows no content without its token, so there is nothing to save; give "
		        "--token-file");
	if (!session->options->quiet && isatty(STDERR_FILENO) && strcmp(content, "true") != 0)
		fputs("millrace tap: without the token only places, sizes and times are shown; --token-file "
		      "shows content\n",
		        stderr);
	return true;
}

static bool take_word(struct session *session, const char *word)
{
	if (strcmp(word, "start") == 0)
		return take_start(session);
	session->left_out = (struct left_out){number_of(session, "full"), number_of(session, "rate")};
	word = tap_member(&session->tree, 0, "tap", &session->room);
	session->ended = strcmp(word, "end") == 0;
	return !session->ended;
}

static bool take_line(void *context, const char *text, size_t size)
{
	struct session *session = context;
	if (size == 0)
		return true;
	if (!parse(session, text, size))
		return stop_with(session, EXIT_FAILURE, "what comes is no item of a tap");
	const char *word = tap_member(&session->tree, 0, "tap", &session->room);
	if (*word)
		return take_word(session, word);
	if (session->options->follow)
		return take_followed(session, text, size);
	return take_item(session, text, size);
}

static bool wants_to_stop(void *context)
{
	const struct session *session = context;
	return interrupted || clock_now() >= session->until;
}

/* ---- the tap ---- */

static char *path_of(const struct session *session)
{
	static const struct {
		unsigned stage;
		const char *name;
	} stages[] = {{TAP_IN, "in"}, {TAP_REQUEST, "request"}, {TAP_RESPONSE, "response"}, {TAP_OUT, "out"},
	        {TAP_ERROR, "error"}};
	const struct tap_options *options = session->options;
	struct buf path;
	int64_t left = session->until - clock_now();
	buf_init(&path, 0);
	buf_append_text(&path, "/-/tap?stage=");
	for (size_t i = 0, n = 0; i < sizeof stages / sizeof *stages; i++)
		if (options->stages & stages[i].stage)
			buf_printf(&path, "%s%s", n++ ? "," : "", stages[i].name);
	buf_printf(&path, "&time=%llds", (long long)(left / 1000 > 0 ? left / 1000 + 1 : 1));
	if (options->follow)
		buf_append_text(&path, "&follow");
	if (options->count && options->where == NULL)
		buf_printf(&path, "&n=%llu", (unsigned long long)(options->count - session->shown));
	if (options->rate)
		buf_printf(&path, "&rate=%s", options->rate);
	if (options->buffer)
		buf_printf(&path, "&buffer=%s", options->buffer);
	return buf_steal(&path, NULL);
}

static int refused(const struct session *session, int status, const struct buf *body)
{
	const char *why = body->size ? body->data : "";
	fprintf(stderr, "millrace tap: %s answers %d%s%.*s\n", session->options->url, status,
	        *why ? ": " : "", (int)strcspn(why, "\n"), why);
	if (status == 404)
		fputs("It is an engine without taps: is it an older one?\n", stderr);
	return EXIT_FAILURE;
}

/* EXIT_UNREACHABLE when it ended without a word. */
static int tap_once(struct session *session, struct err *err)
{
	const struct adminclient client = {.url = session->options->url,
	        .token = session->options->token[0] ? session->options->token : NULL,
	        .timeout_ms = CONNECT_MS};
	const struct adminclient_follower follower = {
	        .context = session, .line = take_line, .stop = wants_to_stop};
	struct buf body;
	enum adminclient_end end;
	int code = EXIT_SUCCESS;
	char *path = path_of(session);
	buf_init(&body, ADMINCLIENT_BODY_MAX);
	session->started = session->ended = false;
	int status = adminclient_follow(&client, path, &follower, &body, &end, err);
	if (status == 0)
		code = interrupted ? EXIT_SUCCESS : EXIT_UNREACHABLE;
	else if (status != 200)
		code = refused(session, status, &body);
	else if (session->code != EXIT_SUCCESS)
		code = session->code;
	else if (end != ADMINCLIENT_ENOUGH && !session->ended)
		code = EXIT_UNREACHABLE;
	session->before.full += session->left_out.full;
	session->before.rate += session->left_out.rate;
	session->left_out = (struct left_out){0, 0};
	buf_free(&body);
	mem_free(path);
	return code;
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_sec = RETRY_MS / 1000}, NULL);
}

static bool goes_on(struct session *session, int code)
{
	return session->options->reconnect && code == EXIT_UNREACHABLE && !wants_to_stop(session);
}

static void summarize(const struct session *session)
{
	const struct left_out *left_out = &session->before;
	const char *things = session->options->follow ? "record" : "item";
	struct buf text;
	buf_init(&text, 0);
	buf_printf(&text, "%llu %s%s", (unsigned long long)session->shown, things,
	        session->shown == 1 ? "" : "s");
	if (session->save)
		buf_printf(&text, " with %zu exchange%s saved in %s", cassette_written(session->save),
		        cassette_written(session->save) == 1 ? "" : "s", session->options->save);
	if (session->unmatched)
		buf_printf(&text, ", %llu others", (unsigned long long)session->unmatched);
	if (left_out->full)
		buf_printf(&text, ", %llu left out for want of room (--buffer)",
		        (unsigned long long)left_out->full);
	if (left_out->rate)
		buf_printf(&text, ", %llu left out: too many in a second (--rate)",
		        (unsigned long long)left_out->rate);
	if (session->records.given_up)
		buf_printf(&text, ", %llu not followed to their end",
		        (unsigned long long)session->records.given_up);
	fprintf(stderr, "%s\n", text.data);
	if (session->unjudged)
		fprintf(stderr, "%llu could not be judged: %s%s\n", (unsigned long long)session->unjudged,
		        session->unjudged_why.text,
		        session->options->token[0] ? "" : " (content needs --token-file)");
	buf_free(&text);
}

static int tell_end(const struct session *session, int code, const struct err *err)
{
	if (session->trouble.text[0])
		fprintf(stderr, "millrace tap: %s\n", session->trouble.text);
	else if (code == EXIT_UNREACHABLE && session->started)
		fprintf(stderr,
		        "millrace tap: the engine at %s has ended the tap: it stopped, or starts again%s\n",
		        session->options->url,
		        session->options->reconnect ? "" : " (--reconnect waits for it)");
	else if (code == EXIT_UNREACHABLE)
		fprintf(stderr,
		        "millrace tap: %s\nIs the engine running there? Its address is admin.listen.\n",
		        err->text);
	return code;
}

static int run(struct session *session)
{
	struct err err = {""};
	int code;
	listen_to_signals();
	session->until = clock_now() + session->options->duration_ms;
	while (goes_on(session, code = tap_once(session, &err)))
		rest();
	if (code == EXIT_UNREACHABLE && wants_to_stop(session))
		code = EXIT_SUCCESS;
	fflush(stdout);
	if (!session->options->quiet && (session->shown || session->started))
		summarize(session);
	return tell_end(session, code, &err);
}

static int open_and_run(const struct tap_options *options)
{
	struct session session = {.options = options, .code = EXIT_SUCCESS};
	struct buf told;
	struct err err = {""};
	int code = EXIT_USAGE;
	buf_init(&told, 0);
	buf_init(&session.room, 0);
	buf_init(&session.out, 0);
	jsontree_init(&session.tree);
	tap_records_init(&session.records);
	if (options->where &&
	        (session.where = where_open(options->where, command_colour(STDERR_FILENO), &told)) == NULL)
		fputs(told.data, stderr);
	else if (options->save && (session.save = cassette_record(options->save, &err)) == NULL)
		code = command_usage("tap", "--save: %s", err.text);
	else
		code = run(&session);
	cassette_finish(session.save);
	where_close(session.where);
	tap_records_free(&session.records);
	jsontree_free(&session.tree);
	buf_free(&session.room);
	buf_free(&session.out);
	buf_free(&told);
	return code;
}

/* ---- options ---- */

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
	size_t size = strlen(text);
	*value = size && size <= 10 && strspn(text, "0123456789") == size ? strtoull(text, NULL, 10)
	                                                                  : UINT64_MAX;
	return *value >= least && *value <= most;
}

/* -1: go on; else the exit code. */
static int check(struct tap_options *options)
{
	uint64_t value;
	struct err err;
	if (!adminclient_url_good(options->url, &err))
		return command_usage("tap", "--url: %s", err.text);
	if (options->rate && !number(options->rate, 1, TAP_RATE_MAX, &value))
		return command_usage("tap", "--rate: expected a number from 1 to %d, found '%s'",
		        TAP_RATE_MAX, options->rate);
	if (options->buffer &&
	        (!text_size(options->buffer, &value) || value < TAP_BUFFER_LEAST || value > TAP_BUFFER_MAX))
		return command_usage("tap", "--buffer: expected a size from %dKiB to %dMiB, found '%s'",
		        TAP_BUFFER_LEAST >> 10, TAP_BUFFER_MAX >> 20, options->buffer);
	if (options->save && options->token_file == NULL)
		return command_usage(
		        "tap", "--save needs --token-file: content is shown to who bears the token");
	if (options->save && options->form != FORM_AUTO)
		return command_usage("tap", "--save writes files and shows nothing; leave --format out");
	options->follow = options->follow || options->save;
	if (options->follow && options->stages && (options->stages != TAP_ALL))
		return command_usage(
		        "tap", "--follow and --save show all stages of a record; leave --stage out");
	if (options->stages == 0)
		options->stages = options->follow ? TAP_ALL : TAP_OUT | TAP_ERROR;
	if (options->form == FORM_AUTO)
		options->form = isatty(STDOUT_FILENO) ? FORM_PRETTY : FORM_JSON;
	if (options->token_file && !command_token("tap", options->token_file, options->token))
		return EXIT_USAGE;
	return -1;
}

static int read_form(const char *text, enum form *form)
{
	if (strcmp(text, "json") == 0)
		*form = FORM_JSON;
	else if (strcmp(text, "pretty") == 0)
		*form = FORM_PRETTY;
	else
		return command_usage("tap", "--format: expected json or pretty, found '%s'", text);
	return -1;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct tap_options *options)
{
	enum { STAGE = 256, WHERE, FOLLOW, SAVE, DURATION, RATE, BUFFER, FORMAT, RECONNECT, URL, TOKEN_FILE };
	static const struct option long_options[] = {{"stage", required_argument, NULL, STAGE},
	        {"where", required_argument, NULL, WHERE}, {"follow", no_argument, NULL, FOLLOW},
	        {"save", required_argument, NULL, SAVE}, {"duration", required_argument, NULL, DURATION},
	        {"rate", required_argument, NULL, RATE}, {"buffer", required_argument, NULL, BUFFER},
	        {"format", required_argument, NULL, FORMAT}, {"reconnect", no_argument, NULL, RECONNECT},
	        {"url", required_argument, NULL, URL}, {"token-file", required_argument, NULL, TOKEN_FILE},
	        {"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct err err;
	int option;
	while ((option = getopt_long(argc, argv, ":n:qh", long_options, NULL)) != -1)
		switch (option) {
		case STAGE:
			if (!tap_stages(optarg, &options->stages, &err))
				return command_usage("tap", "--stage: %s", err.text);
			break;
		case WHERE: options->where = optarg; break;
		case FOLLOW: options->follow = true; break;
		case SAVE: options->save = optarg; break;
		case DURATION:
			if (!text_duration(optarg, &options->duration_ms) || options->duration_ms <= 0 ||
			        options->duration_ms > TAP_MS_MAX)
				return command_usage("tap",
				        "--duration: expected a time up to 24h, such as 30s, found '%s'",
				        optarg);
			break;
		case RATE: options->rate = optarg; break;
		case BUFFER: options->buffer = optarg; break;
		case FORMAT:
			if (read_form(optarg, &options->form) >= 0)
				return EXIT_USAGE;
			break;
		case RECONNECT: options->reconnect = true; break;
		case URL: options->url = optarg; break;
		case TOKEN_FILE: options->token_file = optarg; break;
		case 'n':
			if (!number(optarg, 1, 1000000000, &options->count))
				return command_usage(
				        "tap", "-n: expected a number from 1, found '%s'", optarg);
			break;
		case 'q': options->quiet = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	return optind < argc ? command_usage("tap", "unexpected argument '%s'", argv[optind]) : -1;
}

int command_tap(int argc, char **argv)
{
	struct tap_options options = {.url = "http://127.0.0.1:9464", .duration_ms = TAP_MS};
	int code = read_options(argc, argv, &options);
	if (code < 0)
		code = check(&options);
	return code >= 0 ? code : open_and_run(&options);
}
