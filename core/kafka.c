/* What both Kafka edges share: client configuration, a queue that wakes the loop, errors in words. */
#include "kafka.h"
#include "buf.h"
#include "kafka_trust.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "text.h"

#include <errno.h>
#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	QUEUE_DEFAULT = 16 << 20,
	MAX_BYTES_DEFAULT = 10 << 20,
	RECEIVE_MAX = 134217728, /* a record of 96 MiB does not fit librdkafka's default of 100,000,000 */
	FETCH_LEAST = 1 << 20, /* librdkafka's of one partition, which it does not let the whole fall below */
	FRAME_ROOM = 4096,     /* of a record over what output_bytes counts */
	MESSAGE_ROOM = 1024,   /* the prefetch may hold a message for each: what librdkafka keeps beside the
	                          bytes is bounded */
	STATISTICS_MS = 1000,
	COOPERATIVE_SINCE = 0x020a0000,   /* librdkafka 2.10: before, a commit in the middle of a cooperative
	                                     rebalance could lose the assignment, and before 2.6.1 the sticky
	                                     assignor could loop or hang */
	QUEUE_BACKOFF_SINCE = 0x02020000, /* fetch.queue.backoff.ms */
};

/* The properties that Millrace sets itself, or that would break a promise. */
static const struct reserved {
	const char *name;
	const char *allowed; /* values that change nothing, each between bars; NULL = none */
	const char *reason;
} reserved[] = {
        {"enable.auto.commit", "|false|", "Millrace commits what is finished, not what was read"},
        {"auto.commit.enable", "|false|", "Millrace commits what is finished, not what was read"},
        {"auto.commit.interval.ms", NULL, "Millrace commits by itself: see checkpoint.interval"},
        {"enable.auto.offset.store", "|false|", "Millrace commits what is finished, not what was read"},
        {"offset.store.method", "|broker|", "positions are kept in the group and in checkpoint files"},
        {"offset.store.path", NULL, "positions are kept in the group and in checkpoint files"},
        {"auto.offset.reset", "|error|", "a position that is gone is an alarm, not a jump; see source.start"},
        {"enable.partition.eof", NULL, "Millrace sets it as it needs it"},
        {"group.id", NULL, "set source.group instead"},
        {"group.protocol", "|classic|", "only the classic group protocol is supported"},
        {"statistics.interval.ms", NULL, "Millrace sets it; its metrics are at /metrics"},
        {"enabled_events", NULL, "Millrace sets it"},
        {"log.queue", NULL, "Millrace sets it; the log section decides what is written"},
        {"queued.max.messages.kbytes", NULL, "it is part of limits.memory and follows from it"},
        {"queue.buffering.max.kbytes", NULL, "it is part of limits.memory and follows from it"},
        {"message.max.bytes", NULL, "set max_bytes of the sink instead"},
        {"enable.idempotence", "|true|t|1|", "order and exactly one copy per send rest on it"},
        {"enable.gapless.guarantee", "|true|t|1|", "nothing may overtake an output that fails"},
        {"max.in.flight", "|1|", "nothing may overtake an output that fails"},
        {"max.in.flight.requests.per.connection", "|1|", "nothing may overtake an output that fails"},
        {"acks", "|all|-1|", "an output counts when all replicas in sync have it"},
        {"request.required.acks", "|all|-1|", "an output counts when all replicas in sync have it"},
        {"transactional.id", NULL, "Millrace delivers at least once and does not use transactions"},
        {"message.timeout.ms", "|0|", "an output is sent until the broker has it"},
        {"delivery.timeout.ms", "|0|", "an output is sent until the broker has it"},
        {"delivery.report.only.error", "|false|", "Millrace counts acknowledgements"},
        {"dr_cb", NULL, "functions cannot be configured"},
        {"dr_msg_cb", NULL, "functions cannot be configured"},
        {"opaque", NULL, "pointers cannot be configured"},
        {"default_topic_conf", NULL,
                "pointers cannot be configured; topic properties stand beside the others"},
};

static const struct reserved *find_reserved(enum kafka_client client, const char *name, const char *value)
{
	/* Fetching takes the largest message into account, so a consumer may know it. */
	if (client == KAFKA_CONSUMER && strcmp(name, "message.max.bytes") == 0)
		return NULL;
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
		if (strcmp(reserved[i].name, name) != 0)
			continue;
		char *marked = mem_printf("|%s|", value);
		bool harmless = reserved[i].allowed && strstr(reserved[i].allowed, marked) != NULL;
		mem_free(marked);
		return harmless ? NULL : &reserved[i];
	}
	return NULL;
}

/* The names in librdkafka's own table of properties ("name | C/P | range | ..." lines). */
static char *near_miss(const char *name)
{
	char *table = NULL;
	size_t size = 0, count = 0;
	FILE *stream = open_memstream(&table, &size);
	if (stream == NULL)
		return NULL;
	rd_kafka_conf_properties_show(stream);
	fclose(stream);
	const char **names = NULL;
	char *rest = table;
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		size_t length = strcspn(line, " |");
		if (length == 0 || strchr(line, '|') == NULL)
			continue;
		line[length] = '\0';
		names = mem_realloc(names, (count + 1) * sizeof *names);
		names[count++] = line;
	}
	char *found = mem_strdup(text_did_you_mean(name, names, count));
	mem_free(names);
	free(table);
	return found;
}

static bool refuse_unknown(const char *name, struct err *err)
{
	char *near = near_miss(name);
	if (near)
		err_set(err, "librdkafka has no property \"%s\"; did you mean \"%s\"?", name, near);
	else
		err_set(err, "librdkafka %s has no property \"%s\"", rd_kafka_version_str(), name);
	mem_free(near);
	return false;
}

static bool set_user(
        enum kafka_client client, rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
	const struct reserved *why = find_reserved(client, name, value);
	if (why)
		return err_set(err, "\"%s\" cannot be set: %s", name, why->reason);
	char text[512] = "";
	rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);
	if (result == RD_KAFKA_CONF_UNKNOWN)
		return refuse_unknown(name, err);
	if (result == RD_KAFKA_CONF_INVALID) {
		text[strcspn(text, "\n")] = '\0'; /* some of librdkafka's sentences end with one */
		return err_set(err, "\"%s\": %s", name, text);
	}
	return true;
}

bool kafka_check_property(enum kafka_client client, const char *name, const char *value, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool taken = set_user(client, conf, name, value, err);
	rd_kafka_conf_destroy(conf);
	return taken;
}

/* A default of ours; a librdkafka that does not know it goes on without. */
static void set_own(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char text[512];
	if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
		log_warn("kafka", "librdkafka %s does not take %s=%s: %s", rd_kafka_version_str(), name,
		        value, text);
}

static void set_number(rd_kafka_conf_t *conf, const char *name, size_t value, size_t most)
{
	char text[32];
	snprintf(text, sizeof text, "%zu", value < most ? value : most);
	set_own(conf, name, text);
}

static void set_common(rd_kafka_conf_t *conf, const struct kafka_settings *settings)
{
	set_own(conf, "client.id", settings->client_id);
	set_own(conf, "log.queue", "true");
	set_own(conf, "log.connection.close", "false"); /* brokers close what idles: no news */
	set_number(conf, "statistics.interval.ms", STATISTICS_MS, STATISTICS_MS);
	set_own(conf, "socket.keepalive.enable", "true");
	set_own(conf, "socket.nagle.disable", "true");
	set_number(conf, "receive.message.max.bytes", RECEIVE_MAX, RECEIVE_MAX);
}

/* What lets somebody else pose as the brokers. */
static const char *doubt_trust(const char *name, const char *value)
{
	bool off = strcasecmp(value, "false") == 0 || strcmp(value, "f") == 0 || strcmp(value, "0") == 0;
	if (off && strcmp(name, "enable.ssl.certificate.verification") == 0)
		return "the brokers' certificates are not looked at: whoever is on the way may pose as them, "
		       "and "
		       "is told the password; leave it out, and name their authority in ssl.ca.location";
	if (strcmp(name, "ssl.endpoint.identification.algorithm") == 0 && strcmp(value, "none") == 0)
		return "a certificate of the authority is taken for any host: whoever has one may pose as "
		       "the "
		       "brokers; leave it out, and have the certificates name the brokers' hosts";
	return NULL;
}

const char *kafka_doubt(const char *name, const char *value)
{
	bool cooperative =
	        strcmp(name, "partition.assignment.strategy") == 0 && strstr(value, "cooperative") != NULL;
	if (!cooperative || rd_kafka_version() >= COOPERATIVE_SINCE)
		return doubt_trust(name, value);
	return "this librdkafka is older than 2.10: in a cooperative rebalance it may lose partitions for "
	       "no reason, and what had not been committed is done again; \"range\" has no such fault";
}

const char *kafka_assignor(const char *configured)
{
	if (configured && *configured)
		return configured;
	return rd_kafka_version() >= COOPERATIVE_SINCE ? "cooperative-sticky" : "range";
}

static void set_consumer(rd_kafka_conf_t *conf, const struct kafka_settings *settings)
{
	size_t queue = settings->queue_bytes ? settings->queue_bytes : QUEUE_DEFAULT;
	size_t fetch = settings->fetch_bytes ? settings->fetch_bytes : queue / 3;
	set_own(conf, "group.id", settings->group);
	set_own(conf, "enable.auto.commit", "false");
	set_own(conf, "enable.auto.offset.store", "false");
	set_own(conf, "enable.partition.eof", "true");
	set_own(conf, "auto.offset.reset", "error");
	set_own(conf, "check.crcs", "true");
	set_own(conf, "topic.metadata.refresh.interval.ms", "30000"); /* how soon a new partition is seen */
	set_own(conf, "partition.assignment.strategy", kafka_assignor(NULL));
	set_number(conf, "queued.max.messages.kbytes", queue / 1024 ? queue / 1024 : 1, 2097151);
	/* Before 2.2 a fetcher that meets a full queue sleeps for a second: by count it must not be full
	 * soon. */
	set_number(conf, "queued.min.messages", queue / MESSAGE_ROOM ? queue / MESSAGE_ROOM : 1, 10000000);
	set_number(conf, "fetch.max.bytes", fetch > FETCH_LEAST ? fetch : FETCH_LEAST, RECEIVE_MAX / 2);
	if (rd_kafka_version() >= QUEUE_BACKOFF_SINCE)
		set_own(conf, "fetch.queue.backoff.ms", "100");
}

static void set_producer(rd_kafka_conf_t *conf, const struct kafka_settings *settings)
{
	size_t queue = settings->queue_bytes ? settings->queue_bytes : QUEUE_DEFAULT;
	size_t most = (settings->max_bytes ? settings->max_bytes : MAX_BYTES_DEFAULT) + FRAME_ROOM;
	if (queue < most)
		queue = most; /* or the largest output would never have room */
	set_own(conf, "enable.idempotence", "true");
	/* Together they let nothing overtake a message that fails: what follows it is not on its way yet, and
	 * stays with a client that has become unusable by it (ERR__GAPLESS_GUARANTEE). */
	set_own(conf, "enable.gapless.guarantee", "true");
	set_own(conf, "max.in.flight", "1");
	set_own(conf, "partitioner", "murmur2_random"); /* Java's, so that keys stay on their partitions */
	set_own(conf, "compression.codec", "snappy");
	set_own(conf, "message.timeout.ms", "0");
	set_own(conf, "topic.metadata.propagation.max.ms", "10000"); /* how soon a missing topic is told */
	/* How soon it is seen that a topic is there (again), or may be written (again): librdkafka asks no
	 * earlier about one that it was refused. */
	set_own(conf, "topic.metadata.refresh.interval.ms", "10000");
	set_own(conf, "linger.ms", "5");
	set_number(conf, "message.max.bytes", most, 1000000000);
	set_number(conf, "queue.buffering.max.kbytes", queue / 1024 + 1, 2147483647);
}

static bool has_servers(const struct kafka_settings *settings)
{
	for (size_t i = 0; i < settings->property_count; i++) {
		const char *name = settings->properties[i].name;
		if (strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0 ||
		        strcmp(name, "test.mock.num.brokers") == 0)
			return true;
	}
	return false;
}

static rd_kafka_conf_t *make_conf(
        enum kafka_client client, const struct kafka_settings *settings, struct err *err)
{
	if (!has_servers(settings)) {
		err_set(err, "no brokers are given: set the Kafka property \"bootstrap.servers\"");
		return NULL;
	}
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set_common(conf, settings);
	if (client == KAFKA_CONSUMER)
		set_consumer(conf, settings);
	else if (client == KAFKA_PRODUCER)
		set_producer(conf, settings);
	for (size_t i = 0; i < settings->property_count; i++) {
		const struct kafka_property *property = &settings->properties[i];
		struct err why;
		if (!set_user(client, conf, property->name, property->value, &why)) {
			err_set(err, "%s%sKafka property %s", property->where ? property->where : "",
			        property->where ? ": " : "", why.text);
			rd_kafka_conf_destroy(conf);
			return NULL;
		}
	}
	int events = RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS;
	if (client == KAFKA_CONSUMER)
		events |= RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT;
	else if (client == KAFKA_PRODUCER)
		events |= RD_KAFKA_EVENT_DR;
	rd_kafka_conf_set_events(conf, events);
	kafka_trust_watch(conf);
	return conf;
}

/* librdkafka names the property whose file it could not read, but neither the file nor the reason. */
static bool unreadable_file(const struct kafka_settings *settings, const char *text, struct err *err)
{
	for (size_t i = 0; i < settings->property_count; i++) {
		const struct kafka_property *property = &settings->properties[i];
		size_t size = strlen(property->name);
		if (size < 9 || strcmp(property->name + size - 9, ".location") != 0 ||
		        strstr(text, property->name) == NULL || access(property->value, R_OK) == 0)
			continue;
		err_set(err, "%s: the file '%s' cannot be read: %s", property->name, property->value,
		        strerror(errno));
		return true;
	}
	return false;
}

static rd_kafka_t *make_client(enum kafka_client client, rd_kafka_conf_t *conf,
        const struct kafka_settings *settings, struct err *err)
{
	char text[512];
	rd_kafka_type_t type = client == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
	rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
	if (rk == NULL) {
		if (!unreadable_file(settings, text, err))
			err_set(err, "the Kafka %s cannot be set up: %s",
			        client == KAFKA_PRODUCER ? "producer" : "consumer", text);
		rd_kafka_conf_destroy(conf);
	}
	return rk;
}

rd_kafka_t *kafka_open(enum kafka_client client, const struct kafka_settings *settings, struct err *err)
{
	rd_kafka_conf_t *conf = make_conf(client, settings, err);
	rd_kafka_t *rk = conf ? make_client(client, conf, settings, err) : NULL;
	if (rk == NULL)
		return NULL;
	if (client == KAFKA_CONSUMER)
		rd_kafka_poll_set_consumer(rk);
	rd_kafka_set_log_queue(rk, NULL);
	return rk;
}

bool kafka_check_client(enum kafka_client client, const struct kafka_settings *settings, struct err *err)
{
	rd_kafka_conf_t *conf = make_conf(client, settings, err);
	if (conf == NULL)
		return false;
	rd_kafka_conf_set(conf, "bootstrap.servers", "", NULL, 0);
	rd_kafka_t *rk = make_client(client, conf, settings, err);
	if (rk == NULL)
		return false;
	kafka_destroy(rk, 2000);
	return true;
}

static void *destroy_main(void *context)
{
	rd_kafka_destroy_flags(context, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

void kafka_destroy(rd_kafka_t *client, int64_t wait_ms)
{
	if (client == NULL)
		return;
	pthread_t thread;
	sigset_t all, before; /* signals belong to the loop's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&thread, NULL, destroy_main, client);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		log_warn("kafka", "no thread to let a client go with: it is left behind");
		return;
	}
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_ms / 1000 + (until.tv_nsec + wait_ms % 1000 * 1000000) / 1000000000;
	until.tv_nsec = (until.tv_nsec + wait_ms % 1000 * 1000000) % 1000000000;
	if (wait_ms <= 0 || pthread_timedjoin_np(thread, NULL, &until) != 0)
		pthread_detach(thread);
}

bool kafka_refused(int code)
{
	switch ((rd_kafka_resp_err_t)code) {
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
	case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_COORDINATOR: return false;
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION: return true;
	default: return code > 0;
	}
}

void kafka_count_error(const struct kafka_health *health, int code)
{
	*metrics_value(health->metrics, METRIC_KAFKA_ERRORS, health->client,
	        rd_kafka_err2name((rd_kafka_resp_err_t)code)) += 1;
}

/* Each facility of librdkafka has a throttle of its own, or a flood of one would silence the others. */
static struct log_site *site_of(const char *facility)
{
	static struct log_site sites[64];
	unsigned hash = 5381;
	for (; *facility; facility++)
		hash = hash * 33 + (unsigned char)*facility;
	return &sites[hash % 64];
}

static void serve_log(struct kafka_health *health, rd_kafka_event_t *event)
{
	const char *facility, *text;
	int severity;
	if (kafka_trust_told(event, health->told)) /* an error event follows */
		return;
	if (rd_kafka_event_log(event, &facility, &text, &severity) != 0)
		return;
	enum log_level level = severity <= 2 ? LOG_ERROR : severity <= 4 ? LOG_WARN : LOG_DEBUG;
	if (strcmp(facility, "FAIL") == 0)
		level = LOG_DEBUG; /* an error event says the same */
	/* That it is experimental, and that it did its work: what failed is told by its delivery report. */
	if (strstr(text, "enable.gapless.guarantee") || strstr(text, "gap-less guarantee"))
		level = LOG_DEBUG;
	log_write(level, level == LOG_DEBUG ? NULL : site_of(facility), "kafka", "%s: %s: %s", health->client,
	        facility, text);
}

static const struct advice {
	rd_kafka_resp_err_t code;
	bool access; /* credentials or rights */
	const char *text;
} advices[] = {
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, true,
                "; check sasl.mechanism, sasl.username and sasl.password, and the user on the brokers"},
        {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, true,
                "; check sasl.mechanism, sasl.username and sasl.password, and the user on the brokers"},
        {RD_KAFKA_RESP_ERR__SSL, true,
                "; check security.protocol, ssl.ca.location and the certificates on both sides"},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, true,
                "; give the user the rights Write and Describe on the topic (Read, of a source)"},
        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, true, "; give the user the right Read on the group"},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, true,
                "; an idempotent producer needs the right Write on a topic, or IdempotentWrite on the "
                "cluster where the brokers are older than 3.0"},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, false, "; is the topic there? Millrace makes none"},
        {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, false, "; is the topic there? Millrace makes none"},
        {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, false,
                "; the brokers are too old for an idempotent producer: 0.11 is the least"},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, false,
                "; the brokers are too old for what is asked of them: 0.11 is the least"},
        {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, false,
                "; another process uses the same group.instance.id: give each its own"},
};

static const struct advice *find_advice(int code)
{
	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
		if (advices[i].code == (rd_kafka_resp_err_t)code)
			return &advices[i];
	return NULL;
}

const char *kafka_advice(int code)
{
	const struct advice *advice = find_advice(code);
	return advice ? advice->text : "";
}

bool kafka_is_refused_access(int code)
{
	const struct advice *advice = find_advice(code);
	return advice && advice->access;
}

static void serve_error(struct kafka_health *health, rd_kafka_t *client, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	char why[200] = "";
	kafka_count_error(health, code);
	rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(client, why, sizeof why);
	if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
		health->fatal_code = fatal;
		snprintf(health->fatal, sizeof health->fatal, "%s: %s", rd_kafka_err2name(fatal), why);
		return;
	}
	const char *text = rd_kafka_event_error_string(event);
	/* That all brokers are down is said after the reason, and is none. */
	if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || health->trouble[0] == '\0')
		snprintf(health->trouble, sizeof health->trouble, "%s", text);
	char trust[2 * KAFKA_TRUST_SIZE];
	const char *advice = kafka_trust_advice(code, text, health->told, trust);
	bool access = kafka_is_refused_access(code) || *advice;
	log_write(access ? LOG_ERROR : LOG_WARN, site_of(rd_kafka_err2name(code)), "kafka", "%s: %s%s%s",
	        health->client, text, *advice ? advice : kafka_advice(code),
	        access ? "; it is tried again until it is let in" : "");
}

/* "throttle": {"min":0, "max":0, "avg":0, "sum":0, ...} of each broker: ms of this interval, of requests that
 * were answered late on purpose (https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md). */
static double throttled_ms(const char *statistics)
{
	double sum = 0;
	for (const char *at = statistics; (at = strstr(at, "\"throttle\":")) != NULL;) {
		const char *end = strchr(at, '}'), *found = strstr(at, "\"sum\":");
		if (found && end && found < end)
			sum += strtod(found + strlen("\"sum\":"), NULL);
		at++;
	}
	return sum;
}

static size_t occurrences(const char *text, const char *word)
{
	size_t count = 0;
	for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
		count++;
	return count;
}

/* "rtt": {"min":0, "max":0, "avg":0, ..., "p99":0, ...} of each broker, in us; 0 where nothing was asked. The
 * largest of them in seconds. */
static double rtt_of(const char *statistics, const char *member)
{
	double most = 0;
	for (const char *at = statistics; (at = strstr(at, "\"rtt\":")) != NULL; at++) {
		const char *end = strchr(at, '}'), *found = strstr(at, member);
		double us = found && end && found < end ? strtod(found + strlen(member), NULL) : 0;
		most = us > most ? us : most;
	}
	return most / 1e6;
}

static void serve_statistics(struct kafka_health *health, const char *statistics)
{
	double ms = throttled_ms(statistics);
	*metrics_value(health->metrics, METRIC_BROKER_CONNECTIONS, health->client) =
	        (double)occurrences(statistics, "\"state\":\"UP\"");
	*metrics_value(health->metrics, METRIC_BROKER_RTT, health->client, "avg") =
	        rtt_of(statistics, "\"avg\":");
	*metrics_value(health->metrics, METRIC_BROKER_RTT, health->client, "p99") =
	        rtt_of(statistics, "\"p99\":");
	/* In capitals it is the state of a broker's connection; a group's is "up". */
	health->connected = strstr(statistics, "\"state\":\"UP\"") != NULL;
	if (ms <= 0)
		return;
	*metrics_value(health->metrics, METRIC_KAFKA_THROTTLED, health->client) += ms / 1000;
	log_throttled(LOG_WARN, "kafka",
	        "%s: the brokers hold back their answers, by %.1f s in the last second: a quota of this "
	        "client or user is used up",
	        health->client, ms / 1000);
}

bool kafka_serve_common(struct kafka_health *health, rd_kafka_t *client, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_LOG: serve_log(health, event); return true;
	case RD_KAFKA_EVENT_ERROR: serve_error(health, client, event); return true;
	case RD_KAFKA_EVENT_STATS: serve_statistics(health, rd_kafka_event_stats(event)); return true;
	default: return false;
	}
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	struct kafka_wake *wake = context;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof count);
	(void)got;
	if (wake->woken)
		wake->woken(wake->context);
}

bool kafka_wake_open(struct kafka_wake *wake, struct event_base *base, void (*woken)(void *context),
        void *context, struct err *err)
{
	/* librdkafka writes to it under the queue's lock: it must not block, and it wants eight bytes. */
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return err_set(err, "cannot open an eventfd: %s", strerror(errno));
	*wake = (struct kafka_wake){.fd = fd, .woken = woken, .context = context};
	wake->event = event_new(base, fd, EV_READ | EV_PERSIST, on_wake, wake);
	event_add(wake->event, NULL);
	return true;
}

void kafka_wake_add(struct kafka_wake *wake, rd_kafka_queue_t *queue)
{
	static const uint64_t one = 1;
	rd_kafka_queue_io_event_enable(queue, wake->fd, &one, sizeof one);
}

void kafka_wake_remove(rd_kafka_queue_t *queue)
{
	rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void kafka_wake_close(struct kafka_wake *wake)
{
	if (wake->event == NULL)
		return;
	event_free(wake->event);
	close(wake->fd);
	wake->event = NULL;
}
