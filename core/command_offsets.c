/* `millrace offsets`: where the partitions of a job stand, and where they would start. */
#include "checkpoint_reader.h"
#include "clock.h"
#include "command.h"
#include "config.h"
#include "inquiry.h"
#include "kafka.h"
#include "log.h"
#include "mem.h"
#include "reach.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace offsets show|plan -c FILE [--json]\n"
        "\n"
        "Shows where the partitions of a job stand. Joins no group and changes nothing, so a\n"
        "running job is not disturbed.\n"
        "\n"
        "  show    what is known: the log, the group's commit, the newest checkpoint file\n"
        "  plan    where each partition would start now, and why\n"
        "\n"
        "examples:\n"
        "  millrace offsets show -c millrace.yaml\n"
        "  millrace offsets plan -c millrace.yaml --json | jq '.partitions[].start'\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       the configuration [$MILLRACE_CONFIG]\n"
        "      --json              one JSON object, with all files and finished ranges\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 1 failed, 2 usage, 69 the brokers cannot be reached, 78 the\n"
        "configuration does not load.\n"
        "See also: millrace run --help, millrace check --help\n";

enum { REACH_MS = 5000, ASK_MS = 15000, LEAVE_MS = 2000 };

struct offsets_view {
	const struct config *config;
	struct inquiry *inquiry;
	struct checkpoint_reader *reader; /* NULL = no checkpoint.dir */
	bool json;
};

/* ---- a table of text ---- */

enum { COLUMNS = 8 };

struct table {
	size_t columns;
	char *(*rows)[COLUMNS]; /* the first is the header */
	size_t count;
};

static char **add_row(struct table *table)
{
	table->rows = mem_realloc(table->rows, (table->count + 1) * sizeof *table->rows);
	memset(table->rows[table->count], 0, sizeof *table->rows);
	return table->rows[table->count++];
}

static void table_begin(struct table *table, const char *const *names)
{
	*table = (struct table){0};
	char **row = add_row(table);
	for (; names[table->columns]; table->columns++)
		row[table->columns] = mem_strdup(names[table->columns]);
}

static void table_print(struct table *table)
{
	int widths[COLUMNS] = {0};
	for (size_t r = 0; r < table->count; r++)
		for (size_t c = 0; c < table->columns; c++)
			if ((int)strlen(table->rows[r][c]) > widths[c])
				widths[c] = (int)strlen(table->rows[r][c]);
	for (size_t r = 0; r < table->count; r++)
		for (size_t c = 0; c < table->columns; c++) {
			bool last = c + 1 == table->columns;
			printf("%-*s%s", last ? 0 : widths[c], table->rows[r][c], last ? "\n" : "  ");
			mem_free(table->rows[r][c]);
		}
	mem_free(table->rows);
}

/* ---- what both print ---- */

static void json_text(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, "\"%s\":", name);
	if (text)
		text_json_string(out, text, strlen(text));
	else
		buf_append_text(out, "null");
}

static void json_ranges(struct buf *out, const struct range *ranges, size_t count)
{
	buf_append_text(out, "\"finished\":[");
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s[%lld,%lld]", i ? "," : "", (long long)ranges[i].from,
		        (long long)ranges[i].to);
	buf_append_byte(out, ']');
}

static void json_position(struct buf *out, const struct position *position)
{
	buf_printf(out, "{\"offset\":%lld,", (long long)position->offset);
	json_text(out, "lineage", position->lineage[0] ? position->lineage : NULL);
	buf_append_byte(out, ',');
	json_ranges(out, position->ranges, position->range_count);
	if (position->until >= 0)
		buf_printf(out, ",\"until\":%lld", (long long)position->until);
}

static char *ranges_in_words(const struct range *ranges, size_t count)
{
	int64_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += ranges[i].to - ranges[i].from;
	if (count == 0)
		return mem_strdup("-");
	return mem_printf("%lld in %zu range%s", (long long)sum, count, count == 1 ? "" : "s");
}

static void json_head(const struct offsets_view *view, struct buf *out)
{
	buf_append_byte(out, '{');
	json_text(out, "group", view->config->source.group);
	buf_append_byte(out, ',');
	json_text(out, "cluster", view->inquiry->cluster);
	buf_append_byte(out, ',');
	json_text(out, "dir", view->config->checkpoint_dir);
	buf_append_text(out, ",\"partitions\":[");
}

static void print_head(const struct offsets_view *view)
{
	const char *dir = view->config->checkpoint_dir;
	printf("group %s on cluster %s, %s%s\n", view->config->source.group, view->inquiry->cluster,
	        dir ? "checkpoint files in " : "no checkpoint files (checkpoint.dir is not set)",
	        dir ? dir : "");
}

static int print_json(struct buf *out)
{
	buf_append_text(out, "]}\n");
	bool written = fwrite(out->data, 1, out->size, stdout) == out->size && fflush(stdout) == 0;
	buf_free(out);
	if (!written)
		perror("millrace offsets: standard output");
	return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- show ---- */

static size_t read_files(const struct offsets_view *view, const struct inquiry_partition *partition,
        struct checkpointfile **files)
{
	struct err err;
	size_t count = 0;
	*files = NULL;
	if (view->reader &&
	        !checkpoint_reader_read(view->reader, partition->topic, partition->id, files, &count, &err))
		fprintf(stderr, "millrace offsets: the files of %s/%d cannot be read: %s\n", partition->topic,
		        partition->id, err.text);
	return count;
}

static void free_files(struct checkpointfile *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		checkpointfile_free(&files[i]);
	mem_free(files);
}

static int64_t lag_of(const struct inquiry_partition *partition)
{
	int64_t lag = partition->high - partition->commit.offset;
	return lag < 0 ? 0 : lag;
}

static void json_partition(struct buf *out, const struct inquiry_partition *partition,
        const struct checkpointfile *files, size_t count)
{
	buf_append_byte(out, '{');
	json_text(out, "topic", partition->topic);
	buf_printf(out, ",\"partition\":%d,\"low\":%lld,\"high\":%lld,", partition->id,
	        (long long)partition->low, (long long)partition->high);
	if (partition->committed) {
		buf_printf(out, "\"lag\":%lld,\"commit\":", (long long)lag_of(partition));
		json_position(out, &partition->commit);
		buf_append_byte(out, '}');
	} else {
		buf_append_text(out, "\"lag\":null,\"commit\":null");
	}
	buf_append_text(out, ",\"files\":[");
	for (size_t i = 0; i < count; i++) {
		char time[CLOCK_TEXT];
		clock_format(files[i].position.wall, time);
		buf_append_text(out, i ? "," : "");
		json_position(out, &files[i].position);
		buf_printf(out, ",\"time\":\"%s\",", time);
		json_text(out, "cluster", files[i].position.cluster);
		buf_append_byte(out, ',');
		json_text(out, "script", files[i].script[0] ? files[i].script : NULL);
		buf_append_byte(out, '}');
	}
	buf_append_text(out, "]}");
}

static char *newest_in_words(
        const struct offsets_view *view, const struct checkpointfile *files, size_t count)
{
	char time[CLOCK_TEXT];
	if (count == 0)
		return mem_strdup(view->reader ? "none" : "-");
	const struct position *position = &files[0].position;
	clock_format(position->wall, time);
	return mem_printf("%lld at %s%s", (long long)position->offset, time,
	        strcmp(position->cluster, view->inquiry->cluster) == 0 ? "" : ", of another cluster");
}

static void show_row(const struct offsets_view *view, struct table *table,
        const struct inquiry_partition *partition, const struct checkpointfile *files, size_t count)
{
	const struct position *commit = &partition->commit;
	char **row = add_row(table);
	row[0] = mem_strdup(partition->topic);
	row[1] = mem_printf("%d", partition->id);
	row[2] = mem_printf("%lld..%lld", (long long)partition->low, (long long)partition->high);
	row[3] = partition->committed ? mem_printf("%lld", (long long)commit->offset) : mem_strdup("none");
	row[4] = partition->committed ? mem_printf("%lld", (long long)lag_of(partition)) : mem_strdup("-");
	row[5] = mem_strdup(!partition->committed ? "-"
	                    : commit->lineage[0]  ? commit->lineage
	                                          : "not Millrace's");
	row[6] = ranges_in_words(commit->ranges, partition->committed ? commit->range_count : 0);
	row[7] = newest_in_words(view, files, count);
}

static void show_json(const struct offsets_view *view, struct buf *out)
{
	json_head(view, out);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		struct checkpointfile *files;
		size_t count = read_files(view, &view->inquiry->partitions[i], &files);
		buf_append_text(out, i ? "," : "");
		json_partition(out, &view->inquiry->partitions[i], files, count);
		free_files(files, count);
	}
}

static void show_table(const struct offsets_view *view)
{
	static const char *const names[] = {"TOPIC", "PARTITION", "LOG", "COMMIT", "LAG", "LINEAGE",
	        "FINISHED ABOVE", "NEWEST FILE", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		struct checkpointfile *files;
		size_t count = read_files(view, &view->inquiry->partitions[i], &files);
		show_row(view, &table, &view->inquiry->partitions[i], files, count);
		free_files(files, count);
	}
	print_head(view);
	table_print(&table);
}

static int show(const struct offsets_view *view)
{
	struct buf out;
	if (!view->json) {
		show_table(view);
		return EXIT_SUCCESS;
	}
	buf_init(&out, 0);
	show_json(view, &out);
	return print_json(&out);
}

/* ---- plan ---- */

static const char *why_name(enum position_why why)
{
	switch (why) {
	case POSITION_COMMIT: return "commit";
	case POSITION_FOREIGN: return "foreign";
	case POSITION_FILE: return "file";
	case POSITION_START: return "start";
	case POSITION_BEGINNING: return "beginning";
	case POSITION_OUT_OF_RANGE: break;
	}
	return "out_of_range";
}

static void plan_json(const struct offsets_view *view, struct buf *out)
{
	json_head(view, out);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		const struct inquiry_partition *partition = &view->inquiry->partitions[i];
		const struct position_decision *decision = &partition->decision;
		buf_append_text(out, i ? ",{" : "{");
		json_text(out, "topic", partition->topic);
		buf_printf(out, ",\"partition\":%d,\"low\":%lld,\"high\":%lld,\"start\":%lld,", partition->id,
		        (long long)partition->low, (long long)partition->high, (long long)decision->offset);
		json_text(out, "why", why_name(decision->why));
		buf_append_byte(out, ',');
		json_text(out, "reason", position_why_text(decision));
		buf_append_byte(out, ',');
		json_text(out, "lineage", decision->new_lineage ? NULL : decision->lineage);
		buf_append_byte(out, ',');
		json_ranges(out, decision->ranges, decision->range_count);
		buf_printf(out, ",\"gap\":%lld}", (long long)decision->gap);
	}
}

static char *gap_in_words(const struct position_decision *decision)
{
	const char *text = position_why_text(decision);
	return decision->gap ? mem_printf("%s (%lld records are lost)", text, (long long)decision->gap)
	                     : mem_strdup(text);
}

static void plan_table(const struct offsets_view *view)
{
	static const char *const names[] = {
	        "TOPIC", "PARTITION", "LOG", "START", "FINISHED ABOVE", "WHY", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		const struct inquiry_partition *partition = &view->inquiry->partitions[i];
		const struct position_decision *decision = &partition->decision;
		char **row = add_row(&table);
		row[0] = mem_strdup(partition->topic);
		row[1] = mem_printf("%d", partition->id);
		row[2] = mem_printf("%lld..%lld", (long long)partition->low, (long long)partition->high);
		row[3] = mem_printf("%lld", (long long)decision->offset);
		row[4] = ranges_in_words(decision->ranges, decision->range_count);
		row[5] = gap_in_words(decision);
	}
	print_head(view);
	table_print(&table);
}

static int plan(const struct offsets_view *view)
{
	struct buf out;
	if (!view->json) {
		plan_table(view);
		return EXIT_SUCCESS;
	}
	buf_init(&out, 0);
	plan_json(view, &out);
	return print_json(&out);
}

/* ---- asking ---- */

static int unreachable(const struct err *err)
{
	fprintf(stderr, "millrace offsets: %s\n", err->text);
	return EXIT_UNREACHABLE;
}

/* A refused connection is told at once and by its name, where librdkafka would only time out. */
static bool reach(const struct source_config *source, struct err *err)
{
	for (size_t i = 0; i < source->kafka_count; i++)
		if (strcmp(source->kafka[i].name, "bootstrap.servers") == 0)
			return reach_brokers(source->kafka[i].value, REACH_MS, err);
	return true;
}

static int ask(struct offsets_view *view, struct rd_kafka_s *client, const struct source_config *source,
        int (*print)(const struct offsets_view *view))
{
	struct err err;
	view->inquiry = inquiry_make_all(client, source, ASK_MS, &(bool){false}, &err);
	if (view->inquiry == NULL)
		return unreachable(&err);
	view->inquiry->budget_ms = ASK_MS;
	inquiry_run(view->inquiry);
	int code = view->inquiry->answered ? print(view) : unreachable(&view->inquiry->err);
	inquiry_free(view->inquiry);
	return code;
}

static int with_client(struct offsets_view *view, bool planning)
{
	const struct config *config = view->config;
	struct source_config source = config->source;
	struct source_checkpoints files = {
	        view->reader, checkpoint_reader_positions, checkpoint_reader_release, NULL, NULL};
	struct kafka_settings settings = {.client_id = config->name,
	        .group = source.group,
	        .properties = source.kafka,
	        .property_count = source.kafka_count};
	struct err err;
	if (view->reader && planning)
		source.checkpoints = &files;
	if (!reach(&source, &err)) {
		unreachable(&err);
		fputs("Are bootstrap.servers of source.kafka right, and are the brokers up?\n", stderr);
		return EXIT_UNREACHABLE;
	}
	struct rd_kafka_s *client = kafka_open(KAFKA_CONSUMER, &settings, &err);
	if (client == NULL) {
		fprintf(stderr, "millrace offsets: %s\n", err.text);
		return EXIT_CONFIG;
	}
	int code = ask(view, client, &source, planning ? plan : show);
	kafka_destroy(client, LEAVE_MS);
	return code;
}

static int run(const char *path, bool planning, bool json)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	struct config *config = config_load(path, &report);
	if (report.text.size)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	if (config == NULL)
		return EXIT_CONFIG;
	log_init(LOG_TEXT, LOG_WARN, config->name);
	struct offsets_view view = {.config = config, .json = json};
	if (config->checkpoint_dir)
		view.reader = checkpoint_reader_open(&checkpointfile_disk, config->checkpoint_dir,
		        config->source.group, CHECKPOINT_READ_MS);
	int code = with_client(&view, planning);
	checkpoint_reader_close(view.reader);
	config_free(config);
	return code;
}

int command_offsets(int argc, char **argv)
{
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
	        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *config = getenv("MILLRACE_CONFIG");
	bool json = false;
	int option;
	while ((option = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1)
		switch (option) {
		case 'c': config = optarg; break;
		case 'j': json = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind >= argc)
		return command_usage("offsets", "what? 'show' or 'plan'");
	bool planning = strcmp(argv[optind], "plan") == 0;
	if (!planning && strcmp(argv[optind], "show") != 0)
		return command_usage("offsets", "expected show or plan, found '%s'", argv[optind]);
	if (optind + 1 < argc)
		return command_usage("offsets",
		        "unexpected argument '%s'; the configuration is given with -c FILE",
		        argv[optind + 1]);
	if (config == NULL)
		return command_usage("offsets", "no configuration: give one with -c FILE");
	return run(config, planning, json);
}
