/* `millrace offsets set`: positions set by hand; and how any change of them is shown, consented to and made.
 */
#include "command.h"
#include "command_offsets.h"
#include "kafka_group.h"
#include "mem.h"
#include "random.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMBERS_MS = 10000, COMMIT_MS = 15000, MEMBERS_SHOWN = 10 };

/* ---- what both say ---- */

/* What the change means for the records, between what was finished before and what counts as finished after.
 */
static char *effect_of(const struct offsets_change *change)
{
	const struct inquiry_partition *partition = change->partition;
	int64_t again = 0, skipped = 0;
	struct buf text;
	buf_init(&text, 0);
	if (partition->committed) {
		again = positions_beyond(&partition->commit, &change->to, partition->low);
		skipped = positions_beyond(&change->to, &partition->commit, partition->low);
	}
	if (again)
		buf_printf(&text, "%lld again", (long long)again);
	if (skipped)
		buf_printf(&text, "%s%lld skipped", text.size ? ", " : "", (long long)skipped);
	if (change->to.offset < partition->low)
		buf_printf(&text, "%s%lld no longer in the log", text.size ? ", " : "",
		        (long long)(partition->low - change->to.offset));
	if (text.size == 0)
		buf_append_text(&text, partition->committed ? "-" : "first position");
	if (change->note)
		buf_printf(&text, "; %s", change->note);
	return buf_steal(&text, NULL);
}

static void print_table(const struct offsets_view *view, const struct offsets_change *changes, size_t count)
{
	static const char *const names[] = {
	        "TOPIC", "PARTITION", "LOG", "BEFORE", "AFTER", "FINISHED ABOVE", "EFFECT", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < count; i++) {
		const struct inquiry_partition *partition = changes[i].partition;
		char **row = table_add(&table);
		row[0] = mem_strdup(partition->topic);
		row[1] = mem_printf("%d", partition->id);
		row[2] = offsets_log_cell(partition);
		row[3] = partition->committed ? mem_printf("%lld", (long long)partition->commit.offset)
		                              : mem_strdup("none");
		row[4] = mem_printf("%lld", (long long)changes[i].to.offset);
		row[5] = offsets_ranges_cell(changes[i].to.ranges, changes[i].to.range_count);
		row[6] = effect_of(&changes[i]);
	}
	offsets_print_head(view);
	table_print(&table);
	fflush(stdout);
}

static int print_json(const struct offsets_view *view, const struct offsets_change *changes, size_t count,
        const struct kafka_place *places)
{
	struct buf out;
	buf_init(&out, 0);
	offsets_json_head(view, &out);
	for (size_t i = 0; i < count; i++) {
		const struct inquiry_partition *partition = changes[i].partition;
		char *effect = effect_of(&changes[i]);
		buf_append_text(&out, i ? ",{" : "{");
		offsets_json_text(&out, "topic", partition->topic);
		buf_printf(&out, ",\"partition\":%d,\"low\":%lld,\"high\":%lld,\"before\":", partition->id,
		        (long long)partition->low, (long long)partition->high);
		if (partition->committed)
			offsets_json_position(&out, &partition->commit);
		buf_append_text(&out, partition->committed ? "},\"after\":" : "null,\"after\":");
		offsets_json_position(&out, &changes[i].to);
		buf_append_text(&out, "},");
		offsets_json_text(&out, "effect", effect);
		buf_printf(&out, ",\"done\":%s}", places && places[i].done ? "true" : "false");
		mem_free(effect);
	}
	return offsets_print_json(&out);
}

/* ---- consent ---- */

static void say_members(const struct offsets_view *view, const struct kafka_members *members)
{
	fprintf(stderr,
	        "millrace offsets: the group %s has %zu member%s, and a position set now would be "
	        "overwritten:\n",
	        view->config->source.group, members->count, members->count == 1 ? "" : "s");
	for (size_t i = 0; i < members->count && i < MEMBERS_SHOWN; i++)
		fprintf(stderr, "  %s\n", members->names[i]);
	if (members->count > MEMBERS_SHOWN)
		fprintf(stderr, "  and %zu more\n", members->count - MEMBERS_SHOWN);
	fputs("Stop the job (one that was killed is a member until its session times out), then try again.\n",
	        stderr);
}

/* EXIT_SUCCESS when the group has no members. */
static int refuse_members(const struct offsets_view *view)
{
	struct kafka_members members;
	struct err err;
	enum kafka_answer answer =
	        kafka_group_members(view->client, view->config->source.group, MEMBERS_MS, &members, &err);
	int code = answer == KAFKA_SILENT ? EXIT_UNREACHABLE : EXIT_FAILURE;
	if (answer != KAFKA_YES)
		fprintf(stderr, "millrace offsets: %s\n", err.text);
	else if (members.count)
		say_members(view, &members);
	else
		code = EXIT_SUCCESS;
	kafka_members_free(&members);
	return code;
}

/* EXIT_SUCCESS when the user wants it. */
static int consent(const struct offsets_view *view, size_t count)
{
	char answer[16] = "";
	if (view->options->yes)
		return EXIT_SUCCESS;
	if (!isatty(STDIN_FILENO))
		return command_usage("offsets",
		        "nothing was changed: add --yes to do it (there is no terminal to ask on)");
	fprintf(stderr, "Set %zu position%s of the group %s? [y/N] ", count, count == 1 ? "" : "s",
	        view->config->source.group);
	if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return EXIT_SUCCESS;
	fputs("Nothing was changed.\n", stderr);
	return EXIT_FAILURE;
}

/* ---- doing it ---- */

static int commit(const struct offsets_view *view, struct kafka_place *places, size_t count)
{
	struct err err;
	enum kafka_answer answer = kafka_group_commit(view->client, places, count, COMMIT_MS, &err);
	size_t done = 0;
	for (size_t i = 0; i < count; i++)
		done += places[i].done;
	if (answer == KAFKA_YES) {
		fprintf(stderr, "%zu position%s of the group %s set.\n", count, count == 1 ? "" : "s",
		        view->config->source.group);
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "millrace offsets: %s (%zu of %zu were set; 'millrace offsets show' says which)\n",
	        err.text, done, count);
	return answer == KAFKA_SILENT ? EXIT_UNREACHABLE : EXIT_FAILURE;
}

static int change(const struct offsets_view *view, const struct offsets_change *changes, size_t count,
        struct kafka_place *places)
{
	const struct offsets_options *options = view->options;
	int refused = options->dry_run ? EXIT_SUCCESS : refuse_members(view);
	if (refused)
		return refused;
	if (!options->json)
		print_table(view, changes, count);
	if (options->dry_run) {
		fputs("Nothing was changed (--dry-run).\n", stderr);
		return options->json ? print_json(view, changes, count, NULL) : EXIT_SUCCESS;
	}
	int code = consent(view, count);
	if (code)
		return code;
	for (size_t i = 0; i < count; i++)
		places[i] = (struct kafka_place){
		        changes[i].partition->topic, changes[i].partition->id, &changes[i].to, false};
	code = commit(view, places, count);
	int printed = options->json ? print_json(view, changes, count, places) : EXIT_SUCCESS;
	return code ? code : printed;
}

int offsets_change(const struct offsets_view *view, const struct offsets_change *changes, size_t count)
{
	if (count == 0) {
		fputs("millrace offsets: there is no such partition\n", stderr);
		return EXIT_FAILURE;
	}
	struct kafka_place *places = mem_zalloc(count, sizeof *places);
	int code = change(view, changes, count, places);
	mem_free(places);
	return code;
}

/* ---- set ---- */

bool offsets_wanted(const struct offsets_view *view, const struct inquiry_partition *partition)
{
	const struct offsets_options *options = view->options;
	return (options->topic == NULL || strcmp(options->topic, partition->topic) == 0) &&
	       (options->partition == NULL || atoi(options->partition) == partition->id);
}

int32_t offsets_partitions(const struct offsets_view *view, const char *topic)
{
	int32_t count = 0;
	for (size_t i = 0; i < view->inquiry->count; i++)
		count += strcmp(view->inquiry->partitions[i].topic, topic) == 0;
	return count;
}

/* False, and said, when the partition's log has no such offset. */
static bool fill(const struct offsets_view *view, const struct inquiry_partition *partition,
        struct offsets_change *change)
{
	const char *to = view->options->to;
	int64_t offset = view->inquiry->place ? partition->place : strtoll(to, NULL, 10);
	*change = (struct offsets_change){.partition = partition,
	        .to = {.offset = offset,
	                .until = partition->committed ? partition->commit.until : -1,
	                .partitions = offsets_partitions(view, partition->topic)}};
	random_hex(change->to.lineage, sizeof change->to.lineage);
	if (offset >= partition->low && offset <= partition->high)
		return true;
	fprintf(stderr, "millrace offsets: %s/%d has no offset %lld: its log is %lld..%lld\n",
	        partition->topic, partition->id, (long long)offset, (long long)partition->low,
	        (long long)partition->high);
	return false;
}

int offsets_set(const struct offsets_view *view)
{
	const struct inquiry *inquiry = view->inquiry;
	struct offsets_change *changes = mem_zalloc(inquiry->count, sizeof *changes);
	size_t count = 0;
	bool good = true;
	for (size_t i = 0; i < inquiry->count; i++)
		if (offsets_wanted(view, &inquiry->partitions[i]))
			good = fill(view, &inquiry->partitions[i], &changes[count++]) && good;
	int code = good ? offsets_change(view, changes, count) : EXIT_FAILURE;
	mem_free(changes);
	return code;
}
