/* One message on its way to a sink. */
#include "output.h"
#include "mem.h"

#include <string.h>

/* Record v2 framing: attributes, varints of length, timestamp and offset deltas, key, value and header
 * counts, and the batch header of a batch of one (https://kafka.apache.org/documentation/#messageformat). */
enum { FRAMING = 61 + 36, HEADER_FRAMING = 10 };

void output_headers_free(struct output_header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		mem_free(headers[i].name);
		mem_free(headers[i].value);
	}
	mem_free(headers);
}

void output_free(struct output *output)
{
	mem_free(output->value);
	mem_free(output->key);
	output_headers_free(output->headers, output->header_count);
	mem_free(output->error);
	*output = (struct output){0};
}

struct output_header *output_headers_copy(const struct output_header *headers, size_t count)
{
	struct output_header *copy = count ? mem_zalloc(count, sizeof *copy) : NULL;
	for (size_t i = 0; i < count; i++) {
		copy[i].name = mem_strdup(headers[i].name);
		copy[i].value = mem_dup(headers[i].value, headers[i].size);
		copy[i].size = headers[i].size;
	}
	return copy;
}

void output_set_header(struct output *output, const char *name, const char *value, size_t size)
{
	struct output_header *header = NULL;
	for (size_t i = 0; i < output->header_count && header == NULL; i++)
		if (strcmp(output->headers[i].name, name) == 0)
			header = &output->headers[i];
	if (header == NULL) {
		output->headers =
		        mem_realloc(output->headers, (output->header_count + 1) * sizeof *output->headers);
		header = &output->headers[output->header_count++];
		*header = (struct output_header){.name = mem_strdup(name)};
	}
	mem_free(header->value);
	header->value = mem_dup(value, size);
	header->size = size;
}

size_t output_bytes(const struct output *output)
{
	size_t bytes = FRAMING + output->key_size + output->value_size;
	for (size_t i = 0; i < output->header_count; i++)
		bytes += HEADER_FRAMING + strlen(output->headers[i].name) + output->headers[i].size;
	return bytes;
}
