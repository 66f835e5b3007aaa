/* A consumer group seen from outside: who is in it, and positions set by hand. */
#include "kafka_group.h"
#include "buf.h"
#include "clock.h"
#include "kafka.h"
#include "mem.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

enum { METADATA_MIN = 64 };

/* ---- members ---- */

static enum kafka_answer answer_of(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? KAFKA_YES : kafka_refused(code) ? KAFKA_NO : KAFKA_SILENT;
}

static char *name_of(const rd_kafka_MemberDescription_t *member)
{
	const char *host = rd_kafka_MemberDescription_host(member);
	return mem_printf("%s at %s (%s)", rd_kafka_MemberDescription_client_id(member),
	        host[0] == '/' ? host + 1 : host, rd_kafka_MemberDescription_consumer_id(member));
}

static enum kafka_answer read_members(
        const rd_kafka_ConsumerGroupDescription_t *group, struct kafka_members *members, struct err *err)
{
	const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(group);
	rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
	if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) /* KIP-1043; older brokers call it dead */
		return KAFKA_YES;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		err_set(err, "asked the brokers who is in the group: %s", rd_kafka_error_string(error));
		return answer_of(code);
	}
	members->count = rd_kafka_ConsumerGroupDescription_member_count(group);
	members->names = mem_zalloc(members->count, sizeof *members->names);
	for (size_t i = 0; i < members->count; i++)
		members->names[i] = name_of(rd_kafka_ConsumerGroupDescription_member(group, i));
	return KAFKA_YES;
}

static enum kafka_answer read_description(
        rd_kafka_event_t *event, struct kafka_members *members, struct err *err)
{
	rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		err_set(err, "asked the brokers who is in the group: %s",
		        event ? rd_kafka_event_error_string(event) : rd_kafka_err2str(code));
		return answer_of(code);
	}
	size_t count = 0;
	const rd_kafka_ConsumerGroupDescription_t **groups = rd_kafka_DescribeConsumerGroups_result_groups(
	        rd_kafka_event_DescribeConsumerGroups_result(event), &count);
	return count == 1 ? read_members(groups[0], members, err) : KAFKA_YES;
}

static rd_kafka_AdminOptions_t *options_for(rd_kafka_t *client, int timeout_ms)
{
	char why[256];
	rd_kafka_AdminOptions_t *options =
	        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why);
	return options;
}

enum kafka_answer kafka_group_members(
        rd_kafka_t *client, const char *group, int timeout_ms, struct kafka_members *members, struct err *err)
{
	*members = (struct kafka_members){0};
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_AdminOptions_t *options = options_for(client, timeout_ms);
	rd_kafka_DescribeConsumerGroups(client, &group, 1, options, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
	enum kafka_answer answer = read_description(event, members, err);
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return answer;
}

void kafka_members_free(struct kafka_members *members)
{
	for (size_t i = 0; i < members->count; i++)
		mem_free(members->names[i]);
	mem_free(members->names);
	*members = (struct kafka_members){0};
}

/* ---- commits ---- */

static rd_kafka_topic_partition_list_t *list_of(
        rd_kafka_t *client, const struct kafka_place *places, size_t count, size_t limit)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++) {
		if (places[i].done)
			continue;
		struct buf metadata;
		buf_init(&metadata, limit);
		positions_encode(places[i].position, &metadata);
		rd_kafka_topic_partition_t *entry =
		        rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition);
		entry->offset = places[i].position->offset;
		entry->metadata = rd_kafka_mem_malloc(client, metadata.size + 1);
		memcpy(entry->metadata, metadata.data, metadata.size + 1);
		entry->metadata_size = metadata.size;
		buf_free(&metadata);
	}
	return list;
}

static void mark_done(struct kafka_place *places, size_t count, const rd_kafka_topic_partition_t *entry)
{
	for (size_t i = 0; i < count; i++)
		if (places[i].partition == entry->partition && strcmp(places[i].topic, entry->topic) == 0)
			places[i].done = true;
}

/* The first refusal, which is told; those that were taken are marked. */
static rd_kafka_resp_err_t read_commit(
        rd_kafka_event_t *event, struct kafka_place *places, size_t count, struct err *err)
{
	rd_kafka_resp_err_t first = rd_kafka_event_error(event);
	if (first != RD_KAFKA_RESP_ERR_NO_ERROR)
		err_set(err, "the positions could not be committed: %s", rd_kafka_err2str(first));
	const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
	bool whole = first != RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; list && i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *entry = &list->elems[i];
		if (entry->err == RD_KAFKA_RESP_ERR_NO_ERROR && !whole) {
			mark_done(places, count, entry);
		} else if (entry->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
		           (first == RD_KAFKA_RESP_ERR_NO_ERROR || first == entry->err)) {
			first = entry->err;
			err_set(err, "the position of %s/%d could not be committed: %s", entry->topic,
			        entry->partition, rd_kafka_err2str(first));
		}
	}
	return first;
}

static rd_kafka_resp_err_t commit_once(rd_kafka_t *client, struct kafka_place *places, size_t count,
        size_t limit, int timeout_ms, struct err *err)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_topic_partition_list_t *list = list_of(client, places, count, limit);
	rd_kafka_resp_err_t code = rd_kafka_commit_queue(client, list, queue, NULL, NULL);
	rd_kafka_event_t *event =
	        code == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_queue_poll(queue, timeout_ms) : NULL;
	if (event)
		code = read_commit(event, places, count, err);
	else if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	if (event)
		rd_kafka_event_destroy(event);
	else
		err_set(err, "the positions could not be committed: %s", rd_kafka_err2str(code));
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
	return code;
}

enum kafka_answer kafka_group_commit(
        rd_kafka_t *client, struct kafka_place *places, size_t count, int timeout_ms, struct err *err)
{
	int64_t deadline = clock_now() + timeout_ms;
	size_t limit = POSITION_METADATA_MAX;
	rd_kafka_resp_err_t code;
	for (;;) {
		int64_t left = deadline - clock_now();
		code = commit_once(client, places, count, limit, left > 1 ? (int)left : 1, err);
		if (code != RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE || limit <= METADATA_MIN)
			return answer_of(code);
		limit /= 2;
	}
}
