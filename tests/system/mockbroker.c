/* librdkafka's mock cluster as a program, for system tests where no real Kafka can be had.
 *
 * Prints its bootstrap servers on a line; then each line "TOPIC PARTITIONS" on stdin makes a topic and is
 * answered by "ok" or the error. Ends with its stdin. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdio.h>

int main(void)
{
	char error[512], line[512], topic[256];
	int partitions;
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof error);
	if (!client) {
		fprintf(stderr, "mockbroker: %s\n", error);
		return 1;
	}
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, 1);
	if (!cluster) {
		fprintf(stderr, "mockbroker: the mock cluster does not start\n");
		return 1;
	}
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "%255s %d", topic, &partitions) != 2) {
			printf("expected: TOPIC PARTITIONS\n");
		} else {
			rd_kafka_resp_err_t failure =
			        rd_kafka_mock_topic_create(cluster, topic, partitions, 1);
			printf("%s\n", failure ? rd_kafka_err2str(failure) : "ok");
		}
		fflush(stdout);
	}
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(client);
	return 0;
}
