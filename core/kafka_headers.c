/* The headers of a message as the engine has them, without a copy. */
#include "kafka_headers.h"
#include "mem.h"

#include <librdkafka/rdkafka.h>

void kafka_headers_borrow(struct kafka_headers *headers, const struct rd_kafka_message_s *message)
{
	rd_kafka_headers_t *list = NULL;
	headers->items = headers->few;
	headers->count = 0;
	if (rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
		headers->count = rd_kafka_header_cnt(list);
	if (headers->count > sizeof headers->few / sizeof *headers->few)
		headers->items = mem_zalloc(headers->count, sizeof *headers->items);
	for (size_t i = 0; i < headers->count; i++) {
		struct output_header *header = &headers->items[i];
		const char *name;
		const void *value;
		rd_kafka_header_get_all(list, i, &name, &value, &header->size);
		header->name = (char *)(size_t)name;
		header->value = (char *)(size_t)value;
	}
}

void kafka_headers_free(struct kafka_headers *headers)
{
	if (headers->items != headers->few)
		mem_free(headers->items);
}
