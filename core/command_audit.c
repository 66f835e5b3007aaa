/* `millrace audit`: inputs that left no trace behind. */
#include "command_audit.h"
#include "clock.h"
#include "command.h"
#include "command_group.h"
#include "jsontree.h"
#include "mem.h"
#include "origin.h"
#include "script.h"
#include "table.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace audit --from TIME [--until TIME|end] -c FILE [OPTION...]\n"
        "       millrace audit --compare OLD NEW --from TIME [--until TIME|end] -c FILE [OPTION...]\n"
        "\n"
        "Compares a job's source topics with its sinks and its error stream: which inputs have\n"
        "neither an output nor an error event (by the header millrace-source), nor does the\n"
        "script's request hook, run again now, drop them? Those are missing. What a transform\n"
        "hook dropped counts as missing, too: only an answer of the API would tell.\n"
        "\n"
        "With --compare: two outputs of the same input, such as of two releases, on the cluster\n"
        "of the first sink: what only one has, what differs and where first, and in which order.\n"
        "Repeats count once; numbers are compared by value, objects whatever their order.\n"
        "\n"
        "Joins no group and commits nothing: a running job is not disturbed. Times are those of\n"
        "the records. What a running job has not done yet is missing: set --until before that.\n"
        "\n"
        "examples:\n"
        "  millrace audit -c millrace.yaml --from 2026-11-01T00:00:00Z --until \\\n"
        "      2026-11-02T00:00:00Z --out missing.jsonl\n"
        "  millrace audit -c millrace.yaml --compare eqiad.enriched.v1 eqiad.enriched.test \\\n"
        "      --from 2026-11-01T00:00:00Z --until 2026-11-01T01:00:00Z\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       the configuration [$MILLRACE_CONFIG]\n"
        "      --from TIME         first record: a time such as 2026-11-01T00:00:00Z, or earliest\n"
        "      --until TIME        up to this time, or end: the end of the log as it is now [end]\n"
        "      --out FILE          the missing inputs as JSON lines: topic, partition, offset,\n"
        "                          timestamp, key, value, and\n"
        "                          verbatim: false where bytes that are not UTF-8 were replaced\n"
        "      --compare OLD NEW   two topics instead\n"
        "      --by MEMBERS        --compare: what joins two events [wiki_id,page.page_id,\n"
        "                          revision.rev_id,page_change_kind,dt]\n"
        "      --ignore MEMBERS    --compare: members that may differ [meta.id,meta.dt]\n"
        "      --json              one JSON object\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 nothing is missing (--compare: equal), 1 something is (differs), or a file\n"
        "cannot be written, 2 usage, 69 the brokers cannot be reached, 78 the configuration or\n"
        "the script does not load.\n"
        "See also: millrace run --help, millrace offsets --help\n";

enum { SILENCE_MS = 30000, REASONS_SHOWN = 200 };

/* ---- what both halves use ---- */

struct rd_kafka_s *audit_open(
        const struct config *config, const struct kafka_property *properties, size_t count, int *code)
{
	struct err err;
	struct rd_kafka_s *client = command_group_open_at(config, properties, count, code, &err);
	if (client == NULL)
		fprintf(stderr, "millrace audit: %s\n", err.text);
	return client;
}

void audit_range(const struct audit_options *options, struct topicreader *reader)
{
	reader->from = TOPICREADER_ALWAYS;
	reader->until = TOPICREADER_END;
	reader->silence_ms = SILENCE_MS;
	if (strcmp(options->from, "earliest") != 0)
		clock_parse(options->from, strlen(options->from), &reader->from);
	if (strcmp(options->until, "end") != 0)
		clock_parse(options->until, strlen(options->until), &reader->until);
}

int audit_complain(bool refused, const struct err *err)
{
	fprintf(stderr, "millrace audit: %s\n", err->text);
	return refused ? EXIT_FAILURE : EXIT_UNREACHABLE;
}

/* ---- what is known of each input ---- */

enum { SEEN = 1, HAS_OUTPUT = 2, HAS_ERROR = 4 };

/* The offsets of one input partition in the range, a byte each. */
struct part {
	char *topic;
	int32_t id;
	int64_t low, high;
	unsigned char *marks;
};

struct tally {
	char *name;
	size_t count;
};

struct tallies {
	struct tally *items;
	size_t count;
};

struct audit {
	const struct audit_options *options;
	const struct config *config;
	struct part *parts;
	size_t part_count;
	struct tallies errors, reasons;
	struct jsontree tree;
	struct script *script;
	size_t inputs, with_output, with_error, dropped, missing;
	FILE *out;
};

static void count(struct tallies *tallies, const char *name)
{
	for (size_t i = 0; i < tallies->count; i++)
		if (strcmp(tallies->items[i].name, name) == 0) {
			tallies->items[i].count++;
			return;
		}
	tallies->items = mem_realloc(tallies->items, (tallies->count + 1) * sizeof *tallies->items);
	tallies->items[tallies->count++] = (struct tally){mem_strdup(name), 1};
}

static void tallies_free(struct tallies *tallies)
{
	for (size_t i = 0; i < tallies->count; i++)
		mem_free(tallies->items[i].name);
	mem_free(tallies->items);
}

static unsigned char *mark_of(
        const struct audit *audit, const char *topic, size_t topic_size, int64_t partition, int64_t offset)
{
	for (size_t i = 0; i < audit->part_count; i++) {
		const struct part *part = &audit->parts[i];
		if (part->id == partition && offset >= part->low && offset < part->high &&
		        strlen(part->topic) == topic_size && memcmp(part->topic, topic, topic_size) == 0)
			return &part->marks[offset - part->low];
	}
	return NULL;
}

static void take_partition(void *context, const char *topic, int32_t partition, int64_t low, int64_t high)
{
	struct audit *audit = context;
	audit->parts = mem_realloc(audit->parts, (audit->part_count + 1) * sizeof *audit->parts);
	audit->parts[audit->part_count++] =
	        (struct part){mem_strdup(topic), partition, low, high, mem_zalloc((size_t)(high - low), 1)};
}

static void take_input(void *context, const struct topicreader_message *message)
{
	struct audit *audit = context;
	unsigned char *mark =
	        mark_of(audit, message->topic, strlen(message->topic), message->partition, message->offset);
	if (mark)
		*mark |= SEEN;
}

/* ---- what came of them ---- */

/* Which input a message was made of. */
static unsigned char *source_mark(const struct audit *audit, const struct topicreader_message *message)
{
	for (size_t i = 0; i < message->header_count; i++) {
		const struct output_header *header = &message->headers[i];
		struct origin origin;
		if (strcmp(header->name, "millrace-source") == 0 && header->value &&
		        origin_read(header->value, header->size, &origin))
			return mark_of(
			        audit, origin.topic, origin.topic_size, origin.partition, origin.offset);
	}
	return NULL;
}

static void take_output(void *context, const struct topicreader_message *message)
{
	unsigned char *mark = source_mark(context, message);
	if (mark)
		*mark |= HAS_OUTPUT;
}

static void count_error(struct audit *audit, const struct topicreader_message *message)
{
	struct buf room;
	uint32_t at = 0;
	buf_init(&room, 0);
	if (message->value.data &&
	        jsontree_parse(&audit->tree, message->value.data, message->value.size, NULL, NULL) &&
	        audit->tree.nodes[0].kind == JSONTREE_OBJECT)
		at = jsontree_member(&audit->tree, 0, "error_type", strlen("error_type"));
	if (at && audit->tree.nodes[at].kind == JSONTREE_STRING && audit->errors.count < REASONS_SHOWN) {
		struct bytes type = jsontree_string(&audit->tree, at, &room);
		char *name = mem_dup(type.data, type.size);
		count(&audit->errors, name);
		mem_free(name);
	} else {
		count(&audit->errors, "(another error)");
	}
	buf_free(&room);
}

static void take_error(void *context, const struct topicreader_message *message)
{
	struct audit *audit = context;
	unsigned char *mark = source_mark(audit, message);
	if (mark && (*mark & (SEEN | HAS_ERROR)) == SEEN)
		count_error(audit, message);
	if (mark)
		*mark |= HAS_ERROR;
}

/* ---- the rest: dropped, or missing ---- */

static void write_bytes(struct buf *line, const char *name, struct bytes bytes)
{
	buf_printf(line, ",\"%s\":", name);
	if (bytes.data)
		text_json_string(line, bytes.data, bytes.size);
	else
		buf_append_text(line, "null");
}

static bool is_text(struct bytes bytes)
{
	return text_utf8_valid(bytes.data, bytes.size) == bytes.size;
}

static void write_missing(struct audit *audit, const struct topicreader_message *message)
{
	struct buf line;
	audit->missing++;
	if (audit->out == NULL)
		return;
	buf_init(&line, 0);
	buf_append_text(&line, "{\"topic\":");
	text_json_string(&line, message->topic, strlen(message->topic));
	buf_printf(&line, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld", (int)message->partition,
	        (long long)message->offset, (long long)message->timestamp);
	write_bytes(&line, "key", message->key);
	write_bytes(&line, "value", message->value);
	if (!is_text(message->key) || !is_text(message->value))
		buf_append_text(&line, ",\"verbatim\":false");
	buf_append_text(&line, "}\n");
	fwrite(line.data, 1, line.size, audit->out);
	buf_free(&line);
}

/* The script's reason to drop it, or NULL; the caller frees. */
static char *reason_of(struct audit *audit, const struct topicreader_message *message)
{
	struct script_input input = {.topic = message->topic,
	        .partition = message->partition,
	        .offset = message->offset,
	        .timestamp = message->timestamp,
	        .key = message->key,
	        .value = message->value,
	        .headers = message->headers,
	        .header_count = message->header_count};
	struct script_event event = {0};
	struct script_result result = {0};
	char *reason = NULL;
	if (message->value.data == NULL) /* a tombstone passes */
		return NULL;
	if (script_decode(&event, audit->script, &input, &result))
		script_request(&event, 1, &result);
	if (result.verdict == VERDICT_DROP)
		reason = mem_strdup(result.type);
	script_result_free(&result);
	script_forget(&event);
	script_collect(audit->script);
	return reason;
}

static void take_rest(void *context, const struct topicreader_message *message)
{
	struct audit *audit = context;
	const unsigned char *mark =
	        mark_of(audit, message->topic, strlen(message->topic), message->partition, message->offset);
	if (mark == NULL || *mark != SEEN)
		return;
	char *reason = reason_of(audit, message);
	if (reason) {
		audit->dropped++;
		count(&audit->reasons, reason);
	} else {
		write_missing(audit, message);
	}
	mem_free(reason);
}

/* ---- reading ---- */

static int read_topic(const struct topicreader *reader, const char *topic)
{
	struct err err;
	bool refused = false;
	return topicreader_read(reader, topic, &refused, &err) ? EXIT_SUCCESS : audit_complain(refused, &err);
}

static int read_source(struct audit *audit,
        void (*message)(void *context, const struct topicreader_message *message), bool first)
{
	const struct source_config *source = &audit->config->source;
	struct topicreader reader = {
	        .message = message, .context = audit, .partition = first ? take_partition : NULL};
	int code;
	audit_range(audit->options, &reader);
	reader.client = audit_open(audit->config, source->kafka, source->kafka_count, &code);
	if (reader.client == NULL)
		return code;
	code = EXIT_SUCCESS;
	for (size_t i = 0; i < source->topic_count && code == EXIT_SUCCESS; i++)
		code = read_topic(&reader, source->topics[i]);
	command_group_close(reader.client);
	return code;
}

/* To its end, and from a little earlier: a script may give an output another time. */
static int read_sink(struct audit *audit, const struct sink_config *sink,
        void (*message)(void *context, const struct topicreader_message *message))
{
	struct topicreader reader = {.message = message, .context = audit};
	int code;
	audit_range(audit->options, &reader);
	reader.until = TOPICREADER_END;
	if (reader.from > TOPICREADER_DISORDER_MS)
		reader.from -= TOPICREADER_DISORDER_MS;
	reader.client = audit_open(audit->config, sink->kafka, sink->kafka_count, &code);
	if (reader.client == NULL)
		return code;
	code = read_topic(&reader, sink->topic);
	command_group_close(reader.client);
	return code;
}

static void add_up(struct audit *audit)
{
	for (size_t i = 0; i < audit->part_count; i++)
		for (int64_t at = 0; at < audit->parts[i].high - audit->parts[i].low; at++) {
			unsigned char mark = audit->parts[i].marks[at];
			if ((mark & SEEN) == 0)
				continue;
			audit->inputs++;
			audit->with_output += mark & HAS_OUTPUT ? 1 : 0;
			audit->with_error += mark & HAS_ERROR ? 1 : 0;
		}
}

static bool some_left(const struct audit *audit)
{
	for (size_t i = 0; i < audit->part_count; i++)
		if (memchr(audit->parts[i].marks, SEEN, (size_t)(audit->parts[i].high - audit->parts[i].low)))
			return true;
	return false;
}

static int read_all(struct audit *audit)
{
	int code = read_source(audit, take_input, true);
	for (size_t i = 0; i < audit->config->sink_count && code == EXIT_SUCCESS; i++)
		code = read_sink(audit, &audit->config->sinks[i], take_output);
	if (code == EXIT_SUCCESS)
		code = read_sink(audit, &audit->config->errors, take_error);
	if (code == EXIT_SUCCESS)
		add_up(audit);
	if (code == EXIT_SUCCESS && some_left(audit))
		code = read_source(audit, take_rest, false);
	return code;
}

/* ---- telling ---- */

static void json_tallies(struct buf *out, const char *name, const struct tallies *tallies)
{
	buf_printf(out, ",\"%s\":{", name);
	for (size_t i = 0; i < tallies->count; i++) {
		buf_append_text(out, i ? "," : "");
		text_json_string(out, tallies->items[i].name, strlen(tallies->items[i].name));
		buf_printf(out, ":%zu", tallies->items[i].count);
	}
	buf_append_byte(out, '}');
}

static void print_json(const struct audit *audit)
{
	struct buf out;
	buf_init(&out, 0);
	buf_printf(&out,
	        "{\"inputs\":%zu,\"with_output\":%zu,\"with_error\":%zu,\"dropped\":%zu,\"missing\":%zu",
	        audit->inputs, audit->with_output, audit->with_error, audit->dropped, audit->missing);
	json_tallies(&out, "error_types", &audit->errors);
	json_tallies(&out, "drop_reasons", &audit->reasons);
	buf_append_text(&out, "}\n");
	fwrite(out.data, 1, out.size, stdout);
	buf_free(&out);
}

static void row(struct table *table, const char *what, const char *detail, size_t number)
{
	char **cells = table_add(table);
	cells[0] = mem_strdup(what);
	cells[1] = mem_strdup(detail);
	cells[2] = mem_printf("%zu", number);
}

static void print_text(const struct audit *audit)
{
	static const char *const names[] = {"INPUTS", "WHY", "COUNT", NULL};
	struct table table;
	table_begin(&table, names);
	row(&table, "all", "-", audit->inputs);
	row(&table, "with output", "-", audit->with_output);
	row(&table, "with error event", "-", audit->with_error);
	for (size_t i = 0; i < audit->errors.count; i++)
		row(&table, "", audit->errors.items[i].name, audit->errors.items[i].count);
	row(&table, "dropped", "-", audit->dropped);
	for (size_t i = 0; i < audit->reasons.count; i++)
		row(&table, "", audit->reasons.items[i].name, audit->reasons.items[i].count);
	row(&table, "missing", "-", audit->missing);
	table_print(&table);
}

/* ---- all of it ---- */

static bool close_out(struct audit *audit)
{
	if (audit->out == NULL)
		return true;
	bool failed = ferror(audit->out) != 0;
	failed = fclose(audit->out) != 0 || failed;
	if (failed)
		fprintf(stderr, "millrace audit: %s cannot be written: %s\n", audit->options->out,
		        strerror(errno));
	return !failed;
}

static int audit_with_script(struct audit *audit)
{
	int code = EXIT_FAILURE;
	if (audit->options->out && (audit->out = fopen(audit->options->out, "we")) == NULL) {
		fprintf(stderr, "millrace audit: %s cannot be written: %s\n", audit->options->out,
		        strerror(errno));
		return code;
	}
	code = read_all(audit);
	if (!close_out(audit))
		return code == EXIT_SUCCESS ? EXIT_FAILURE : code;
	if (code != EXIT_SUCCESS)
		return code;
	(audit->options->json ? print_json : print_text)(audit);
	return audit->missing ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int audit_inputs(const struct audit_options *options, const struct config *config)
{
	struct audit audit = {.options = options, .config = config};
	struct script_world world;
	struct err err;
	int code = EXIT_CONFIG;
	config_world(config, &world);
	jsontree_init(&audit.tree);
	audit.script = script_open(&config->script, &world, &err);
	if (audit.script) {
		code = audit_with_script(&audit);
		script_release(audit.script);
	} else {
		fprintf(stderr, "millrace audit: %s\n", err.text);
	}
	for (size_t i = 0; i < audit.part_count; i++) {
		mem_free(audit.parts[i].topic);
		mem_free(audit.parts[i].marks);
	}
	mem_free(audit.parts);
	tallies_free(&audit.errors);
	tallies_free(&audit.reasons);
	jsontree_free(&audit.tree);
	mem_free((void *)(size_t)world.sinks);
	return code;
}

static int run(const struct audit_options *options)
{
	int code;
	struct config *config = command_load(options->config, &code);
	if (config == NULL)
		return code;
	log_init(LOG_TEXT, LOG_WARN, config->name);
	code = (options->compare[0] ? audit_compare : audit_inputs)(options, config);
	config_free(config);
	return code;
}

/* ---- options ---- */

static bool is_time(const char *text, const char *word)
{
	int64_t wall;
	return strcmp(text, word) == 0 || clock_parse(text, strlen(text), &wall);
}

static int check_options(const struct audit_options *options, bool by_given)
{
	if (options->config == NULL)
		return command_usage("audit", "no configuration: give one with -c FILE");
	if (options->from == NULL)
		return command_usage("audit", "from when? --from earliest, or a time");
	if (!is_time(options->from, "earliest"))
		return command_usage("audit",
		        "--from: expected earliest or a time such as 2026-11-01T00:00:00Z, found '%s'",
		        options->from);
	if (!is_time(options->until, "end"))
		return command_usage("audit",
		        "--until: expected end or a time such as 2026-11-01T00:00:00Z, found '%s'",
		        options->until);
	if (options->compare[0] && options->compare[1] == NULL)
		return command_usage("audit", "--compare wants two topics: --compare OLD NEW");
	if (options->compare[0] && options->out)
		return command_usage("audit", "--out does not go with --compare");
	if (options->compare[0] == NULL && by_given)
		return command_usage("audit", "--by and --ignore belong to --compare");
	return EXIT_SUCCESS;
}

int command_audit(int argc, char **argv)
{
	enum { FROM = 256, UNTIL, OUT, COMPARE, BY, IGNORE, JSON };
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
	        {"from", required_argument, NULL, FROM}, {"until", required_argument, NULL, UNTIL},
	        {"out", required_argument, NULL, OUT}, {"compare", required_argument, NULL, COMPARE},
	        {"by", required_argument, NULL, BY}, {"ignore", required_argument, NULL, IGNORE},
	        {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct audit_options options = {.config = getenv("MILLRACE_CONFIG"),
	        .until = "end",
	        .by = "wiki_id,page.page_id,revision.rev_id,page_change_kind,dt",
	        .ignore = "meta.id,meta.dt"};
	bool by_given = false;
	int option;
	while ((option = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1)
		switch (option) {
		case 'c': options.config = optarg; break;
		case FROM: options.from = optarg; break;
		case UNTIL: options.until = optarg; break;
		case OUT: options.out = optarg; break;
		case COMPARE: options.compare[0] = optarg; break;
		case BY: options.by = optarg, by_given = true; break;
		case IGNORE: options.ignore = optarg, by_given = true; break;
		case JSON: options.json = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	/* getopt moves what is no option behind the options: the second topic is the first of these. */
	if (options.compare[0] && optind < argc)
		options.compare[1] = argv[optind++];
	if (optind < argc)
		return command_usage("audit",
		        "unexpected argument '%s'; the configuration is given with -c FILE", argv[optind]);
	int bad = check_options(&options, by_given);
	return bad ? bad : run(&options);
}
