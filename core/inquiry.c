/* Where assigned partitions start: asked of the brokers and the checkpoint files, which blocks. */
#include "inquiry.h"
#include "clock.h"
#include "kafka.h"
#include "kafka_ask.h"
#include "log.h"
#include "mem.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

struct inquiry *inquiry_make(size_t count)
{
	struct inquiry *inquiry = mem_zalloc(1, sizeof *inquiry);
	inquiry->partitions = mem_zalloc(count, sizeof *inquiry->partitions);
	inquiry->count = count;
	return inquiry;
}

void inquiry_free(struct inquiry *inquiry)
{
	for (size_t i = 0; i < inquiry->count; i++) {
		mem_free(inquiry->partitions[i].topic);
		mem_free(inquiry->partitions[i].commit.ranges);
	}
	mem_free(inquiry->partitions);
	mem_free(inquiry);
}

/* What is known of one topic of the inquiry. */
struct topic {
	const char *name;
	int32_t partitions;
};

struct asking {
	struct inquiry *inquiry;
	int64_t deadline;
	struct topic *topics;
	size_t topic_count;
	rd_kafka_topic_partition_list_t *committed; /* of all partitions of the topics */
};

static int left_ms(const struct asking *asking)
{
	int64_t left = asking->deadline - clock_now();
	return left < 1 ? 1 : (int)left;
}

static bool complain(struct asking *asking, const char *what, const char *topic, rd_kafka_resp_err_t code)
{
	struct inquiry *inquiry = asking->inquiry;
	inquiry->refused = kafka_refused(code);
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return err_set(
		        &inquiry->err, "there is no topic %s: create it, or correct source.topics", topic);
	return err_set(
	        &inquiry->err, "asked the brokers for %s of %s: %s", what, topic, rd_kafka_err2str(code));
}

static struct topic *topic_of(struct asking *asking, const char *name)
{
	for (size_t i = 0; i < asking->topic_count; i++)
		if (strcmp(asking->topics[i].name, name) == 0)
			return &asking->topics[i];
	return NULL;
}

static bool ask_topic(struct asking *asking, const char *name)
{
	struct kafka_topic answer = kafka_ask_topic(asking->inquiry->client, name, left_ms(asking));
	if (answer.state != KAFKA_TOPIC_THERE)
		return complain(asking, "the partitions", name, (rd_kafka_resp_err_t)answer.code);
	asking->topics = mem_realloc(asking->topics, (asking->topic_count + 1) * sizeof *asking->topics);
	asking->topics[asking->topic_count++] = (struct topic){name, answer.partitions};
	return true;
}

static bool ask_topics(struct asking *asking)
{
	for (size_t i = 0; i < asking->inquiry->count; i++) {
		const char *name = asking->inquiry->partitions[i].topic;
		if (topic_of(asking, name) == NULL && !ask_topic(asking, name))
			return false;
	}
	return true;
}

static bool ask_commits(struct asking *asking)
{
	int total = 0;
	for (size_t i = 0; i < asking->topic_count; i++)
		total += asking->topics[i].partitions;
	asking->committed = rd_kafka_topic_partition_list_new(total);
	for (size_t i = 0; i < asking->topic_count; i++)
		for (int32_t id = 0; id < asking->topics[i].partitions; id++)
			rd_kafka_topic_partition_list_add(asking->committed, asking->topics[i].name, id);
	rd_kafka_resp_err_t code =
	        rd_kafka_committed(asking->inquiry->client, asking->committed, left_ms(asking));
	for (int i = 0; i < asking->committed->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		code = asking->committed->elems[i].err;
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
	       complain(asking, "the group's commits", asking->topics[0].name, code);
}

static rd_kafka_topic_partition_list_t *list_of(
        const struct inquiry_partition *partitions, size_t count, int64_t when)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].id)->offset = when;
	return list;
}

/* The offsets at a time, or at a logical one: RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END; NULL when one
 * is not to be had. librdkafka's own query of the watermarks is not used: 2.0.2 answers with the end for the
 * beginning when one of its two requests fails while the other succeeds. */
static rd_kafka_topic_partition_list_t *ask_offsets(
        struct asking *asking, const struct inquiry_partition *partitions, size_t count, int64_t when)
{
	rd_kafka_topic_partition_list_t *list = list_of(partitions, count, when);
	rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(asking->inquiry->client, list, left_ms(asking));
	const char *topic = partitions[0].topic;
	for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		code = list->elems[i].err;
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR && when < 0 && list->elems[i].offset < 0)
			code = RD_KAFKA_RESP_ERR__BAD_MSG;
		topic = list->elems[i].topic;
	}
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return list;
	complain(asking, "offsets", topic, code);
	rd_kafka_topic_partition_list_destroy(list);
	return NULL;
}

static bool ask_watermarks(struct asking *asking)
{
	struct inquiry *inquiry = asking->inquiry;
	rd_kafka_topic_partition_list_t *low =
	        ask_offsets(asking, inquiry->partitions, inquiry->count, RD_KAFKA_OFFSET_BEGINNING);
	rd_kafka_topic_partition_list_t *high =
	        low ? ask_offsets(asking, inquiry->partitions, inquiry->count, RD_KAFKA_OFFSET_END) : NULL;
	for (size_t i = 0; high && i < inquiry->count; i++) {
		struct inquiry_partition *partition = &inquiry->partitions[i];
		partition->low =
		        rd_kafka_topic_partition_list_find(low, partition->topic, partition->id)->offset;
		partition->high =
		        rd_kafka_topic_partition_list_find(high, partition->topic, partition->id)->offset;
	}
	bool good = high != NULL;
	if (low)
		rd_kafka_topic_partition_list_destroy(low);
	if (high)
		rd_kafka_topic_partition_list_destroy(high);
	return good;
}

static bool ask_time(
        struct asking *asking, const struct inquiry_partition *partition, int64_t wall, int64_t *offset)
{
	rd_kafka_topic_partition_list_t *list = ask_offsets(asking, partition, 1, wall);
	if (list == NULL)
		return false;
	*offset = list->elems[0].offset >= 0 ? list->elems[0].offset
	                                     : partition->high; /* nothing that late yet */
	rd_kafka_topic_partition_list_destroy(list);
	return true;
}

/* "earliest", "latest", "end" or a time -> an offset of the partition. */
static bool ask_place(
        struct asking *asking, const struct inquiry_partition *partition, const char *place, int64_t *offset)
{
	int64_t wall;
	*offset = partition->high;
	if (place == NULL || strcmp(place, "earliest") == 0)
		*offset = partition->low;
	else if (clock_parse(place, strlen(place), &wall))
		return ask_time(asking, partition, wall, offset);
	return true;
}

/* Reads the group's commit of one partition; false when it has none. */
static bool commit_of(const struct asking *asking, const char *topic, int32_t id, struct position *position,
        struct range *ranges)
{
	const rd_kafka_topic_partition_t *entry =
	        rd_kafka_topic_partition_list_find(asking->committed, topic, id);
	if (entry == NULL || entry->offset < 0)
		return false;
	positions_decode(entry->metadata_size ? entry->metadata : "", entry->metadata_size, entry->offset,
	        position, ranges);
	return true;
}

static bool appeared_later(struct asking *asking, const struct inquiry_partition *partition)
{
	static const struct position none;
	struct range *ranges = mem_alloc(POSITION_RANGES_MAX * sizeof *ranges);
	bool later = false;
	for (int i = 0; i < asking->committed->cnt && !later; i++) {
		const rd_kafka_topic_partition_t *entry = &asking->committed->elems[i];
		struct position other = none;
		if (strcmp(entry->topic, partition->topic) == 0 &&
		        commit_of(asking, entry->topic, entry->partition, &other, ranges))
			later = positions_appeared_later(partition->id, &other, 1);
	}
	mem_free(ranges);
	return later;
}

/* Files that are there and yet of no use are told, or a start without them would be a riddle. */
static void say_strangers(const struct inquiry *inquiry, const struct inquiry_partition *partition,
        const struct position *files, size_t count)
{
	const char *theirs = "";
	for (size_t i = 0; i < count && theirs[0] == '\0'; i++)
		if (strcmp(files[i].cluster, inquiry->cluster) != 0)
			theirs = files[i].cluster;
	if (inquiry->cluster[0] == '\0')
		log_warn("checkpoint",
		        "%s/%d: %zu checkpoint files are not used: the brokers do not say which cluster they "
		        "are",
		        partition->topic, partition->id, count);
	else
		log_warn("checkpoint",
		        "%s/%d: %zu of %zu checkpoint files are not used: they are of another cluster (%s), "
		        "whose offsets mean nothing on this one (%s)",
		        partition->topic, partition->id, partition->decision.strangers, count,
		        theirs[0] ? theirs : "unknown", inquiry->cluster);
}

static bool resolve(struct asking *asking, struct inquiry_partition *partition)
{
	const struct source_config *config = asking->inquiry->config;
	const struct source_checkpoints *checkpoints = config->checkpoints;
	struct position *files = NULL;
	struct position_facts facts = {.low = partition->low,
	        .high = partition->high,
	        .cluster = asking->inquiry->cluster,
	        .refused = partition->refused};
	if (partition->refused)
		facts.commit = &partition->known;
	else if (partition->committed)
		facts.commit = &partition->commit;
	else
		facts.topic_known = partition->awaited || appeared_later(asking, partition);
	if (facts.commit == NULL && !facts.topic_known &&
	        !ask_place(asking, partition, config->start, &facts.configured_start))
		return false;
	if (checkpoints && !partition->refused)
		facts.file_count =
		        checkpoints->read(checkpoints->context, partition->topic, partition->id, &files);
	facts.files = files;
	positions_resolve(&facts, &partition->decision);
	if (partition->decision.strangers)
		say_strangers(asking->inquiry, partition, files, facts.file_count);
	if (files)
		checkpoints->release(checkpoints->context, files, facts.file_count);
	struct position_decision *decision = &partition->decision;
	if (decision->new_lineage)
		decision->partitions = topic_of(asking, partition->topic)->partitions;
	if (config->until == NULL)
		decision->until = -1; /* of a bounded run that was: this one is not */
	partition->until_new = config->until && decision->until < 0;
	return !partition->until_new || ask_place(asking, partition, config->until, &decision->until);
}

static bool ask_partition(struct asking *asking, struct inquiry_partition *partition)
{
	struct range *ranges = mem_alloc(POSITION_RANGES_MAX * sizeof *ranges);
	partition->commit.ranges = ranges;
	partition->committed = commit_of(asking, partition->topic, partition->id, &partition->commit, ranges);
	const char *place = asking->inquiry->place;
	return (place == NULL || ask_place(asking, partition, place, &partition->place)) &&
	       resolve(asking, partition);
}

void inquiry_run(struct inquiry *inquiry)
{
	struct asking asking = {.inquiry = inquiry, .deadline = clock_now() + inquiry->budget_ms};
	kafka_ask_cluster(inquiry->client, left_ms(&asking), inquiry->cluster);
	bool good = ask_topics(&asking) && ask_commits(&asking) && ask_watermarks(&asking);
	for (size_t i = 0; i < inquiry->count && good; i++)
		good = ask_partition(&asking, &inquiry->partitions[i]);
	if (asking.committed)
		rd_kafka_topic_partition_list_destroy(asking.committed);
	mem_free(asking.topics);
	inquiry->answered = good;
}

static void add_topic(struct inquiry *inquiry, const struct topic *topic)
{
	size_t count = inquiry->count + (size_t)topic->partitions;
	inquiry->partitions =
	        mem_realloc(inquiry->partitions, (count ? count : 1) * sizeof *inquiry->partitions);
	memset(&inquiry->partitions[inquiry->count], 0,
	        (size_t)topic->partitions * sizeof *inquiry->partitions);
	for (int32_t id = 0; id < topic->partitions; id++) {
		struct inquiry_partition *partition = &inquiry->partitions[inquiry->count++];
		partition->topic = mem_strdup(topic->name);
		partition->id = id;
	}
}

struct inquiry *inquiry_make_all(rd_kafka_t *client, const struct source_config *config, int64_t budget_ms,
        bool *refused, struct err *err)
{
	struct inquiry *inquiry = inquiry_make(0);
	inquiry->client = client;
	inquiry->config = config;
	struct asking asking = {.inquiry = inquiry, .deadline = clock_now() + budget_ms};
	bool good = true;
	for (size_t i = 0; i < config->topic_count && good; i++)
		good = topic_of(&asking, config->topics[i]) || ask_topic(&asking, config->topics[i]);
	if (!good) {
		err_set(err, "%s", inquiry->err.text);
		*refused = inquiry->refused;
		inquiry_free(inquiry);
		mem_free(asking.topics);
		return NULL;
	}
	for (size_t i = 0; i < asking.topic_count; i++)
		add_topic(inquiry, &asking.topics[i]);
	mem_free(asking.topics);
	return inquiry;
}
