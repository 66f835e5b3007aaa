/* The Kafka source and sink against librdkafka's mock cluster, in this process: what is acknowledged,
 * committed, skipped and handed over when members come and go. */
#include "clock.h"
#include "helper.h"
#include "kafka.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "sink.h"
#include "source_kafka.h"

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { PRODUCE = 0, FETCH = 1, LIST_OFFSETS = 2, OFFSET_COMMIT = 8, OFFSET_FETCH = 9 }; /* request types */

/* One cluster for all tests: each has topics and a group of its own. */
static struct {
	rd_kafka_t *client;
	rd_kafka_mock_cluster_t *mock;
	struct event_base *base;
	struct helper *helper;
	struct metrics *metrics;
	struct kafka_property
	        properties[5]; /* of a consumer; the first, the servers, is enough for a producer */
} world;

static int open_world(void **state)
{
	(void)state;
	char text[256];
	log_init(LOG_TEXT, getenv("MILLRACE_VERBOSE") ? LOG_DEBUG : LOG_ERROR, "test");
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "client.id", "mock", text, sizeof text);
	world.client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	world.mock = rd_kafka_mock_cluster_new(world.client, 1);
	world.base = event_base_new();
	world.helper = helper_open(world.base, NULL);
	world.metrics = metrics_open();
	world.properties[0] = (struct kafka_property){"bootstrap.servers",
	        mem_strdup(rd_kafka_mock_cluster_bootstraps(world.mock)), "test.yaml:1:1"};
	/* The mock waits for a rebalance as long as a session lasts. */
	world.properties[1] = (struct kafka_property){"session.timeout.ms", "3000", NULL};
	world.properties[2] = (struct kafka_property){"heartbeat.interval.ms", "300", NULL};
	world.properties[3] = (struct kafka_property){"partition.assignment.strategy", "range", NULL};
	world.properties[4] = (struct kafka_property){"max.poll.interval.ms", "3000", NULL};
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	helper_close(world.helper, 10000);
	metrics_close(world.metrics);
	event_base_free(world.base);
	rd_kafka_mock_cluster_destroy(world.mock);
	rd_kafka_destroy(world.client);
	mem_free(world.properties[0].value);
	return 0;
}

/* ---- a pipeline that only counts ---- */

enum { MOST = 4000 };

struct taken {
	struct partition *partition; /* NULL = ended or given back */
	int32_t id;
	uint64_t ticket, assignment;
	int64_t offset;
	char value[32], header[32];
};

struct reader {
	struct source *source;
	struct source_config config;
	char *topics[1];
	struct taken taken[MOST];
	size_t count;
	size_t periods, drains, cuts, releases, losses; /* handlers called */
	bool end_at_once, closed;
	char failed[512];
};

static bool reader_room(void *context)
{
	return ((struct reader *)context)->count < MOST;
}

static void end(struct taken *taken)
{
	if (taken->partition == NULL)
		return;
	offsets_end(taken->partition->offsets, taken->ticket);
	taken->partition->records--;
	taken->partition = NULL;
}

static void copy_text(char *out, size_t size, const char *data, size_t length)
{
	snprintf(out, size, "%.*s", (int)length, data ? data : "");
}

static void reader_message(void *context, const struct source_message *message)
{
	struct reader *reader = context;
	struct taken *taken = &reader->taken[reader->count++];
	*taken = (struct taken){.partition = message->partition,
	        .id = message->partition->id,
	        .ticket = offsets_begin(message->partition->offsets, message->offset),
	        .assignment = message->partition->assignment,
	        .offset = message->offset};
	copy_text(taken->value, sizeof taken->value, message->value.data, message->value.size);
	if (message->header_count)
		copy_text(taken->header, sizeof taken->header, message->headers[0].value,
		        message->headers[0].size);
	message->partition->records++;
	if (reader->end_at_once)
		end(taken);
}

static void reader_taken(void *context, struct partition *partition)
{
	assert_int_equal(partition->state, PARTITION_READING);
	assert_int_equal(strlen(partition->lineage), LINEAGE_SIZE - 1);
	((struct reader *)context)->periods++;
}

static void reader_draining(void *context, struct partition *partition)
{
	assert_int_equal(partition->state, PARTITION_DRAINING);
	((struct reader *)context)->drains++;
}

static void reader_cut_short(void *context, struct partition *partition)
{
	assert_int_equal(partition->state, PARTITION_DRAINING);
	((struct reader *)context)->cuts++;
}

static void reader_released(void *context, struct partition *partition, bool lost)
{
	struct reader *reader = context;
	reader->releases++;
	reader->losses += lost;
	for (size_t i = 0; i < reader->count; i++)
		if (reader->taken[i].partition == partition)
			reader->taken[i].partition = NULL;
	partition->records = 0;
}

static void reader_failed(void *context, const char *why)
{
	snprintf(((struct reader *)context)->failed, 512, "%s", why);
}

static struct reader *reader_open(const char *topic, const char *group)
{
	struct reader *reader = mem_zalloc(1, sizeof *reader);
	struct source_handlers handlers = {reader, reader_room, reader_message, reader_taken, reader_draining,
	        reader_cut_short, reader_released, reader_failed, reader};
	struct err err = {""};
	reader->topics[0] = (char *)topic;
	reader->config = (struct source_config){.topics = reader->topics,
	        .topic_count = 1,
	        .group = (char *)group,
	        .start = "earliest",
	        .kafka = world.properties,
	        .kafka_count = 5,
	        .queue_bytes = 1 << 20,
	        .revoke_ms = 1500};
	reader->source = source_kafka_open(
	        world.base, &reader->config, "reader", world.helper, &handlers, world.metrics, &err);
	if (reader->source == NULL)
		fail_msg("%s", err.text);
	return reader;
}

static void turn(struct reader *reader)
{
	event_base_loop(world.base, EVLOOP_NONBLOCK);
	if (reader && !reader->closed)
		reader->source->verbs->pump(reader->source);
	usleep(500);
}

#define UNTIL(reader, condition)                                                                             \
	do {                                                                                                 \
		bool until_met = false;                                                                      \
		int64_t until_deadline = clock_now() + 20000;                                                \
		while (!(until_met = (condition)) && clock_now() < until_deadline)                           \
			turn(reader);                                                                        \
		if (!until_met)                                                                              \
			fail_msg("never came: %s", #condition);                                              \
	} while (0)

static void turn_for(struct reader *reader, int64_t ms)
{
	for (int64_t end_at = clock_now() + ms; clock_now() < end_at;)
		turn(reader);
}

/* A commit is on its way, or there is something that one would say. */
static bool commits_pending(const struct reader *reader)
{
	const struct kafka_source *source = container_of(reader->source, struct kafka_source, source);
	bool pending = source->commit.count > 0;
	list_each (&reader->source->partitions, node, after)
		pending |= source_wants_commit(source_owned(node));
	return pending;
}

static void reader_commit(struct reader *reader)
{
	reader->source->verbs->commit(reader->source, true);
	UNTIL(reader, !commits_pending(reader));
}

/* Leaves as a process that stops cleanly does. */
static void reader_close(struct reader *reader)
{
	reader->source->verbs->stop(reader->source);
	reader->closed = true;
	UNTIL(reader, reader->source->verbs->close(reader->source));
	reader->source->verbs->destroy(reader->source);
	mem_free(reader);
}

static struct partition *partition_of(struct reader *reader, int32_t id)
{
	list_each (&reader->source->partitions, node, after)
		if (container_of(node, struct partition, node)->id == id)
			return container_of(node, struct partition, node);
	return NULL;
}

/* ---- a sink with outputs ---- */

struct writer {
	struct sink *sink;
	struct sink_config config;
	struct output outputs[MOST];
	size_t settled[5];         /* by state */
	size_t order[MOST], ended; /* indexes as they were settled */
	size_t rooms;
};

static void writer_settled(void *context, struct output *output)
{
	struct writer *writer = context;
	writer->settled[output->state]++;
	if (writer->ended < MOST)
		writer->order[writer->ended++] = (size_t)(output - writer->outputs);
}

static void writer_room(void *context)
{
	((struct writer *)context)->rooms++;
}

static struct writer *writer_open_with(
        const char *topic, struct kafka_property *properties, size_t count, size_t queue_bytes)
{
	struct writer *writer = mem_zalloc(1, sizeof *writer);
	struct sink_handlers handlers = {.context = writer, .settled = writer_settled, .room = writer_room};
	struct err err = {""};
	writer->config = (struct sink_config){.name = "sink",
	        .topic = (char *)topic,
	        .max_bytes = 1 << 20,
	        .kafka = properties,
	        .kafka_count = count};
	writer->sink = sink_kafka_open(
	        world.base, &writer->config, "writer", &handlers, world.metrics, queue_bytes, &err);
	if (writer->sink == NULL)
		fail_msg("%s", err.text);
	return writer;
}

static struct writer *writer_open(const char *topic)
{
	return writer_open_with(topic, world.properties, 1, 8 << 20);
}

static void writer_close(struct writer *writer)
{
	writer->sink->verbs->close(writer->sink);
	for (size_t i = 0; i < MOST; i++)
		output_free(&writer->outputs[i]);
	mem_free(writer);
}

static enum sink_sent write_one(struct writer *writer, size_t index, const char *key)
{
	struct output *output = &writer->outputs[index];
	char value[32], header[32];
	int size = snprintf(value, sizeof value, "value-%zu", index);
	if (output->value == NULL) {
		output->value = mem_dup(value, (size_t)size);
		output->value_size = (size_t)size;
		output->key = mem_strdup(key);
		output->key_size = key ? strlen(key) : 0;
		output->timestamp = 1700000000000 + (int64_t)index;
		size = snprintf(header, sizeof header, "in/0/%zu/0", index);
		output_set_header(output, "millrace-source", header, (size_t)size);
	}
	return writer->sink->verbs->send(writer->sink, output);
}

static void fill_topic(const char *topic, size_t count)
{
	static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct writer *writer = writer_open(topic);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(write_one(writer, i, keys[i % 8]), SINK_TAKEN);
	UNTIL(NULL, writer->settled[OUTPUT_ACKED] == count);
	writer_close(writer);
}

/* ---- configuration ---- */

static void wrong_properties_are_refused_in_words(void **state)
{
	(void)state;
	static const struct {
		enum kafka_client client;
		const char *name, *value, *words;
	} table[] = {
	        {KAFKA_CONSUMER, "bootstrap.serverz", "x", "did you mean \"bootstrap.servers\"?"},
	        {KAFKA_PRODUCER, "linger.mz", "5", "did you mean \"linger.ms\"?"},
	        {KAFKA_PRODUCER, "certainly.not.there", "5", "has no property"},
	        {KAFKA_CONSUMER, "fetch.wait.max.ms", "soon", "Invalid value"},
	        {KAFKA_CONSUMER, "enable.auto.commit", "true", "commits what is finished"},
	        {KAFKA_CONSUMER, "auto.offset.reset", "latest", "source.start"},
	        {KAFKA_CONSUMER, "group.id", "g", "source.group"},
	        {KAFKA_CONSUMER, "queued.max.messages.kbytes", "9", "limits.memory"},
	        {KAFKA_PRODUCER, "enable.idempotence", "false", "order"},
	        {KAFKA_PRODUCER, "acks", "1", "replicas"},
	        {KAFKA_PRODUCER, "max.in.flight", "5", "overtake"},
	        {KAFKA_PRODUCER, "enable.gapless.guarantee", "false", "overtake"},
	        {KAFKA_PRODUCER, "transactional.id", "t", "transactions"},
	        {KAFKA_PRODUCER, "message.max.bytes", "5", "max_bytes"},
	        {KAFKA_PRODUCER, "dr_cb", "x", "functions"},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct err err = {""};
		assert_false(kafka_check_property(table[i].client, table[i].name, table[i].value, &err));
		if (strstr(err.text, table[i].words) == NULL || strstr(err.text, table[i].name) == NULL)
			fail_msg("%s: %s", table[i].name, err.text);
	}
	assert_true(kafka_check_property(KAFKA_CONSUMER, "security.protocol", "ssl", NULL));
	assert_true(kafka_check_property(
	        KAFKA_CONSUMER, "partition.assignment.strategy", "cooperative-sticky", NULL));
	assert_true(kafka_check_property(KAFKA_PRODUCER, "acks", "all", NULL));
	assert_true(kafka_check_property(KAFKA_PRODUCER, "enable.idempotence", "true", NULL));
	assert_true(kafka_check_property(KAFKA_PRODUCER, "compression.type", "zstd", NULL));
}

static void a_cooperative_assignor_is_warned_of_where_librdkafka_has_its_fault(void **state)
{
	(void)state;
	bool sound = rd_kafka_version() >= 0x020a0000;
	const char *doubt = kafka_doubt("partition.assignment.strategy", "cooperative-sticky");
	assert_true(sound ? doubt == NULL : doubt && strstr(doubt, "2.10"));
	assert_null(kafka_doubt("partition.assignment.strategy", "range"));
	assert_null(kafka_doubt("client.rack", "cooperative"));
	assert_non_null(strstr(kafka_doubt("enable.ssl.certificate.verification", "FALSE"), "pose as them"));
	assert_non_null(kafka_doubt("enable.ssl.certificate.verification", "0"));
	assert_null(kafka_doubt("enable.ssl.certificate.verification", "true"));
	assert_non_null(strstr(kafka_doubt("ssl.endpoint.identification.algorithm", "none"), "any host"));
	assert_null(kafka_doubt("ssl.endpoint.identification.algorithm", "https"));
	assert_string_equal(kafka_assignor(""), sound ? "cooperative-sticky" : "range");
	assert_string_equal(kafka_assignor("roundrobin"), "roundrobin");
}

static void a_client_that_cannot_be_made_says_why_and_where(void **state)
{
	(void)state;
	struct err err = {""};
	struct kafka_property properties[] = {world.properties[0],
	        {"security.protocol", "ssl", "test.yaml:4:2"},
	        {"ssl.ca.location", "/does/not/exist.pem", "test.yaml:5:2"}};
	struct kafka_settings settings = {
	        .client_id = "c", .group = "g", .properties = properties, .property_count = 3};
	assert_false(kafka_check_client(KAFKA_CONSUMER, &settings, &err));
	assert_string_equal(err.text, "ssl.ca.location: the file '/does/not/exist.pem' cannot be read: "
	                              "No such file or directory");
	properties[1] = (struct kafka_property){"debug", "nonsense", "test.yaml:4:2"};
	settings.property_count = 2;
	assert_false(kafka_check_client(KAFKA_PRODUCER, &settings, &err));
	assert_non_null(strstr(err.text, "test.yaml:4:2: "));
	settings.property_count = 0;
	assert_false(kafka_check_client(KAFKA_PRODUCER, &settings, &err));
	assert_non_null(strstr(err.text, "bootstrap.servers"));
	settings.property_count = 1;
	assert_true(kafka_check_client(KAFKA_PRODUCER, &settings, &err));
	assert_true(kafka_check_client(KAFKA_CONSUMER, &settings, &err));
}

/* ---- the source ---- */

static void what_is_finished_is_not_read_again(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "walk", 2, 1);
	fill_topic("walk", 40);
	struct reader *reader = reader_open("walk", "walkers");
	UNTIL(reader, reader->count == 40);
	assert_true(reader->source->verbs->ready(reader->source));
	assert_int_equal(reader->periods, 2);
	for (size_t i = 0; i < 40; i++) {
		const struct taken *taken = &reader->taken[i];
		char header[32];
		snprintf(header, sizeof header, "in/0/%s/0", taken->value + strlen("value-"));
		assert_string_equal(taken->header, header);
	}
	/* Of one partition everything ends but its fourth record, of the other nothing does. */
	int32_t id = reader->taken[0].id;
	size_t of_it = 0;
	for (size_t i = 0; i < 40; i++)
		if (reader->taken[i].id == id && of_it++ != 3)
			end(&reader->taken[i]);
	assert_int_equal(of_it, 20);
	reader_commit(reader);
	assert_int_equal(partition_of(reader, id)->committed, 3);
	char lineage[LINEAGE_SIZE];
	memcpy(lineage, partition_of(reader, id)->lineage, LINEAGE_SIZE);
	reader_close(reader);

	reader = reader_open("walk", "walkers");
	UNTIL(reader, reader->count == 21);
	turn_for(reader, 300);
	assert_int_equal(reader->count, 21);
	for (size_t i = 0; i < 21; i++)
		if (reader->taken[i].id == id)
			assert_int_equal(reader->taken[i].offset, 3);
	assert_int_equal(partition_of(reader, id)->skipped, 16);
	assert_string_equal(partition_of(reader, id)->lineage, lineage);
	reader->end_at_once = true;
	for (size_t i = 0; i < 21; i++)
		end(&reader->taken[i]);
	fill_topic("walk", 5);
	UNTIL(reader, reader->count == 26);
	reader_commit(reader);
	assert_int_equal(offsets_safe(partition_of(reader, 0)->offsets) +
	                         offsets_safe(partition_of(reader, 1)->offsets),
	        45);
	reader_close(reader);
}

static void share_and_hand_over(const char *topic, const char *group)
{
	rd_kafka_mock_topic_create(world.mock, topic, 4, 1);
	struct reader *first = reader_open(topic, group);
	struct reader *second = NULL;
	first->end_at_once = true;
	UNTIL(first, first->source->verbs->ready(first->source));
	assert_int_equal(first->periods, 4);
	fill_topic(topic, 200);
	UNTIL(first, first->count == 200);
	reader_commit(first); /* the mock refuses commits during a rebalance, which brokers take */
	second = reader_open(topic, group);
	second->end_at_once = true;
	UNTIL(first,
	        (turn(second),
	                second->periods > 0 && first->source->verbs->ready(first->source) &&
	                        first->source->partitions.count + second->source->partitions.count == 4));
	assert_true(first->drains > 0 && first->releases > 0);
	assert_int_equal(first->losses, 0);
	turn_for(second, 300);
	assert_int_equal(second->count, 0); /* the first one's final commit covered everything */
	fill_topic(topic, 200);
	UNTIL(first, (turn(second), first->count + second->count == 400));
	UNTIL(first, (turn(second), true));
	assert_int_equal(first->count + second->count, 400);
	/* The one that leaves gives its partitions to the one that stays. */
	reader_close(first);
	UNTIL(second, second->source->partitions.count == 4 && second->source->verbs->ready(second->source));
	reader_close(second);
}

static void two_members_share_and_hand_over(void **state)
{
	(void)state;
	share_and_hand_over("shared", "sharers");
}

static void two_members_share_and_hand_over_cooperatively(void **state)
{
	(void)state;
	world.properties[3].value = "cooperative-sticky";
	share_and_hand_over("shared-cooperatively", "cooperators");
	world.properties[3].value = "range";
}

static void set_commit(const char *group, const char *topic, int64_t offset)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "bootstrap.servers", world.properties[0].value, text, sizeof text);
	rd_kafka_conf_set(conf, "group.id", group, text, sizeof text);
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
	assert_int_equal(rd_kafka_commit(client, list, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(client);
}

static int64_t committed_of(const char *group, const char *topic)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "bootstrap.servers", world.properties[0].value, text, sizeof text);
	rd_kafka_conf_set(conf, "group.id", group, text, sizeof text);
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, 0);
	assert_int_equal(rd_kafka_committed(client, list, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
	int64_t offset = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(client);
	return offset;
}

/* Of the broker, for all tests: answers kept for a broker hide those kept for the cluster. */
static void answer_next_commit(rd_kafka_resp_err_t code, int after_ms)
{
	rd_kafka_mock_broker_push_request_error_rtts(world.mock, 1, OFFSET_COMMIT, 1, code, after_ms);
}

/* Twenty records are finished, the first ten committed; the answer of that commit takes `rtt_ms`. Then the
 * partition is revoked. (By leaving: the mock refuses commits while its group rebalances.) */
static struct reader *revoke_while_committing(const char *topic, int rtt_ms)
{
	rd_kafka_mock_topic_create(world.mock, topic, 1, 1);
	fill_topic(topic, 20);
	struct reader *reader = reader_open(topic, topic);
	UNTIL(reader, reader->count == 20);
	reader_commit(reader);
	for (size_t i = 0; i < 10; i++)
		end(&reader->taken[i]);
	answer_next_commit(RD_KAFKA_RESP_ERR_NO_ERROR, rtt_ms);
	reader->source->verbs->commit(reader->source, false);
	turn_for(reader, 50);
	for (size_t i = 10; i < 20; i++)
		end(&reader->taken[i]);
	rd_kafka_unsubscribe(container_of(reader->source, struct kafka_source, source)->client);
	UNTIL(reader, reader->releases == 1);
	assert_int_equal(reader->losses, 0);
	return reader;
}

static void a_commit_on_its_way_does_not_take_the_last_ones_place(void **state)
{
	(void)state;
	struct reader *reader = revoke_while_committing("waits", 500);
	assert_int_equal(committed_of("waits", "waits"), 20);
	reader_close(reader);
	/* One that is not answered in time is overtaken. */
	reader = revoke_while_committing("overtakes", SOURCE_SETTLE_MS + 1500);
	assert_int_equal(committed_of("overtakes", "overtakes"), 20);
	reader_close(reader);
}

static void a_last_commit_that_fails_is_tried_again(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "insists", 1, 1);
	fill_topic("insists", 10);
	struct reader *reader = reader_open("insists", "insists");
	UNTIL(reader, reader->count == 10);
	reader_commit(reader);
	for (size_t i = 0; i < 10; i++)
		end(&reader->taken[i]);
	answer_next_commit(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 0);
	rd_kafka_unsubscribe(container_of(reader->source, struct kafka_source, source)->client);
	UNTIL(reader, reader->releases == 1);
	assert_int_equal(committed_of("insists", "insists"), 10);
	reader_close(reader);
}

static void a_drain_whose_time_is_up_is_cut_short_and_what_was_sent_may_still_end(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "cut", 1, 1);
	fill_topic("cut", 10);
	struct reader *reader = reader_open("cut", "cut");
	UNTIL(reader, reader->count == 10);
	reader_commit(reader);
	for (size_t i = 0; i < 9; i++)
		end(&reader->taken[i]);
	rd_kafka_unsubscribe(container_of(reader->source, struct kafka_source, source)->client);
	UNTIL(reader, reader->drains == 1);
	assert_int_equal(reader->cuts, 0);
	UNTIL(reader, reader->cuts == 1);
	assert_int_equal(reader->releases, 0);
	end(&reader->taken[9]);
	UNTIL(reader, reader->releases == 1);
	assert_int_equal(committed_of("cut", "cut"), 10);
	reader_close(reader);
}

static void a_member_whose_place_was_taken_ends_and_says_what_to_do(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "fenced", 1, 1);
	struct reader *reader = reader_open("fenced", "fenced");
	struct kafka_property properties[6];
	memcpy(properties, world.properties, sizeof world.properties);
	properties[5] = (struct kafka_property){"group.instance.id", "pod-1", NULL};
	UNTIL(reader, reader->periods == 1);
	reader->config.kafka = properties;
	reader->config.kafka_count = 6;
	rd_kafka_t *client = container_of(reader->source, struct kafka_source, source)->client;
	rd_kafka_test_fatal_error(client, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "as a test");
	UNTIL(reader, reader->failed[0]);
	assert_int_equal(reader->losses, 1);
	assert_non_null(strstr(reader->failed, "\"pod-1\""));
	assert_non_null(strstr(reader->failed, "give each worker"));
	reader_close(reader);
}

static void a_commit_set_by_a_person_wins(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "moved", 1, 1);
	fill_topic("moved", 10);
	set_commit("movers", "moved", 6);
	struct reader *reader = reader_open("moved", "movers");
	reader->end_at_once = true;
	UNTIL(reader, reader->count == 4);
	assert_int_equal(reader->taken[0].offset, 6);
	reader_close(reader);
}

static void begin_anew(const char *topic, const char *group)
{
	rd_kafka_mock_topic_create(world.mock, topic, 1, 1);
	fill_topic(topic, 10);
	set_commit(group, topic, 5000);
	struct reader *reader = reader_open(topic, group);
	reader->end_at_once = true;
	UNTIL(reader, reader->count == 10);
	assert_int_equal(reader->taken[0].offset, 0);
	assert_int_equal(reader->losses, 1); /* the period that was to start at 5000 */
	reader_commit(reader);
	assert_int_equal(partition_of(reader, 0)->committed, 10);
	reader_close(reader);
}

static void a_position_beyond_the_log_begins_anew(void **state)
{
	(void)state;
	begin_anew("anew", "renewers");
	world.properties[3].value = "cooperative-sticky";
	begin_anew("anew-cooperatively", "cooperative renewers");
	world.properties[3].value = "range";
}

static void what_was_lost_is_taken_again_uncommitted(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "lost", 1, 1);
	fill_topic("lost", 6);
	struct reader *reader = reader_open("lost", "losers");
	UNTIL(reader, reader->count == 6);
	end(&reader->taken[0]);
	reader_commit(reader);
	end(&reader->taken[1]);
	usleep(4000000); /* longer than max.poll.interval.ms: the group goes on without this member */
	UNTIL(reader, reader->losses == 1);
	assert_null(reader->taken[2].partition); /* given back */
	UNTIL(reader, reader->count == 11);
	assert_int_equal(
	        reader->taken[6].offset, 1); /* ended, but the commit of it was no longer ours to make */
	assert_int_not_equal(reader->taken[6].assignment, reader->taken[0].assignment);

	rd_kafka_t *client = container_of(reader->source, struct kafka_source, source)->client;
	rd_kafka_test_fatal_error(client, RD_KAFKA_RESP_ERR_UNKNOWN, "as a test");
	UNTIL(reader, reader->losses == 2);
	UNTIL(reader, reader->count == 16); /* a new client goes on */
	assert_string_equal(reader->failed, "");
	client = container_of(reader->source, struct kafka_source, source)->client;
	rd_kafka_test_fatal_error(client, RD_KAFKA_RESP_ERR_UNKNOWN, "as a test");
	UNTIL(reader, reader->failed[0]);
	assert_non_null(strstr(reader->failed, "UNKNOWN"));
	reader_close(reader);
}

static void trouble_with_the_first_questions_only_delays(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "trouble", 1, 1);
	fill_topic("trouble", 3);
	rd_kafka_mock_push_request_errors(
	        world.mock, LIST_OFFSETS, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	struct reader *reader = reader_open("trouble", "troubled");
	UNTIL(reader, reader->count == 3);
	/* A commit that fails is tried again by the next one. */
	answer_next_commit(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 0);
	for (size_t i = 0; i < 3; i++)
		end(&reader->taken[i]);
	double failed = *metrics_value(world.metrics, METRIC_COMMITS, "failed");
	reader->source->verbs->commit(reader->source, false);
	UNTIL(reader, *metrics_value(world.metrics, METRIC_COMMITS, "failed") > failed);
	assert_true(commits_pending(reader));
	reader_commit(reader);
	assert_int_equal(partition_of(reader, 0)->committed, 3);
	reader_close(reader);
}

static void a_source_that_never_learnt_where_to_start_still_leaves(void **state)
{
	(void)state;
	rd_kafka_resp_err_t errors[40];
	for (size_t i = 0; i < 40; i++)
		errors[i] = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
	rd_kafka_mock_topic_create(world.mock, "unknown", 2, 1);
	rd_kafka_mock_push_request_errors_array(world.mock, LIST_OFFSETS, 40, errors);
	struct reader *reader = reader_open("unknown", "unknowing");
	double paused = *metrics_value(world.metrics, METRIC_PAUSED, "source");
	UNTIL(reader, reader->source->partitions.count == 2);
	turn_for(reader, 2500);
	assert_false(reader->source->verbs->ready(reader->source));
	assert_int_equal(reader->periods, 0);
	assert_true(*metrics_value(world.metrics, METRIC_PAUSED, "source") > paused);
	reader_close(reader);
	rd_kafka_mock_clear_request_errors(world.mock, LIST_OFFSETS);
}

static void a_bounded_run_ends_where_the_log_ended(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "bounded", 2, 1);
	fill_topic("bounded", 20);
	struct reader *reader = reader_open("bounded", "bounders");
	reader->config.until = "end";
	reader->end_at_once = true;
	UNTIL(reader, reader->source->verbs->finished(reader->source));
	assert_int_equal(reader->count, 20);
	fill_topic("bounded", 20);
	turn_for(reader, 300);
	assert_int_equal(reader->count, 20);
	reader_close(reader);
}

/* ---- the sink ---- */

static void outputs_of_one_key_leave_in_order(void **state)
{
	(void)state;
	rd_kafka_mock_topic_create(world.mock, "out", 1, 1);
	struct writer *writer = writer_open("out");
	struct writer *other = writer_open("out"); /* shares the producer */
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(write_one(writer, i, "k"), SINK_TAKEN);
	assert_int_equal(write_one(other, 0, NULL), SINK_TAKEN);
	assert_int_equal(writer->sink->verbs->outstanding(writer->sink), 500);
	assert_true(writer->sink->verbs->held_bytes(writer->sink) > 500 * 20);
	assert_int_equal(writer->ended, 0); /* never from within send */
	UNTIL(NULL, writer->settled[OUTPUT_ACKED] == 500 && other->settled[OUTPUT_ACKED] == 1);
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(writer->order[i], i);
	assert_true(writer->sink->verbs->ready(writer->sink));
	assert_int_equal(writer->sink->verbs->held_bytes(writer->sink), 0);
	writer_close(other);
	writer_close(writer);
}

static void an_output_that_is_too_large_is_refused_before_it_is_sent(void **state)
{
	(void)state;
	struct writer *writer = writer_open("out");
	struct output *output = &writer->outputs[0];
	output->value_size = 2 << 20;
	output->value = mem_zalloc(1, output->value_size);
	assert_int_equal(writer->sink->verbs->send(writer->sink, output), SINK_REFUSED);
	assert_int_equal(output->state, OUTPUT_REFUSED);
	assert_non_null(strstr(output->error, "too large"));
	assert_int_equal(writer->sink->verbs->outstanding(writer->sink), 0);
	writer_close(writer);
}

static void a_refusal_hits_only_the_output_that_was_alone(void **state)
{
	(void)state;
	struct kafka_property properties[] = {world.properties[0], {"linger.ms", "100", NULL}};
	struct writer *writer = writer_open_with("out", properties, 2, 8 << 20);
	UNTIL(NULL, writer->sink->verbs->ready(writer->sink));
	rd_kafka_mock_push_request_errors(world.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(write_one(writer, i, "k"), SINK_TAKEN);
	UNTIL(NULL, writer->settled[OUTPUT_FAILED] == 3);
	assert_int_equal(writer->settled[OUTPUT_REFUSED], 0);
	/* They come again one by one, and this time only one of them is refused. */
	rd_kafka_mock_push_request_errors(
	        world.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	for (size_t i = 0; i < 3; i++) {
		UNTIL(NULL, write_one(writer, i, "k") == SINK_TAKEN);
		assert_int_equal(writer->sink->verbs->outstanding(writer->sink), 1);
		assert_int_equal(write_one(writer, 3, "k"), i < 2 ? SINK_NO_ROOM : SINK_NO_ROOM);
		UNTIL(NULL, writer->sink->verbs->outstanding(writer->sink) == 0);
	}
	assert_int_equal(writer->settled[OUTPUT_ACKED], 2);
	assert_int_equal(writer->settled[OUTPUT_REFUSED], 1);
	assert_true(writer->rooms > 0);
	assert_int_equal(write_one(writer, 3, "k"), SINK_TAKEN);
	assert_int_equal(write_one(writer, 4, "k"), SINK_TAKEN); /* in company again */
	UNTIL(NULL, writer->settled[OUTPUT_ACKED] == 4);
	writer_close(writer);
}

static void a_full_queue_has_room_again_later(void **state)
{
	(void)state;
	struct kafka_property properties[] = {
	        world.properties[0], {"queue.buffering.max.messages", "10", NULL}};
	struct writer *writer = writer_open_with("out", properties, 2, 8 << 20);
	size_t sent = 0;
	while (sent < 100 && write_one(writer, sent, "k") == SINK_TAKEN)
		sent++;
	assert_int_equal(sent, 10);
	assert_int_equal(writer->rooms, 0);
	UNTIL(NULL, writer->rooms > 0);
	assert_int_equal(write_one(writer, sent, "k"), SINK_TAKEN);
	UNTIL(NULL, writer->settled[OUTPUT_ACKED] == 11);
	writer_close(writer);
}

static void a_fatal_error_gives_everything_back_and_a_new_producer_takes_over(void **state)
{
	(void)state;
	struct kafka_property properties[] = {world.properties[0], {"linger.ms", "7", NULL}};
	struct writer *writer = writer_open_with("out", properties, 2, 8 << 20);
	rd_kafka_mock_push_request_errors(
	        world.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(write_one(writer, i, "k"), SINK_TAKEN);
	UNTIL(NULL, writer->sink->verbs->outstanding(writer->sink) == 0);
	assert_true(writer->settled[OUTPUT_FAILED] > 0);
	size_t failed = writer->settled[OUTPUT_FAILED], acked = writer->settled[OUTPUT_ACKED];
	assert_int_equal(failed + acked, 20);
	UNTIL(NULL, write_one(writer, 20, "k") == SINK_TAKEN);
	UNTIL(NULL, writer->settled[OUTPUT_ACKED] == acked + 1);
	writer_close(writer);
}

static void a_broker_that_is_away_delays_and_loses_nothing(void **state)
{
	(void)state;
	struct writer *writer = writer_open("out");
	UNTIL(NULL, writer->sink->verbs->ready(writer->sink));
	rd_kafka_mock_broker_set_down(world.mock, 1);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(write_one(writer, i, "k"), SINK_TAKEN);
	UNTIL(NULL, *writer->sink->verbs->trouble(writer->sink) || writer->settled[OUTPUT_FAILED]);
	assert_int_equal(writer->ended, 0);
	assert_true(writer->sink->verbs->waiting(writer->sink) >= 0);
	assert_true(writer->sink->verbs->ready(writer->sink)); /* it was, and a restart would not help */
	rd_kafka_mock_broker_set_up(world.mock, 1);
	UNTIL(NULL, writer->settled[OUTPUT_ACKED] == 5);
	assert_int_equal(writer->sink->verbs->waiting(writer->sink), -1);
	writer_close(writer);
}

static void closing_gives_back_what_was_not_delivered(void **state)
{
	(void)state;
	struct writer *writer = writer_open("out"), *other = writer_open("out");
	rd_kafka_mock_broker_set_down(world.mock, 1);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(write_one(writer, i, "k"), SINK_TAKEN);
	assert_int_equal(write_one(other, 0, "k"), SINK_TAKEN);
	writer->sink->verbs->close(writer->sink);
	assert_int_equal(writer->settled[OUTPUT_FAILED], 5);
	rd_kafka_mock_broker_set_up(world.mock, 1);
	UNTIL(NULL, other->settled[OUTPUT_ACKED] == 1); /* the shared producer lives on */
	writer_close(other);
	for (size_t i = 0; i < 5; i++)
		output_free(&writer->outputs[i]);
	mem_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(wrong_properties_are_refused_in_words),
	        cmocka_unit_test(a_client_that_cannot_be_made_says_why_and_where),
	        cmocka_unit_test(a_cooperative_assignor_is_warned_of_where_librdkafka_has_its_fault),
	        cmocka_unit_test(outputs_of_one_key_leave_in_order),
	        cmocka_unit_test(an_output_that_is_too_large_is_refused_before_it_is_sent),
	        cmocka_unit_test(a_refusal_hits_only_the_output_that_was_alone),
	        cmocka_unit_test(a_full_queue_has_room_again_later),
	        cmocka_unit_test(a_fatal_error_gives_everything_back_and_a_new_producer_takes_over),
	        cmocka_unit_test(what_is_finished_is_not_read_again),
	        cmocka_unit_test(two_members_share_and_hand_over),
	        cmocka_unit_test(two_members_share_and_hand_over_cooperatively),
	        cmocka_unit_test(a_commit_on_its_way_does_not_take_the_last_ones_place),
	        cmocka_unit_test(a_last_commit_that_fails_is_tried_again),
	        cmocka_unit_test(a_drain_whose_time_is_up_is_cut_short_and_what_was_sent_may_still_end),
	        cmocka_unit_test(a_member_whose_place_was_taken_ends_and_says_what_to_do),
	        cmocka_unit_test(a_commit_set_by_a_person_wins),
	        cmocka_unit_test(a_position_beyond_the_log_begins_anew),
	        cmocka_unit_test(what_was_lost_is_taken_again_uncommitted),
	        cmocka_unit_test(trouble_with_the_first_questions_only_delays),
	        cmocka_unit_test(a_source_that_never_learnt_where_to_start_still_leaves),
	        cmocka_unit_test(a_bounded_run_ends_where_the_log_ended),
	        cmocka_unit_test(a_broker_that_is_away_delays_and_loses_nothing),
	        cmocka_unit_test(closing_gives_back_what_was_not_delivered),
	};
	return cmocka_run_group_tests(tests, open_world, close_world);
}
