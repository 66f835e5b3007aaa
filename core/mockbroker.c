/* The embedded broker of `millrace demo`: librdkafka's mock cluster. */
#include "mockbroker.h"
#include "mem.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <string.h>

enum { FLUSH_MS = 10000, WATCH_MOST = 500 };

struct mockbroker {
	rd_kafka_t *producer; /* the mock cluster lives in it */
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *consumer;
	int partitions;
	bool watching;
};

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk; /* the demonstration's own clients: what matters shows in what they do */
	(void)level;
	(void)facility;
	(void)text;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *servers, struct err *err)
{
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, ignore_log);
	if (servers)
		rd_kafka_conf_set(conf, "bootstrap.servers", servers, why, sizeof why);
	if (type == RD_KAFKA_CONSUMER) {
		rd_kafka_conf_set(conf, "group.id", "millrace-demo-watch", why, sizeof why);
		rd_kafka_conf_set(conf, "enable.auto.commit", "false", why, sizeof why);
	} else {
		rd_kafka_conf_set(conf, "linger.ms", "5", why, sizeof why);
		rd_kafka_conf_set(conf, "partitioner", "murmur2_random", why, sizeof why);
	}
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		err_set(err, "the embedded broker's client could not be made: %s", why);
	}
	return rk;
}

static bool serve(struct mockbroker *broker, const char *const *topics, struct err *err)
{
	broker->producer = client(RD_KAFKA_PRODUCER, NULL, err);
	if (broker->producer == NULL)
		return false;
	broker->cluster = rd_kafka_mock_cluster_new(broker->producer, 1);
	if (broker->cluster == NULL)
		return err_set(err, "the embedded broker could not listen on 127.0.0.1");
	for (; *topics; topics++)
		rd_kafka_mock_topic_create(broker->cluster, *topics, broker->partitions, 1);
	rd_kafka_brokers_add(broker->producer, mockbroker_servers(broker));
	broker->consumer = client(RD_KAFKA_CONSUMER, mockbroker_servers(broker), err);
	return broker->consumer != NULL;
}

struct mockbroker *mockbroker_start(const char *const *topics, int partitions, struct err *err)
{
	struct mockbroker *broker = mem_zalloc(1, sizeof *broker);
	broker->partitions = partitions;
	if (!serve(broker, topics, err)) {
		mockbroker_stop(broker);
		return NULL;
	}
	return broker;
}

const char *mockbroker_servers(const struct mockbroker *broker)
{
	return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

bool mockbroker_put(struct mockbroker *broker, const char *topic, const char *key, const void *value,
        size_t size, struct err *err)
{
	rd_kafka_resp_err_t code;
	while ((code = rd_kafka_producev(broker->producer, RD_KAFKA_V_TOPIC(topic),
	                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key ? strlen(key) : 0),
	                RD_KAFKA_V_VALUE((void *)value, size), RD_KAFKA_V_END)) ==
	        RD_KAFKA_RESP_ERR__QUEUE_FULL)
		rd_kafka_poll(broker->producer, 100);
	rd_kafka_poll(broker->producer, 0);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
	       err_set(err, "an event could not be put into %s: %s", topic, rd_kafka_err2str(code));
}

bool mockbroker_flush(struct mockbroker *broker, struct err *err)
{
	return rd_kafka_flush(broker->producer, FLUSH_MS) == RD_KAFKA_RESP_ERR_NO_ERROR ||
	       err_set(err, "the embedded broker did not take the events in %d s", FLUSH_MS / 1000);
}

static void begin_watch(struct mockbroker *broker, const char *const *topics)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
	for (; *topics; topics++)
		for (int partition = 0; partition < broker->partitions; partition++)
			rd_kafka_topic_partition_list_add(list, *topics, partition)->offset =
			        RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(broker->consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	broker->watching = true;
}

void mockbroker_watch(struct mockbroker *broker, const char *const *topics, int wait_ms,
        mockbroker_seen *seen, void *context)
{
	if (!broker->watching)
		begin_watch(broker, topics);
	for (int i = 0; i < WATCH_MOST; i++) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(broker->consumer, i == 0 ? wait_ms : 0);
		if (message == NULL)
			return;
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			seen(context, rd_kafka_topic_name(message->rkt), message->payload, message->len);
		rd_kafka_message_destroy(message);
	}
}

void mockbroker_stop(struct mockbroker *broker)
{
	if (broker->consumer) {
		rd_kafka_consumer_close(broker->consumer);
		rd_kafka_destroy(broker->consumer);
	}
	if (broker->cluster)
		rd_kafka_mock_cluster_destroy(broker->cluster);
	if (broker->producer)
		rd_kafka_destroy(broker->producer);
	mem_free(broker);
}
