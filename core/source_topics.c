/* Whether the source's topics are there: asked at the start and whenever something was heard of one. */
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "source_kafka.h"

#include <stdio.h>
#include <string.h>

enum {
	ASK_AGAIN_MS = 10000, /* while one cannot be read */
	ASK_DEADLINE_MS = 60000,
	REMINDER_MS = 60000,
};

static struct source_topic *find(const struct kafka_source *self, const char *name)
{
	for (size_t i = 0; i < self->config->topic_count; i++)
		if (strcmp(self->config->topics[i], name) == 0)
			return &self->topics[i];
	return NULL;
}

/* While reading is denied librdkafka says so once and goes on trying: the brokers still show the topic. */
void source_topics_heard(struct kafka_source *self, const char *name, rd_kafka_resp_err_t code)
{
	struct source_topic *topic = name ? find(self, name) : NULL;
	self->topics_ask_at = clock_now();
	if (topic == NULL || code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || topic->denied)
		return;
	topic->denied = topic->said = clock_now();
	log_error("source", "topic %s may not be read (%s); waiting: allow READ on it to this client", name,
	        rd_kafka_err2name(code));
}

void source_topics_read(struct kafka_source *self, const char *name)
{
	struct source_topic *topic = find(self, name);
	if (topic == NULL || topic->denied == 0)
		return;
	log_info("source", "topic %s can be read again", name);
	topic->denied = 0;
}

bool source_topics_awaited(const struct kafka_source *self, const char *name)
{
	const struct source_topic *topic = find(self, name);
	return topic && topic->awaited;
}

const char *source_topics_trouble(const struct kafka_source *self, size_t n)
{
	for (size_t i = 0; i < self->config->topic_count; i++)
		if (self->topics[i].trouble[0] && n-- == 0)
			return self->topics[i].trouble;
	return NULL;
}

static void say_trouble(struct source_topic *topic, enum kafka_topic_state state, int64_t now)
{
	topic->said = now;
	log_error("source", "%s; waiting for it: %s", topic->trouble,
	        state == KAFKA_TOPIC_ABSENT ? "create it, or correct source.topics"
	                                    : "allow DESCRIBE and READ on it to this client");
}

static void learn(struct source_topic *topic, const char *name, const struct kafka_topic *answer, int64_t now)
{
	char before[sizeof topic->trouble];
	memcpy(before, topic->trouble, sizeof before);
	if (answer->state == KAFKA_TOPIC_UNKNOWN)
		return;
	topic->trouble[0] = '\0';
	if (answer->state == KAFKA_TOPIC_ABSENT)
		snprintf(topic->trouble, sizeof topic->trouble, "topic %s does not exist", name);
	else if (answer->state == KAFKA_TOPIC_DENIED)
		snprintf(topic->trouble, sizeof topic->trouble, "topic %s may not be seen (%s)", name,
		        rd_kafka_err2name((rd_kafka_resp_err_t)answer->code));
	topic->awaited = topic->awaited || answer->state == KAFKA_TOPIC_ABSENT;
	if (topic->trouble[0] && (strcmp(before, topic->trouble) != 0 || now - topic->said >= REMINDER_MS))
		say_trouble(topic, answer->state, now);
	else if (topic->trouble[0] == '\0' && before[0])
		log_info("source", "topic %s is there now", name);
}

static void answered(void *context, bool late)
{
	struct source_task *task = context;
	struct kafka_source *self = task->owner;
	int64_t now = clock_now();
	if (self && task->client == self->client) {
		bool unsure = late;
		for (size_t i = 0; i < task->name_count && !late; i++) {
			learn(&self->topics[i], task->names[i], &task->topics[i], now);
			unsure = unsure || task->topics[i].state != KAFKA_TOPIC_THERE;
		}
		if (unsure && self->topics_ask_at == 0)
			self->topics_ask_at = now + ASK_AGAIN_MS;
	}
	if (self)
		self->topics_asked = false;
	if (!late)
		source_task_free(task);
}

static void ask(struct kafka_source *self)
{
	struct source_task *task = mem_zalloc(1, sizeof *task);
	*task = (struct source_task){.owner = self,
	        .client = self->client,
	        .topics = mem_zalloc(self->config->topic_count, sizeof *task->topics),
	        .names = self->config->topics,
	        .name_count = self->config->topic_count};
	self->topics_ask_at = 0;
	self->topics_asked = true;
	source_task_submit(task, "asking for the topics", ASK_DEADLINE_MS, answered);
}

/* Where partitions start is asked on the same thread, and first. */
void source_topics_tick(struct kafka_source *self, int64_t now)
{
	for (size_t i = 0; i < self->config->topic_count; i++) {
		struct source_topic *topic = &self->topics[i];
		if (topic->denied && now - topic->said >= REMINDER_MS) {
			topic->said = now;
			log_error("source",
			        "topic %s: reading was denied %lld s ago, and nothing of it came since; "
			        "waiting: allow READ on it to this client",
			        self->config->topics[i], (long long)((now - topic->denied) / 1000));
		}
	}
	if (self->topics_ask_at && now >= self->topics_ask_at && !self->topics_asked &&
	        self->health.connected && self->rebalance.list == NULL)
		ask(self);
}
