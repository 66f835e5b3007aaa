/* A client that speaks about the job's consumer group and does not join it. */
#include "command_group.h"
#include "command.h"
#include "kafka.h"
#include "mem.h"
#include "reach.h"

#include <string.h>

enum { REACH_MS = 5000, LEAVE_MS = 2000 };

/* A refused connection is told at once and by its name, where librdkafka would only time out. */
static bool reach(const struct source_config *source, struct err *err)
{
	for (size_t i = 0; i < source->kafka_count; i++)
		if (strcmp(source->kafka[i].name, "bootstrap.servers") == 0)
			return reach_brokers(source->kafka[i].value, REACH_MS, err);
	return true;
}

/* The user's properties less the static member's name: one who is no member may not speak in its name
 * (KAFKA-14201). */
static struct kafka_property *without_instance(const struct source_config *source, size_t *count)
{
	struct kafka_property *properties = mem_zalloc(source->kafka_count, sizeof *properties);
	*count = 0;
	for (size_t i = 0; i < source->kafka_count; i++)
		if (strcmp(source->kafka[i].name, "group.instance.id") != 0)
			properties[(*count)++] = source->kafka[i];
	return properties;
}

struct rd_kafka_s *command_group_open(const struct config *config, int *code, struct err *err)
{
	*code = EXIT_UNREACHABLE;
	if (!reach(&config->source, err))
		return NULL;
	*code = EXIT_CONFIG;
	struct kafka_settings settings = {.client_id = config->name, .group = config->source.group};
	struct kafka_property *properties = without_instance(&config->source, &settings.property_count);
	settings.properties = properties;
	struct rd_kafka_s *client = kafka_open(KAFKA_CONSUMER, &settings, err);
	mem_free(properties);
	return client;
}

void command_group_close(struct rd_kafka_s *client)
{
	kafka_destroy(client, LEAVE_MS);
}
