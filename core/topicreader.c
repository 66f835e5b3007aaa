/* A topic read from a time to a time, without a group and without commits. */
#include "topicreader.h"
#include "clock.h"
#include "kafka.h"
#include "kafka_ask.h"
#include "kafka_headers.h"
#include "mem.h"
#include "metrics.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

enum { ASK_MS = 15000, SLICE_MS = 250 };

struct place {
	int64_t start, end; /* offsets that are read: [start, end) */
	bool done;
};

struct reading {
	const struct topicreader *reader;
	const char *topic;
	struct place *places; /* by partition */
	int32_t count, open;
	rd_kafka_queue_t *queue;
	struct kafka_health health;
	int64_t heard; /* steady ms of the last message */
	bool refused;
	struct err *err;
};

static bool complain(struct reading *reading, const char *what, rd_kafka_resp_err_t code)
{
	reading->refused = kafka_refused(code);
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		return err_set(reading->err, "there is no topic %s on %s", reading->topic,
		        rd_kafka_name(reading->reader->client));
	return err_set(reading->err, "%s of %s: %s%s", what, reading->topic, rd_kafka_err2str(code),
	        kafka_advice(code));
}

/* ---- where it begins and ends ---- */

/* The first offset of each partition that is not older than `when` (or one of librdkafka's marks); -1 where
 * all are older. */
static rd_kafka_topic_partition_list_t *ask(struct reading *reading, int64_t when)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reading->count);
	for (int32_t id = 0; id < reading->count; id++)
		rd_kafka_topic_partition_list_add(list, reading->topic, id)->offset = when;
	rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(reading->reader->client, list, ASK_MS);
	for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		code = list->elems[i].err;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return list;
	complain(reading, "asked the brokers for the offsets", code);
	rd_kafka_topic_partition_list_destroy(list);
	return NULL;
}

static int64_t answer(const rd_kafka_topic_partition_list_t *list, int32_t id)
{
	const rd_kafka_topic_partition_t *found = NULL;
	for (int i = 0; i < list->cnt && found == NULL; i++)
		if (list->elems[i].partition == id)
			found = &list->elems[i];
	return found ? found->offset : -1;
}

static bool find_ends(struct reading *reading)
{
	int64_t until = reading->reader->until;
	rd_kafka_topic_partition_list_t *end = ask(reading, RD_KAFKA_OFFSET_END), *stop = NULL;
	bool bounded = until < TOPICREADER_END - TOPICREADER_DISORDER_MS;
	if (end && bounded)
		stop = ask(reading, until + TOPICREADER_DISORDER_MS);
	bool good = end && (stop || !bounded);
	for (int32_t id = 0; id < reading->count && good; id++) {
		int64_t at = stop ? answer(stop, id) : -1;
		reading->places[id].end = at >= 0 ? at : answer(end, id);
	}
	if (end)
		rd_kafka_topic_partition_list_destroy(end);
	if (stop)
		rd_kafka_topic_partition_list_destroy(stop);
	return good;
}

static bool find_starts(struct reading *reading)
{
	int64_t from = reading->reader->from;
	rd_kafka_topic_partition_list_t *start =
	        ask(reading, from < 0 ? (int64_t)RD_KAFKA_OFFSET_BEGINNING : from);
	for (int32_t id = 0; id < reading->count && start; id++) {
		struct place *place = &reading->places[id];
		int64_t at = answer(start, id);
		place->start = at >= 0 ? at : place->end;
		if (reading->reader->bounds)
			reading->reader->bounds(
			        reading->reader->context, reading->topic, id, &place->start, &place->end);
		place->done = place->start >= place->end;
		if (!place->done)
			reading->open++;
		if (!place->done && reading->reader->partition)
			reading->reader->partition(
			        reading->reader->context, reading->topic, id, place->start, place->end);
	}
	if (start)
		rd_kafka_topic_partition_list_destroy(start);
	return start != NULL;
}

static bool find_places(struct reading *reading)
{
	struct kafka_topic found = kafka_ask_topic(reading->reader->client, reading->topic, ASK_MS);
	if (found.state != KAFKA_TOPIC_THERE)
		return complain(
		        reading, "asked the brokers for the partitions", (rd_kafka_resp_err_t)found.code);
	reading->count = found.partitions;
	reading->places = mem_zalloc((size_t)found.partitions, sizeof *reading->places);
	return find_ends(reading) && find_starts(reading);
}

/* ---- reading ---- */

static void assign(struct reading *reading)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reading->open);
	for (int32_t id = 0; id < reading->count; id++)
		if (!reading->places[id].done)
			rd_kafka_topic_partition_list_add(list, reading->topic, id)->offset =
			        reading->places[id].start;
	rd_kafka_assign(reading->reader->client, list);
	rd_kafka_topic_partition_list_destroy(list);
}

/* What is fetched beyond the end would only cost. */
static void close_place(struct reading *reading, int32_t id)
{
	if (id < 0 || id >= reading->count || reading->places[id].done)
		return;
	reading->places[id].done = true;
	reading->open--;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, reading->topic, id);
	rd_kafka_pause_partitions(reading->reader->client, list);
	rd_kafka_topic_partition_list_destroy(list);
}

static void hand_over(const char *topic, const rd_kafka_message_t *message,
        void (*take)(void *context, const struct topicreader_message *message), void *context)
{
	struct kafka_headers headers;
	kafka_headers_borrow(&headers, message);
	struct topicreader_message borrowed = {.topic = topic,
	        .partition = message->partition,
	        .offset = message->offset,
	        .timestamp = rd_kafka_message_timestamp(message, NULL),
	        .key = {message->key, message->key_len},
	        .value = {message->payload, message->len},
	        .headers = headers.items,
	        .header_count = headers.count};
	take(context, &borrowed);
	kafka_headers_free(&headers);
}

static void take(struct reading *reading, const rd_kafka_message_t *message)
{
	struct place *place = &reading->places[message->partition];
	reading->heard = clock_now();
	if (place->done || message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	int64_t when = rd_kafka_message_timestamp(message, NULL);
	bool wanted = when < 0 || (when >= reading->reader->from && when < reading->reader->until);
	if (message->offset < place->end && wanted)
		hand_over(reading->topic, message, reading->reader->message, reading->reader->context);
	if (message->offset + 1 >= place->end)
		close_place(reading, message->partition);
}

static bool serve_error(struct reading *reading, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);
	bool good = true;
	if (place && code == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		close_place(reading, place->partition);
	else if (place && code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
		good = complain(reading, "read from an offset that is gone (retention)", code);
	else if (place && kafka_refused(code))
		good = complain(reading, "read", code);
	else
		kafka_serve_common(&reading->health, reading->reader->client, event);
	if (place)
		rd_kafka_topic_partition_destroy(place);
	if (reading->health.fatal[0])
		good = err_set(reading->err, "%s", reading->health.fatal);
	return good;
}

static bool serve(struct reading *reading, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *message;
	if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
		return serve_error(reading, event);
	if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_FETCH) {
		kafka_serve_common(&reading->health, reading->reader->client, event);
		return true;
	}
	while ((message = rd_kafka_event_message_next(event)) != NULL)
		take(reading, message);
	return true;
}

static bool read_all(struct reading *reading)
{
	bool good = true;
	reading->queue = rd_kafka_queue_get_consumer(reading->reader->client);
	reading->health = (struct kafka_health){.client = "reader", .metrics = metrics_open()};
	reading->heard = clock_now();
	assign(reading);
	while (good && reading->open > 0) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(reading->queue, SLICE_MS);
		if (event) {
			good = serve(reading, event);
			rd_kafka_event_destroy(event);
		}
		if (good && reading->open > 0 && clock_now() - reading->heard > reading->reader->silence_ms)
			good = err_set(reading->err, "%s: the brokers have sent nothing for %lld s%s%s",
			        reading->topic, (long long)reading->reader->silence_ms / 1000,
			        reading->health.trouble[0] ? "; " : "", reading->health.trouble);
	}
	rd_kafka_assign(reading->reader->client, NULL);
	rd_kafka_queue_destroy(reading->queue);
	metrics_close(reading->health.metrics);
	return good;
}

bool topicreader_read(const struct topicreader *reader, const char *topic, bool *refused, struct err *err)
{
	struct reading reading = {.reader = reader, .topic = topic, .err = err};
	bool good = find_places(&reading);
	if (good && reading.open > 0)
		good = read_all(&reading);
	mem_free(reading.places);
	*refused = reading.refused;
	return good;
}

/* ---- one record ---- */

struct fetching {
	rd_kafka_t *client;
	const char *topic;
	int32_t partition;
	int64_t offset;
	void (*message)(void *context, const struct topicreader_message *message);
	void *context;
	struct kafka_health health;
	enum topicreader_found found;
	bool over;
	struct err *err;
};

static void conclude(struct fetching *fetching, enum topicreader_found found)
{
	fetching->found = found;
	fetching->over = true;
}

/* Compaction and transactions leave gaps: what comes behind the offset says that it is gone, too. */
static void fetch_took(struct fetching *fetching, const rd_kafka_message_t *message)
{
	if (fetching->over || message->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
	        message->offset < fetching->offset)
		return;
	if (message->offset == fetching->offset)
		hand_over(fetching->topic, message, fetching->message, fetching->context);
	conclude(fetching, message->offset == fetching->offset ? TOPICREADER_FOUND : TOPICREADER_GONE);
}

static void fetch_failed(struct fetching *fetching, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);
	bool here = place && place->partition == fetching->partition &&
	            strcmp(place->topic, fetching->topic) == 0;
	if (here &&
	        (code == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET))
		conclude(fetching, TOPICREADER_GONE);
	else if (here &&
	         (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
	                 code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART))
		conclude(fetching, TOPICREADER_ABSENT);
	else if (here && kafka_refused(code))
		conclude(fetching, TOPICREADER_UNKNOWN);
	else
		kafka_serve_common(&fetching->health, fetching->client, event);
	if (here && fetching->over)
		err_set(fetching->err, "%s/%d, offset %lld: %s%s", fetching->topic, (int)fetching->partition,
		        (long long)fetching->offset, rd_kafka_err2str(code), kafka_advice(code));
	if (place)
		rd_kafka_topic_partition_destroy(place);
}

static void fetch_serve(struct fetching *fetching, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *message;
	if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
		fetch_failed(fetching, event);
	else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH)
		while ((message = rd_kafka_event_message_next(event)) != NULL)
			fetch_took(fetching, message);
	else
		kafka_serve_common(&fetching->health, fetching->client, event);
	rd_kafka_event_destroy(event);
}

static void fetch_until(struct fetching *fetching, rd_kafka_queue_t *queue, int64_t deadline)
{
	while (!fetching->over && clock_now() < deadline) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(queue, SLICE_MS);
		if (event)
			fetch_serve(fetching, event);
	}
	if (!fetching->over)
		err_set(fetching->err, "%s/%d, offset %lld: the brokers sent nothing in time%s%s",
		        fetching->topic, (int)fetching->partition, (long long)fetching->offset,
		        fetching->health.trouble[0] ? "; " : "", fetching->health.trouble);
}

enum topicreader_found topicreader_fetch(rd_kafka_t *client, const char *topic, int32_t partition,
        int64_t offset, int64_t silence_ms,
        void (*message)(void *context, const struct topicreader_message *message), void *context,
        struct err *err)
{
	struct fetching fetching = {.client = client,
	        .topic = topic,
	        .partition = partition,
	        .offset = offset,
	        .message = message,
	        .context = context,
	        .health = {.client = "reader", .metrics = metrics_open()},
	        .found = TOPICREADER_UNKNOWN,
	        .err = err};
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	rd_kafka_assign(client, list);
	rd_kafka_topic_partition_list_destroy(list);
	fetch_until(&fetching, queue, clock_now() + silence_ms);
	rd_kafka_assign(client, NULL);
	rd_kafka_queue_destroy(queue);
	metrics_close(fetching.health.metrics);
	return fetching.found;
}
