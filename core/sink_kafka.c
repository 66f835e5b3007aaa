/* The producer: outputs to one topic, and the broker's word on each of them. */
#include "clock.h"
#include "fault.h"
#include "kafka.h"
#include "list.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "sink.h"

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum {
	TICK_MS = 1000,
	FATAL_WAIT_MS = 10000, /* for the reports of a producer that failed, before they are given up */
	BACKOFF_MS = 1000,     /* before a second new producer in a row; doubled up to the next */
	BACKOFF_MAX_MS = 10000,
	FATAL_MOST =
	        5, /* producers in a row that fail before they delivered anything: no new one will help */
	DESTROY_MS = 2000,
};

/* One client per cluster: sinks with equal properties share it. */
struct producer {
	struct list_node node; /* in producers */
	struct event_base *base;
	struct kafka_settings
	        settings;   /* borrows from the configuration of the first sink; client_id is ours */
	rd_kafka_t *client; /* NULL while a failed one is not replaced yet */
	rd_kafka_queue_t *events;
	struct kafka_wake wake;
	struct event *timer;
	struct kafka_health health;
	struct list sinks;
	struct list deliveries; /* every output that is with the client */
	bool full;              /* its queue was, and nothing has left it since */
	bool failing;           /* a fatal error came: its reports are awaited */
	bool met;               /* a broker has answered it once */
	bool given_up;          /* FATAL_MOST is reached, and whoever asks was told */
	unsigned fatals;        /* in a row, without an acknowledgement between */
	int64_t failing_since, open_at, backoff;
};

struct kafka_sink {
	struct sink sink;
	struct producer *producer;
	struct metrics *metrics;
	struct list_node node; /* in producer->sinks */
	struct list failed;    /* deliveries that were over before they began: settled by the next serve */
	size_t outstanding, held_bytes;
	int64_t heard;   /* steady ms: when the last report came, or when the first output was taken */
	size_t suspects; /* outputs refused in company: what is sent is sent alone until they have come again
	                  */
	struct delivery *alone; /* the only one that is with the client, and was all the time */
	double *events, *bytes, *queue_messages, *queue_bytes; /* its metrics */
	struct histogram *delay;
	bool starved; /* somebody was told that there is no room */
	bool delivered;
};

/* One output with the client. */
struct delivery {
	struct output *output; /* NULL = its sink was closed; the report is still to come */
	struct kafka_sink *sink;
	size_t bytes;
	int64_t sent; /* steady ns */
	bool failed;  /* on the sink's list of failed ones, not on the producer's */
	struct list_node node;
};

/* The process's producers. */
static struct list producers = {.head = {&producers.head, &producers.head}, .name = "producers"};

static struct kafka_sink *self_of(const struct sink *sink)
{
	return container_of(sink, struct kafka_sink, sink);
}

static void show_queue(struct kafka_sink *self)
{
	*self->queue_messages = (double)self->outstanding;
	*self->queue_bytes = (double)self->held_bytes;
}

/* Gives the output back to its owner. */
static void finish(struct kafka_sink *self, struct output *output, size_t bytes, enum output_state state,
        const char *error)
{
	self->outstanding--;
	self->held_bytes -= bytes;
	self->heard = clock_now();
	self->producer->full = false;
	show_queue(self);
	mem_free(output->error);
	output->error = mem_strdup(error);
	output->state = state;
	self->sink.handlers.settled(self->sink.handlers.context, output);
}

static void settle(struct delivery *delivery, enum output_state state, const char *error)
{
	struct delivery over = *delivery;
	list_remove(over.failed ? &over.sink->failed : &over.sink->producer->deliveries, &delivery->node);
	if (over.sink->alone == delivery)
		over.sink->alone = NULL;
	mem_free(delivery);
	finish(over.sink, over.output, over.bytes, state, error);
}

/* Errors that say the output itself will never be taken. */
static bool is_refusal(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
	       code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

static void log_failure(const struct kafka_sink *self, rd_kafka_resp_err_t code)
{
	const char *name = self->sink.config->name, *topic = self->sink.config->topic;
	if (kafka_is_refused_access(code))
		log_throttled(LOG_ERROR, "sink",
		        "%s (topic %s): the brokers refuse outputs, they are kept and sent again: %s%s", name,
		        topic, rd_kafka_err2str(code), kafka_advice(code));
	else
		log_throttled(LOG_WARN, "sink",
		        "%s (topic %s): an output was not delivered, and is sent again unless it was "
		        "refused: %s%s",
		        name, topic, rd_kafka_err2str(code), kafka_advice(code));
}

static void count_failure(struct kafka_sink *self, rd_kafka_resp_err_t code)
{
	*metrics_value(
	        self->metrics, METRIC_SINK_ERRORS, self->sink.config->topic, rd_kafka_err2name(code)) += 1;
}

static void acknowledged(struct delivery *delivery)
{
	struct kafka_sink *self = delivery->sink;
	*self->events += 1;
	*self->bytes += (double)delivery->bytes;
	metrics_observe(self->delay, (double)(clock_now_ns() - delivery->sent) / 1e9);
	self->delivered = true;
	self->producer->backoff = 0;
	self->producer->fatals = 0;
	settle(delivery, OUTPUT_ACKED, NULL);
}

/* A broker refuses a whole batch for one record in it. Which one it was is known only of a batch of one: the
 * others fail, and are sent alone when they come again. */
static void refused(struct delivery *delivery, rd_kafka_resp_err_t code)
{
	struct kafka_sink *self = delivery->sink;
	if (self->alone == delivery) {
		self->producer->backoff = 0; /* it was the output's fault */
		settle(delivery, OUTPUT_REFUSED, rd_kafka_err2str(code));
		return;
	}
	self->suspects++;
	settle(delivery, OUTPUT_FAILED, rd_kafka_err2str(code));
}

static void reported(struct producer *producer, struct delivery *delivery, rd_kafka_resp_err_t code)
{
	struct kafka_sink *self = delivery->sink;
	if (delivery->output == NULL) {
		list_remove(&producer->deliveries, &delivery->node);
		mem_free(delivery);
		return;
	}
	if (self->suspects && self->alone == delivery &&
	        (code == RD_KAFKA_RESP_ERR_NO_ERROR || is_refusal(code)))
		self->suspects--;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		acknowledged(delivery);
		return;
	}
	count_failure(self, code);
	log_failure(self, code);
	if (is_refusal(code))
		refused(delivery, code);
	else
		settle(delivery, OUTPUT_FAILED, rd_kafka_err2str(code));
}

static void serve_reports(struct producer *producer, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *message;
	while ((message = rd_kafka_event_message_next(event)) != NULL)
		reported(producer, message->_private, message->err);
}

static void settle_failed(struct kafka_sink *self)
{
	struct list_node *node;
	size_t now = self->failed.count; /* what fails meanwhile waits for the next turn */
	while (now-- && (node = list_first(&self->failed)) != NULL) {
		struct delivery *delivery = container_of(node, struct delivery, node);
		char *why = delivery->output->error;
		delivery->output->error = NULL;
		settle(delivery, OUTPUT_FAILED, why);
		mem_free(why);
	}
}

static bool has_room(const struct kafka_sink *self)
{
	/* While an output is known to have failed and the owner is not told yet, nothing may overtake it. */
	return self->producer->client && !self->producer->failing && list_empty(&self->failed) &&
	       (self->suspects == 0 || self->outstanding == 0);
}

static void tell_room(struct kafka_sink *self)
{
	if (!self->starved || self->producer->full || !has_room(self))
		return;
	self->starved = false;
	self->sink.handlers.room(self->sink.handlers.context);
}

static void close_client(struct producer *producer, int64_t wait_ms)
{
	if (producer->client == NULL)
		return;
	kafka_wake_remove(producer->events);
	rd_kafka_queue_destroy(producer->events);
	kafka_destroy(producer->client, wait_ms);
	producer->client = NULL;
}

static bool open_client(struct producer *producer, struct err *err)
{
	producer->client = kafka_open(KAFKA_PRODUCER, &producer->settings, err);
	if (producer->client == NULL)
		return false;
	producer->events = rd_kafka_queue_get_main(producer->client);
	kafka_wake_add(&producer->wake, producer->events);
	producer->health.connected = producer->failing = false;
	producer->health.fatal[0] = '\0';
	producer->health.fatal_code = 0;
	return true;
}

/* Everything comes back that is with a client which is no more, and reports nothing. */
static void fail_all(struct producer *producer, const char *why)
{
	struct list_node *node;
	while ((node = list_first(&producer->deliveries)) != NULL) {
		struct delivery *delivery = container_of(node, struct delivery, node);
		if (delivery->output)
			settle(delivery, OUTPUT_FAILED, why);
		else
			reported(producer, delivery, RD_KAFKA_RESP_ERR__DESTROY);
	}
}

/* Rights may be given back at any time; of anything else that no new producer cures the owner is told. */
static void give_up(struct producer *producer)
{
	const struct kafka_sink *self = container_of(list_first(&producer->sinks), struct kafka_sink, node);
	int code = producer->health.fatal_code;
	if (producer->given_up || kafka_is_refused_access(code) || self->sink.handlers.failed == NULL)
		return;
	producer->given_up = true;
	const char *advice = kafka_advice(code);
	char *why = mem_printf("%u Kafka producers in a row failed before anything was delivered; the last: "
	                       "%s%s",
	        producer->fatals, producer->health.fatal,
	        *advice ? advice : "; look at the log of the brokers, then start again: nothing is lost");
	self->sink.handlers.failed(self->sink.handlers.failed_context, why);
	mem_free(why);
}

static void begin_failing(struct producer *producer, int64_t now)
{
	producer->failing = true;
	producer->failing_since = now;
	rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	/* An output failed, its report says why; librdkafka only sees to it that nothing overtakes it. */
	if (producer->health.fatal_code == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE)
		return;
	producer->fatals++;
	log_error("sink", "%s: the Kafka producer failed and is replaced, what it held is sent again: %s%s",
	        producer->health.client, producer->health.fatal, kafka_advice(producer->health.fatal_code));
	if (producer->fatals >= FATAL_MOST)
		give_up(producer);
}

static void end_failing(struct producer *producer, int64_t now)
{
	producer->failing = false;
	close_client(producer, 0);
	producer->open_at = now + producer->backoff;
	producer->backoff = producer->backoff == 0 ? BACKOFF_MS : producer->backoff * 2;
	if (producer->backoff > BACKOFF_MAX_MS)
		producer->backoff = BACKOFF_MAX_MS;
	fail_all(producer, producer->health.fatal);
}

static void replace_client(struct producer *producer, int64_t now)
{
	struct err err;
	bool fatal = producer->health.fatal_code != RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
	if (open_client(producer, &err)) {
		if (fatal)
			log_info("sink", "%s: a new Kafka producer takes over", producer->health.client);
		return;
	}
	log_throttled(LOG_ERROR, "sink", "%s: no new producer: %s", producer->health.client, err.text);
	producer->open_at = now + BACKOFF_MAX_MS;
}

/* After a fatal error everything comes back, then the client is replaced. */
static void serve_fatal(struct producer *producer, int64_t now)
{
	if (producer->client && producer->health.fatal[0] && !producer->failing)
		begin_failing(producer, now);
	if (producer->failing &&
	        (list_empty(&producer->deliveries) || now - producer->failing_since >= FATAL_WAIT_MS))
		end_failing(producer, now);
	if (producer->client == NULL && now >= producer->open_at)
		replace_client(producer, now);
}

static void producer_serve(struct producer *producer)
{
	rd_kafka_event_t *event;
	while (producer->client && (event = rd_kafka_queue_poll(producer->events, 0)) != NULL) {
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
			serve_reports(producer, event);
		else
			kafka_serve_common(&producer->health, producer->client, event);
		rd_kafka_event_destroy(event);
	}
	producer->met |= producer->health.connected;
	serve_fatal(producer, clock_now());
	list_each (&producer->sinks, node, after) {
		struct kafka_sink *self = container_of(node, struct kafka_sink, node);
		settle_failed(self);
		tell_room(self);
	}
}

static void on_wake(void *context)
{
	producer_serve(context);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	producer_serve(context);
}

static rd_kafka_headers_t *make_headers(const struct output *output)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(output->header_count);
	for (size_t i = 0; i < output->header_count; i++)
		rd_kafka_header_add(headers, output->headers[i].name, -1, output->headers[i].value,
		        (ssize_t)output->headers[i].size);
	return headers;
}

static rd_kafka_resp_err_t produce(
        struct kafka_sink *self, const struct output *output, struct delivery *delivery)
{
	rd_kafka_headers_t *headers = make_headers(output);
	rd_kafka_resp_err_t code = rd_kafka_producev(self->producer->client,
	        RD_KAFKA_V_TOPIC(self->sink.config->topic), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
	        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(output->value, output->value_size),
	        RD_KAFKA_V_KEY(output->key, output->key_size),
	        RD_KAFKA_V_TIMESTAMP(output->timestamp > 0 ? output->timestamp : 0),
	        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_END);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) /* else they are librdkafka's */
		rd_kafka_headers_destroy(headers);
	return code;
}

/* For the tests: as if the broker had said so. */
static void provoke_fatal(rd_kafka_t *client)
{
	if (fault_due("fatal_producer"))
		rd_kafka_test_fatal_error(
		        client, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as the test wants it");
}

static void take(struct kafka_sink *self, struct delivery *delivery)
{
	if (self->outstanding == 0)
		self->heard = clock_now();
	struct output *output = delivery->output;
	output->state = OUTPUT_SENT;
	list_append(&self->producer->deliveries, &delivery->node);
	self->alone = self->outstanding == 0 ? delivery : NULL;
	self->outstanding++;
	self->held_bytes += delivery->bytes;
	show_queue(self);
}

/* What could not even be produced fails as if the broker had said so: on the next serve. */
static void take_failed(struct kafka_sink *self, struct delivery *delivery, rd_kafka_resp_err_t code)
{
	count_failure(self, code);
	log_failure(self, code);
	delivery->failed = true;
	delivery->output->state = OUTPUT_SENT;
	delivery->output->error = mem_strdup(rd_kafka_err2str(code));
	list_append(&self->failed, &delivery->node);
	if (self->outstanding == 0)
		self->heard = clock_now();
	self->outstanding++;
	self->held_bytes += delivery->bytes;
}

static enum sink_sent no_room(struct kafka_sink *self)
{
	self->starved = true;
	return SINK_NO_ROOM;
}

static enum sink_sent kafka_send(struct sink *sink, struct output *output)
{
	struct kafka_sink *self = self_of(sink);
	mem_free(output->error);
	output->error = NULL;
	if (!has_room(self))
		return no_room(self);
	provoke_fatal(self->producer->client);
	struct delivery *delivery = mem_zalloc(1, sizeof *delivery);
	*delivery = (struct delivery){
	        .output = output, .sink = self, .bytes = output_bytes(output), .sent = clock_now_ns()};
	rd_kafka_resp_err_t code = produce(self, output, delivery);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		take(self, delivery);
		return SINK_TAKEN;
	}
	if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL) {
		self->producer->full =
		        code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !list_empty(&self->producer->deliveries);
		mem_free(delivery);
		return no_room(self);
	}
	if (is_refusal(code)) {
		count_failure(self, code);
		mem_free(delivery);
		output->state = OUTPUT_REFUSED;
		output->error = mem_strdup(rd_kafka_err2str(code));
		return SINK_REFUSED;
	}
	take_failed(self, delivery, code);
	return SINK_TAKEN;
}

static void kafka_serve(struct sink *sink)
{
	producer_serve(self_of(sink)->producer);
}

static size_t kafka_outstanding(const struct sink *sink)
{
	return self_of(sink)->outstanding;
}

static size_t kafka_held_bytes(const struct sink *sink)
{
	return self_of(sink)->held_bytes;
}

static bool kafka_ready(const struct sink *sink)
{
	const struct kafka_sink *self = self_of(sink);
	return self->delivered || self->producer->met;
}

static int64_t kafka_waiting(const struct sink *sink)
{
	const struct kafka_sink *self = self_of(sink);
	return self->outstanding ? self->heard : -1;
}

static const char *kafka_trouble(const struct sink *sink)
{
	const struct kafka_health *health = &self_of(sink)->producer->health;
	return health->fatal[0] ? health->fatal : health->trouble;
}

static void producer_free(struct producer *producer)
{
	close_client(producer, DESTROY_MS);
	fail_all(producer, "the sink was closed");
	if (list_linked(&producer->node))
		list_remove(&producers, &producer->node);
	kafka_wake_close(&producer->wake);
	if (producer->timer)
		event_free(producer->timer);
	mem_free((char *)producer->settings.client_id);
	mem_free(producer);
}

/* Gives back what a client that lives on still has; its reports will find nobody. */
static void abandon(struct kafka_sink *self)
{
	list_each (&self->producer->deliveries, node, after) {
		struct delivery *delivery = container_of(node, struct delivery, node);
		if (delivery->sink != self || delivery->output == NULL)
			continue;
		struct output *output = delivery->output;
		delivery->output = NULL;
		finish(self, output, delivery->bytes, OUTPUT_FAILED, "the sink was closed");
	}
}

static void kafka_sink_close(struct sink *sink)
{
	struct kafka_sink *self = self_of(sink);
	struct producer *producer = self->producer;
	producer_serve(producer); /* what the broker has said already */
	settle_failed(self);
	list_remove(&producer->sinks, &self->node);
	if (list_empty(&producer->sinks))
		producer_free(producer);
	else
		abandon(self);
	mem_free(self);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_settings(const struct kafka_settings *a, const struct kafka_settings *b)
{
	if (a->property_count != b->property_count || a->max_bytes != b->max_bytes ||
	        a->queue_bytes != b->queue_bytes || !same_text(a->client_id, b->client_id))
		return false;
	for (size_t i = 0; i < a->property_count; i++)
		if (!same_text(a->properties[i].name, b->properties[i].name) ||
		        !same_text(a->properties[i].value, b->properties[i].value))
			return false;
	return true;
}

static struct producer *find_producer(const struct event_base *base, const struct kafka_settings *settings)
{
	list_each (&producers, node, after) {
		struct producer *producer = container_of(node, struct producer, node);
		if (producer->base == base && same_settings(&producer->settings, settings))
			return producer;
	}
	return NULL;
}

static struct producer *producer_open(struct event_base *base, const struct kafka_settings *settings,
        const char *name, struct metrics *metrics, struct err *err)
{
	struct producer *producer = mem_zalloc(1, sizeof *producer);
	producer->base = base;
	producer->settings = *settings;
	producer->settings.client_id = mem_strdup(settings->client_id);
	producer->health = (struct kafka_health){.client = name, .metrics = metrics};
	list_init(&producer->sinks, "sinks");
	list_init(&producer->deliveries, "deliveries");
	producer->timer = event_new(base, -1, EV_PERSIST, on_timer, producer);
	if (!kafka_wake_open(&producer->wake, base, on_wake, producer, err) || !open_client(producer, err)) {
		producer_free(producer);
		return NULL;
	}
	event_add(producer->timer, &(struct timeval){TICK_MS / 1000, TICK_MS % 1000 * 1000});
	list_append(&producers, &producer->node);
	return producer;
}

struct sink *sink_kafka_open(struct event_base *base, const struct sink_config *config, const char *client_id,
        const struct sink_handlers *handlers, struct metrics *metrics, size_t queue_bytes, struct err *err)
{
	static const struct sink_verbs verbs = {
	        .send = kafka_send,
	        .serve = kafka_serve,
	        .outstanding = kafka_outstanding,
	        .held_bytes = kafka_held_bytes,
	        .ready = kafka_ready,
	        .close = kafka_sink_close,
	        .waiting = kafka_waiting,
	        .trouble = kafka_trouble,
	};
	struct kafka_settings settings = {.client_id = client_id,
	        .queue_bytes = queue_bytes,
	        .max_bytes = config->max_bytes,
	        .properties = config->kafka,
	        .property_count = config->kafka_count};
	struct producer *producer = find_producer(base, &settings);
	if (producer == NULL)
		producer = producer_open(base, &settings, config->name, metrics, err);
	if (producer == NULL)
		return NULL;
	struct kafka_sink *self = mem_zalloc(1, sizeof *self);
	self->sink = (struct sink){.verbs = &verbs, .config = config, .handlers = *handlers};
	self->producer = producer;
	self->metrics = metrics;
	self->events = metrics_value(metrics, METRIC_SINK_EVENTS, config->topic);
	self->bytes = metrics_value(metrics, METRIC_SINK_BYTES, config->topic);
	self->queue_messages = metrics_value(metrics, METRIC_PRODUCER_MESSAGES, config->topic);
	self->queue_bytes = metrics_value(metrics, METRIC_PRODUCER_BYTES, config->topic);
	self->delay = metrics_histogram(metrics, METRIC_SINK_DELIVERY, NULL);
	list_init(&self->failed, "failed deliveries");
	list_append(&producer->sinks, &self->node);
	return &self->sink;
}
