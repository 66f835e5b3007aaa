/* Questions to the brokers that block until they are answered. */
#include "kafka_ask.h"
#include "clock.h"
#include "kafka_trust.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum {
	SLICE_MS = 500, /* after each, what the client has met meanwhile is looked at */
	DOWN_MS = 2000, /* once no broker could be connected to: each may have several addresses */
};

static enum kafka_topic_state state_of(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR: return KAFKA_TOPIC_THERE;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC: return KAFKA_TOPIC_ABSENT;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: return KAFKA_TOPIC_DENIED;
	default: return KAFKA_TOPIC_UNKNOWN;
	}
}

struct kafka_topic kafka_ask_topic(rd_kafka_t *client, const char *name, int timeout_ms)
{
	rd_kafka_topic_t *handle = rd_kafka_topic_new(client, name, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t code =
	        handle ? rd_kafka_metadata(client, 0, handle, &metadata, timeout_ms) : rd_kafka_last_error();
	int32_t partitions = 0;
	if (handle && code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		code = metadata->topic_cnt == 1 ? metadata->topics[0].err
		                                : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
		partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
		rd_kafka_metadata_destroy(metadata);
	}
	if (handle)
		rd_kafka_topic_destroy(handle);
	return (struct kafka_topic){state_of(code), partitions, code};
}

void kafka_ask_cluster(rd_kafka_t *client, int timeout_ms, char id[KAFKA_CLUSTER_SIZE])
{
	char *told = rd_kafka_clusterid(client, timeout_ms);
	snprintf(id, KAFKA_CLUSTER_SIZE, "%s", told ? told : "");
	if (told)
		rd_kafka_mem_free(client, told);
}

/* What the client has met while it waited for an answer. */
struct met {
	int weight;
	int64_t down_since; /* no broker could be connected to; 0 = not heard yet */
	struct err *err;    /* the weightiest, in words */
	char told[KAFKA_TRUST_SIZE];
};

/* How much an error says about why nobody answers: a refused password more than a closed connection. */
static int weight(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL: return 4;
	case RD_KAFKA_RESP_ERR__RESOLVE: return 3;
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: return 1;
	default: return 2;
	}
}

/* Nobody says more than that the connection was closed: so it ends, too, where only one side speaks TLS. */
static const char advice_silence[] = "; are they there, and is security.protocol what they speak?";

static void hear_error(rd_kafka_event_t *event, rd_kafka_resp_err_t code, struct met *met)
{
	const char *said = rd_kafka_event_error_string(event);
	char trust[2 * KAFKA_TRUST_SIZE];
	const char *advice = kafka_trust_advice(code, said, met->told, trust);
	int weighs = *advice ? weight(RD_KAFKA_RESP_ERR__SSL) : weight(code);
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && met->down_since == 0)
		met->down_since = clock_now();
	if (weighs <= met->weight)
		return;
	met->weight = weighs;
	if (*advice == '\0')
		advice = *kafka_advice(code) ? kafka_advice(code) : advice_silence;
	err_set(met->err, "%.500s%s", said, advice);
}

static void hear(rd_kafka_queue_t *events, struct met *met)
{
	rd_kafka_event_t *event;
	while ((event = rd_kafka_queue_poll(events, 0)) != NULL) {
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
			hear_error(event, rd_kafka_event_error(event), met);
		else
			kafka_trust_told(event, met->told);
		rd_kafka_event_destroy(event);
	}
}

/* Waiting longer is of no use. */
static bool hopeless(const struct met *met)
{
	return met->weight == weight(RD_KAFKA_RESP_ERR__AUTHENTICATION) ||
	       (met->down_since && clock_now() - met->down_since > DOWN_MS);
}

static bool answers(rd_kafka_t *client, int64_t deadline, struct err *err)
{
	rd_kafka_queue_t *events = rd_kafka_queue_get_main(client);
	struct met met = {.err = err};
	bool answered = false;
	err_set(err, "no answer in time");
	while (!answered && !hopeless(&met) && clock_now() < deadline) {
		int64_t left = deadline - clock_now();
		const struct rd_kafka_metadata *metadata;
		answered = rd_kafka_metadata(client, 0, NULL, &metadata,
		                   (int)(left < SLICE_MS ? left : SLICE_MS)) == RD_KAFKA_RESP_ERR_NO_ERROR;
		if (answered)
			rd_kafka_metadata_destroy(metadata);
		hear(events, &met);
	}
	rd_kafka_queue_destroy(events);
	return answered;
}

bool kafka_ping(const struct kafka_settings *settings, const char *const *names, struct kafka_topic *topics,
        size_t count, int timeout_ms, struct err *err)
{
	int64_t deadline = clock_now() + timeout_ms;
	rd_kafka_t *client = kafka_open(KAFKA_ASKER, settings, err);
	bool answered = client && answers(client, deadline, err);
	for (size_t i = 0; i < count && answered; i++) {
		int64_t left = deadline - clock_now();
		topics[i] = kafka_ask_topic(client, names[i], left > SLICE_MS ? (int)left : SLICE_MS);
	}
	kafka_destroy(client, SLICE_MS);
	return answered;
}
