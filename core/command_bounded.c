/* What `millrace run --until` adds to a run: a check before it, its progress, a summary of it. */
#include "command_bounded.h"
#include "checkpoint_reader.h"
#include "clock.h"
#include "command.h"
#include "command_group.h"
#include "inquiry.h"
#include "log.h"
#include "mem.h"
#include "progress.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	ASK_MS = 15000,
	PATIENCE_MS = 30000, /* with brokers that cannot say yet */
	AGAIN_MS = 500,
	LOOK_MS = 100,     /* how soon the end is seen */
	COLUMNS = 80,      /* of a terminal that does not say */
	TELL_MS = 10000,   /* a line in the log so often */
	REASONS_SHOWN = 10 /* of one outcome; the JSON has all */
};

/* ---- the options ---- */

/* When the text's time is; false when it is no time at all. */
static bool time_of(const char *text, const char *first, const char *last, int64_t wall, int64_t *when)
{
	*when = wall;
	if (first && strcmp(text, first) == 0) {
		*when = INT64_MIN;
		return true;
	}
	return strcmp(text, last) == 0 || clock_parse(text, strlen(text), when);
}

const char *bounded_fault(const struct bounds *bounds, int64_t wall)
{
	int64_t from = INT64_MIN, until = wall;
	if ((bounds->from || bounds->until) && bounds->group == NULL)
		return "--from and --until need --group NAME: a bounded run keeps positions of its own";
	if (bounds->from && !time_of(bounds->from, "earliest", "latest", wall, &from))
		return "--from: expected earliest, latest or a time such as 2026-11-01T00:00:00Z";
	if (bounds->until && !time_of(bounds->until, NULL, "end", wall, &until))
		return "--until: expected end or a time such as 2026-11-01T00:00:00Z";
	if (until > wall)
		return "--until: expected a time that has been; `end` is the end of the topics as it is now";
	if (from > wall)
		return "--from: expected a time that has been";
	if (from > until)
		return "--from is later than --until: there would be nothing to read";
	if (bounds->resume && bounds->from == NULL && bounds->until == NULL)
		return "--resume goes with --from or --until; a run without them always goes on where its "
		       "group is";
	if (bounds->json && bounds->until == NULL)
		return "--json goes with --until: a run without an end has no summary";
	return NULL;
}

/* ---- the check ---- */

static int refuse(const char *group, const struct inquiry *inquiry)
{
	const struct inquiry_partition *first = NULL;
	size_t known = 0;
	for (size_t i = inquiry->count; i-- > 0;)
		if (inquiry->partitions[i].decision.why != POSITION_START) {
			first = &inquiry->partitions[i];
			known++;
		}
	if (first == NULL)
		return EXIT_SUCCESS;
	fprintf(stderr,
	        "millrace run: the group %s has positions already, in %zu of %zu partitions (%s/%d is at "
	        "offset "
	        "%lld): --from would not be heeded\n"
	        "Add --resume to go on from there, or begin anew under another --group.\n",
	        group, known, inquiry->count, first->topic, (int)first->id,
	        (long long)first->decision.offset);
	return EXIT_USAGE;
}

static int not_known(int code, const struct err *err)
{
	fprintf(stderr, "millrace run: whether the group has positions already is not known: %s\n",
	        err->text);
	if (code == EXIT_UNREACHABLE)
		fputs("Are bootstrap.servers of source.kafka right, and are the brokers up? With --resume "
		      "nothing is "
		      "asked, and the run waits for them.\n",
		        stderr);
	return code;
}

static int ask_once(struct rd_kafka_s *client, const struct source_config *source, struct err *err)
{
	bool refused = false;
	struct inquiry *inquiry = inquiry_make_all(client, source, ASK_MS, &refused, err);
	if (inquiry == NULL)
		return refused ? EXIT_FAILURE : EXIT_UNREACHABLE;
	inquiry->budget_ms = ASK_MS;
	inquiry_run(inquiry);
	int code = inquiry->refused ? EXIT_FAILURE : EXIT_UNREACHABLE;
	if (inquiry->answered)
		code = refuse(source->group, inquiry);
	else
		*err = inquiry->err;
	inquiry_free(inquiry);
	return code;
}

/* A broker that has just begun, or is about to hand the group to another one, answers so for a moment. */
static int ask(struct rd_kafka_s *client, const struct source_config *source)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	struct err err = {""};
	int code;
	while ((code = ask_once(client, source, &err)) == EXIT_UNREACHABLE && clock_now() < deadline)
		nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
	return code == EXIT_SUCCESS || code == EXIT_USAGE ? code : not_known(code, &err);
}

static int check(const struct config *config, struct checkpoint_reader *reader)
{
	struct source_config source = config->source;
	struct source_checkpoints files = {
	        reader, checkpoint_reader_positions, checkpoint_reader_release, NULL, NULL};
	struct err err = {""};
	int code;
	source.until = NULL;
	if (reader)
		source.checkpoints = &files;
	struct rd_kafka_s *client = command_group_open(config, &code, &err);
	if (client == NULL)
		return not_known(code, &err);
	code = ask(client, &source);
	command_group_close(client);
	return code;
}

int bounded_check(const struct config *config)
{
	struct checkpoint_reader *reader = NULL;
	if (config->checkpoint_dir)
		reader = checkpoint_reader_open(&checkpointfile_disk, config->checkpoint_dir,
		        config->source.group, CHECKPOINT_READ_MS);
	int code = check(config, reader);
	checkpoint_reader_close(reader);
	return code;
}

/* ---- progress ---- */

static unsigned columns(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}

static void show(const struct progress *progress, const struct worker_progress *now, bool terminal)
{
	struct buf text;
	buf_init(&text, 250);
	if (terminal)
		progress_line(progress, now->done, now->left, now->partitions, columns(), &text);
	else
		progress_text(progress, now->done, now->left, &text);
	if (terminal)
		log_status(text.size ? text.data : "");
	else
		log_info("run", "%s", text.data);
	buf_free(&text);
}

void bounded_watch(struct worker *worker, bool quiet)
{
	bool terminal = !quiet && command_colour(STDERR_FILENO) && getenv("CI") == NULL;
	struct progress progress = {0};
	int64_t shown = clock_now();
	while (!worker_ended(worker)) {
		nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
		struct worker_progress now = worker_progress(worker);
		int64_t time = clock_now();
		if (!now.known)
			continue;
		progress_note(&progress, now.done, time);
		if (time - shown < (terminal ? PROGRESS_DRAW_MS : TELL_MS))
			continue;
		shown = time;
		show(&progress, &now, terminal);
	}
	if (terminal)
		log_status("");
}

/* ---- the summary ---- */

static uint64_t ended(const struct worker_end *end)
{
	uint64_t sum = 0;
	for (int i = 0; i < OUTCOMES; i++)
		sum += end->counts.outcomes[i];
	return sum;
}

static void print_reasons(const struct worker_end *end, enum outcome outcome)
{
	size_t shown = 0, more = 0;
	for (size_t i = 0; i < end->reason_count; i++) {
		const struct worker_reason *reason = &end->reasons[i];
		if (reason->outcome != outcome)
			continue;
		if (shown == REASONS_SHOWN) {
			more++;
			continue;
		}
		printf("%s%s %llu", shown++ ? ", " : "  ", reason->name, (unsigned long long)reason->count);
	}
	if (more)
		printf(", and %zu more", more);
	putchar('\n');
}

static void print_text(
        const struct bounds *bounds, const struct config *config, const struct worker_end *end, int64_t ms)
{
	const struct pipeline_counts *counts = &end->counts;
	char time[32];
	text_human_duration(ms, time);
	const char *records = ended(end) == 1 ? "record" : "records";
	if (end->finished)
		printf("%s is done: %llu %s%s%s until %s, in %s\n", config->source.group,
		        (unsigned long long)ended(end), records, bounds->from ? " from " : "",
		        bounds->from ? bounds->from : "", bounds->until, time);
	else
		printf("%s was stopped before its end: %llu %s in %s; the same command with --resume goes "
		       "on\n",
		        config->source.group, (unsigned long long)ended(end), records, time);
	for (int i = 0; i < OUTCOMES; i++) {
		printf("  %-8s %10llu", outcome_name((enum outcome)i),
		        (unsigned long long)counts->outcomes[i]);
		print_reasons(end, (enum outcome)i);
	}
	if (counts->outcomes[OUTCOME_FAILED])
		printf("What failed is in %s, with the original.\n", config->errors.topic);
}

static void json_text(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, "\"%s\":", name);
	text_json_string(out, text, strlen(text));
	buf_append_byte(out, ',');
}

static void json_reasons(struct buf *out, const struct worker_end *end, enum outcome outcome)
{
	bool first = true;
	buf_printf(out, "\"%s\":{", outcome_name(outcome));
	for (size_t i = 0; i < end->reason_count; i++) {
		if (end->reasons[i].outcome != outcome)
			continue;
		buf_append_text(out, first ? "" : ",");
		text_json_string(out, end->reasons[i].name, strlen(end->reasons[i].name));
		buf_printf(out, ":%llu", (unsigned long long)end->reasons[i].count);
		first = false;
	}
	buf_append_byte(out, '}');
}

static void print_json(
        const struct bounds *bounds, const struct config *config, const struct worker_end *end, int64_t ms)
{
	struct buf out;
	buf_init(&out, 0);
	buf_append_byte(&out, '{');
	json_text(&out, "group", config->source.group);
	if (bounds->from)
		json_text(&out, "from", bounds->from);
	json_text(&out, "until", bounds->until);
	json_text(&out, "errors", config->errors.topic);
	buf_printf(&out,
	        "\"finished\":%s,\"seconds\":%.3f,\"records\":%llu,\"given_back\":%llu,\"outcomes\":{",
	        end->finished ? "true" : "false", (double)ms / 1000, (unsigned long long)ended(end),
	        (unsigned long long)end->counts.given_back);
	for (int i = 0; i < OUTCOMES; i++)
		buf_printf(&out, "%s\"%s\":%llu", i ? "," : "", outcome_name((enum outcome)i),
		        (unsigned long long)end->counts.outcomes[i]);
	buf_append_text(&out, "},\"reasons\":{");
	json_reasons(&out, end, OUTCOME_DROPPED);
	buf_append_byte(&out, ',');
	json_reasons(&out, end, OUTCOME_FAILED);
	buf_append_text(&out, "}}\n");
	fputs(out.data, stdout);
	buf_free(&out);
}

void bounded_summary(
        const struct bounds *bounds, const struct config *config, const struct worker *worker, int64_t ms)
{
	const struct worker_end *end = worker_end(worker);
	if (!end->ran)
		return;
	if (bounds->json)
		print_json(bounds, config, end, ms);
	else
		print_text(bounds, config, end, ms);
	fflush(stdout);
}
