/* What it costs at the least to carry records from topic to topic: librdkafka, and nothing else.
 *
 * usage: bare_kafka SERVERS SOURCE SINK RECORDS BODY_BYTES. Consumes partition 0 of the source from its
 * beginning, puts a text of so many bytes into each value, so that outputs are as large as the engine's, and
 * produces it with the engine's settings (core/kafka.c): idempotent, one request in flight, snappy. */
#include "page_text.h"
#include "usage.h"

#include <librdkafka/rdkafka.h>
#include <stdarg.h>

static size_t delivered, failed;

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *context)
{
	(void)client, (void)context;
	delivered++;
	failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void die(const char *text)
{
	fprintf(stderr, "bare_kafka: %s\n", text);
	exit(1);
}

/* With name, value, name, value, ..., NULL. */
static rd_kafka_t *open_client(rd_kafka_type_t type, const char *servers, ...)
{
	char text[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	va_list properties;
	rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	va_start(properties, servers);
	for (const char *name; (name = va_arg(properties, const char *)) != NULL;)
		if (rd_kafka_conf_set(conf, name, va_arg(properties, const char *), text, sizeof text) !=
		        RD_KAFKA_CONF_OK)
			die(text);
	va_end(properties);
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
	if (client == NULL)
		die(text);
	return client;
}

static rd_kafka_t *open_consumer(const char *servers, const char *topic)
{
	rd_kafka_t *consumer = open_client(RD_KAFKA_CONSUMER, servers, "group.id", "bare",
	        "enable.auto.commit", "false", "check.crcs", "true", "queued.max.messages.kbytes", "65536",
	        "receive.message.max.bytes", "134217728", NULL);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_poll_set_consumer(consumer);
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	return consumer;
}

static rd_kafka_t *open_producer(const char *servers)
{
	return open_client(RD_KAFKA_PRODUCER, servers, "enable.idempotence", "true",
	        "enable.gapless.guarantee", "true", "max.in.flight", "1", "partitioner", "murmur2_random",
	        "compression.codec", "snappy", "linger.ms", "5", "message.max.bytes", "10490000",
	        "queue.buffering.max.kbytes", "65536", "socket.nagle.disable", "true", NULL);
}

static void produce(
        rd_kafka_t *producer, const char *topic, const rd_kafka_message_t *from, char *value, size_t size)
{
	for (;;) {
		rd_kafka_resp_err_t code = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
		        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(value, size),
		        RD_KAFKA_V_KEY(from->key, from->key_len), RD_KAFKA_V_END);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			return;
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die(rd_kafka_err2str(code));
		rd_kafka_poll(producer, 10);
	}
}

/* The record's JSON object with one member more. */
static size_t enrich(char *value, const rd_kafka_message_t *from, const char *text, size_t text_size)
{
	static const char member[] = ",\"content_body\":\"";
	size_t size = from->len - 1;
	memcpy(value, from->payload, size);
	memcpy(value + size, member, sizeof member - 1);
	size += sizeof member - 1;
	memcpy(value + size, text, text_size);
	size += text_size;
	memcpy(value + size, "\"}", 2);
	return size + 2;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fputs("usage: bare_kafka SERVERS SOURCE SINK RECORDS BODY_BYTES\n", stderr);
		return 2;
	}
	size_t records = strtoul(argv[4], NULL, 10), bytes = strtoul(argv[5], NULL, 10), taken = 0, room = 0;
	char *text = page_text(bytes), *value = NULL;
	struct usage before = usage_now();
	rd_kafka_t *consumer = open_consumer(argv[1], argv[2]), *producer = open_producer(argv[1]);
	while (taken < records) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
		if (message && message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->len > 0) {
			if (message->len + bytes + 64 > room) {
				room = (message->len + bytes) * 2 + 64;
				value = realloc(value, room);
			}
			produce(producer, argv[3], message, value, enrich(value, message, text, bytes));
			taken++;
		}
		if (message)
			rd_kafka_message_destroy(message);
		rd_kafka_poll(producer, 0);
	}
	while (delivered < records)
		rd_kafka_poll(producer, 100);
	usage_print(before, usage_now(), delivered);
	rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
	rd_kafka_destroy(producer);
	free(value);
	free(text);
	return failed != 0;
}
