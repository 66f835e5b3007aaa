/* librdkafka's mock cluster as a program, for system tests where no real Kafka can be had.
 *
 * usage: mockbroker [BROKERS]. Prints its bootstrap servers on a line; then each line on stdin is an order
 * that is answered by "ok" or the error: "topic NAME PARTITIONS" makes a topic, "coordinator GROUP BROKER"
 * moves the coordinator of a group. Ends with its stdin. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdio.h>
#include <stdlib.h>

static const char *obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	char name[256];
	int number;
	rd_kafka_resp_err_t failure;
	if (sscanf(line, "topic %255s %d", name, &number) == 2)
		failure = rd_kafka_mock_topic_create(cluster, name, number, 1);
	else if (sscanf(line, "coordinator %255s %d", name, &number) == 2)
		failure = rd_kafka_mock_coordinator_set(cluster, "group", name, number);
	else
		return "expected: topic NAME PARTITIONS, or coordinator GROUP BROKER";
	return failure ? rd_kafka_err2str(failure) : "ok";
}

int main(int argc, char **argv)
{
	char error[512], line[512];
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof error);
	if (!client) {
		fprintf(stderr, "mockbroker: %s\n", error);
		return 1;
	}
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, argc > 1 ? atoi(argv[1]) : 1);
	if (!cluster) {
		fprintf(stderr, "mockbroker: the mock cluster does not start\n");
		return 1;
	}
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		printf("%s\n", obey(cluster, line));
		fflush(stdout);
	}
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(client);
	return 0;
}
