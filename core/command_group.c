/* A client that speaks about the job's consumer group and does not join it. */
#include "command_group.h"
#include "command.h"
#include "kafka.h"
#include "mem.h"
#include "reach.h"

#include <string.h>

enum { REACH_MS = 5000, LEAVE_MS = 2000 };

/* A refused connection is told at once and by its name, where librdkafka would only time out. */
static bool reach(const struct kafka_property *properties, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(properties[i].name, "bootstrap.servers") == 0)
			return reach_brokers(properties[i].value, REACH_MS, err);
	return true;
}

/* The user's properties less the static member's name: one who is no member may not speak in its name
 * (KAFKA-14201). */
static struct kafka_property *without_instance(
        const struct kafka_property *properties, size_t count, size_t *left)
{
	struct kafka_property *usable = mem_zalloc(count, sizeof *usable);
	*left = 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(properties[i].name, "group.instance.id") != 0)
			usable[(*left)++] = properties[i];
	return usable;
}

struct rd_kafka_s *command_group_open_at(const struct config *config, const struct kafka_property *properties,
        size_t count, int *code, struct err *err)
{
	*code = EXIT_UNREACHABLE;
	if (!reach(properties, count, err))
		return NULL;
	*code = EXIT_CONFIG;
	struct kafka_settings settings = {.client_id = config->name, .group = config->source.group};
	struct kafka_property *usable = without_instance(properties, count, &settings.property_count);
	settings.properties = usable;
	struct rd_kafka_s *client = kafka_open(KAFKA_CONSUMER, &settings, err);
	mem_free(usable);
	return client;
}

struct rd_kafka_s *command_group_open(const struct config *config, int *code, struct err *err)
{
	return command_group_open_at(config, config->source.kafka, config->source.kafka_count, code, err);
}

void command_group_close(struct rd_kafka_s *client)
{
	kafka_destroy(client, LEAVE_MS);
}
