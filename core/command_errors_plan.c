/* Where a replay begins and ends, and the positions of its group. */
#include "command_errors.h"
#include "kafka_group.h"
#include "mem.h"
#include "random.h"

#include <stdio.h>
#include <string.h>

enum { ASK_MS = 15000, MEMBERS_MS = 10000, COMMIT_MS = 15000 };

/* ---- names ---- */

static char *group_of(const struct errors_job *job, bool selected)
{
	const char *given = job->options->group;
	return mem_printf("%s%s%s", given ? given : job->config->source.group, given ? "" : "-replay",
	        selected ? "-selected" : "");
}

void errors_plan_init(struct errors_plan *plan, const struct errors_job *job)
{
	static char earliest[] = "earliest", end[] = "end";
	const struct config *config = job->config;
	*plan = (struct errors_plan){.selected = errorfilter_any(&job->options->filter)};
	plan->group = group_of(job, plan->selected);
	plan->source = config->source;
	plan->source.stream = NULL;
	plan->source.topics = (char **)(size_t)&config->errors.topic;
	plan->source.topic_count = 1;
	plan->source.group = plan->group;
	plan->source.start = earliest;
	plan->source.until = end;
	plan->source.kafka = job->stream_kafka;
	plan->source.kafka_count = job->stream_kafka_count;
	plan->source.checkpoints = NULL;
}

void errors_plan_free(struct errors_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		mem_free(plan->places[i].topic);
		mem_free(plan->places[i].start.ranges);
	}
	mem_free(plan->places);
	mem_free(plan->group);
}

/* ---- asking ---- */

/* Answered; NULL after it was told why not. */
static struct inquiry *ask(
        const struct source_config *source, struct rd_kafka_s *client, const char *place, int *code)
{
	struct err err;
	bool refused = false;
	struct inquiry *inquiry = inquiry_make_all(client, source, ASK_MS, &refused, &err);
	if (inquiry == NULL) {
		*code = errors_complain(refused, &err);
		return NULL;
	}
	inquiry->budget_ms = ASK_MS;
	inquiry->place = place;
	inquiry_run(inquiry);
	if (inquiry->answered)
		return inquiry;
	*code = errors_complain(inquiry->refused, &inquiry->err);
	inquiry_free(inquiry);
	return NULL;
}

static int64_t left_of(const struct errors_place *place)
{
	int64_t left = place->until - place->start.offset;
	for (size_t i = 0; i < place->start.range_count; i++) {
		const struct range *range = &place->start.ranges[i];
		int64_t to = range->to < place->until ? range->to : place->until;
		if (to > range->from)
			left -= to - range->from;
	}
	return left > 0 ? left : 0;
}

static void fill_start(
        struct errors_place *place, const struct inquiry_partition *partition, bool anew, int32_t partitions)
{
	const struct position_decision *decision = &partition->decision;
	place->topic = mem_strdup(partition->topic);
	place->partition = partition->id;
	place->start = (struct position){
	        .offset = anew ? partition->place : decision->offset, .partitions = partitions};
	random_hex(place->start.lineage, sizeof place->start.lineage);
	if (!anew && decision->range_count) {
		size_t bytes = decision->range_count * sizeof *decision->ranges;
		place->start.ranges = mem_alloc(bytes);
		memcpy(place->start.ranges, decision->ranges, bytes);
		place->start.range_count = decision->range_count;
	}
	if (!anew && decision->gap > 0)
		fprintf(stderr,
		        "millrace errors: %lld error events of %s/%d were deleted before they were "
		        "replayed\n",
		        (long long)decision->gap, partition->topic, (int)partition->id);
}

int errors_plan_make(struct errors_plan *plan, const struct errors_job *job, struct rd_kafka_s *client)
{
	const struct errors_options *options = job->options;
	struct source_config source = plan->source;
	bool anew = options->from || plan->selected;
	int code = EXIT_SUCCESS;
	source.until = NULL;
	struct inquiry *starts = ask(&source, client, options->from ? options->from : "earliest", &code);
	struct inquiry *ends =
	        starts ? ask(&source, client, options->until ? options->until : "latest", &code) : NULL;
	size_t count = ends ? starts->count : 0;
	if (ends && ends->count < count)
		count = ends->count;
	plan->places = mem_zalloc(count ? count : 1, sizeof *plan->places);
	for (size_t i = 0; i < count; i++) {
		struct errors_place *place = &plan->places[plan->count++];
		fill_start(place, &starts->partitions[i], anew, (int32_t)count);
		place->until = ends->partitions[i].place;
		if (place->until < place->start.offset) /* --until lies before what was replayed already */
			place->until = place->start.offset;
		place->start.until = place->until;
		plan->left += left_of(place);
	}
	if (starts)
		inquiry_free(starts);
	if (ends)
		inquiry_free(ends);
	return code;
}

static const struct errors_place *place_of(const struct errors_plan *plan, int32_t partition)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->places[i].partition == partition)
			return &plan->places[i];
	return NULL;
}

void errors_plan_bounds(const struct errors_plan *plan, int32_t partition, int64_t *low, int64_t *high)
{
	const struct errors_place *place = place_of(plan, partition);
	if (place == NULL || *high > place->until)
		*high = place ? place->until : *low;
	if (place && *low < place->start.offset)
		*low = place->start.offset;
}

bool errors_plan_finished(const struct errors_plan *plan, int32_t partition, int64_t offset)
{
	const struct errors_place *place = place_of(plan, partition);
	for (size_t i = 0; place && i < place->start.range_count; i++)
		if (offset >= place->start.ranges[i].from && offset < place->start.ranges[i].to)
			return true;
	return false;
}

/* ---- committing ---- */

/* Two at once would send the records of one key in any order. */
static int refuse_members(struct rd_kafka_s *client, const char *group)
{
	struct kafka_members members;
	struct err err;
	enum kafka_answer answer = kafka_group_members(client, group, MEMBERS_MS, &members, &err);
	int code = answer == KAFKA_SILENT ? EXIT_UNREACHABLE : EXIT_FAILURE;
	if (answer != KAFKA_YES)
		fprintf(stderr, "millrace errors: %s\n", err.text);
	else if (members.count)
		fprintf(stderr,
		        "millrace errors: a replay is running already: %s is a member of the group %s\n"
		        "Wait for its end (one that was killed is a member until its session times out), "
		        "then try again.\n",
		        members.names[0], group);
	else
		code = EXIT_SUCCESS;
	kafka_members_free(&members);
	return code;
}

/* Of both groups: replays of what is meant and of all must not meet either. */
static int refuse_others(const struct errors_job *job, struct rd_kafka_s *client)
{
	int code = EXIT_SUCCESS;
	for (int selected = 0; selected < 2 && code == EXIT_SUCCESS; selected++) {
		char *group = group_of(job, selected);
		code = refuse_members(client, group);
		mem_free(group);
	}
	return code;
}

int errors_plan_commit(struct errors_plan *plan, const struct errors_job *job, struct rd_kafka_s *client)
{
	struct err err;
	int code = refuse_others(job, client);
	if (code)
		return code;
	struct kafka_place *places = mem_zalloc(plan->count, sizeof *places);
	for (size_t i = 0; i < plan->count; i++)
		places[i] = (struct kafka_place){.topic = plan->places[i].topic,
		        .partition = plan->places[i].partition,
		        .position = &plan->places[i].start};
	enum kafka_answer answer = kafka_group_commit(client, places, plan->count, COMMIT_MS, &err);
	mem_free(places);
	return answer == KAFKA_YES ? EXIT_SUCCESS : errors_complain(answer == KAFKA_NO, &err);
}
