/* The trace that a record belongs to goes on with its calls. */
#include "trace.h"
#include "mem.h"

#include <string.h>

enum {
	PARENT_SIZE = 55, /* of version 00 */
	MOST = 512,       /* of either: a tracestate of that size has to be passed on at least, §3.3.1.5 */
};

static bool is_hex(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return true;
}

static bool is_id(const char *text, size_t size)
{
	bool zero = true;
	for (size_t i = 0; i < size; i++)
		zero = zero && text[i] == '0';
	return !zero && is_hex(text, size);
}

/* What a header may hold, and no more than is passed on. */
static bool is_plain(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7E)
			return false;
	return size > 0 && size <= MOST;
}

/* version "-" trace-id "-" parent-id "-" flags, §3.2.2; later versions may append "-" and more (§4.3). */
static bool is_parent(const char *text, size_t size)
{
	if (size < PARENT_SIZE || !is_plain(text, size) || !is_hex(text, 2) || memcmp(text, "ff", 2) == 0)
		return false;
	if (size > PARENT_SIZE && (memcmp(text, "00", 2) == 0 || text[PARENT_SIZE] != '-'))
		return false;
	return text[2] == '-' && is_id(text + 3, 32) && text[35] == '-' && is_id(text + 36, 16) &&
	       text[52] == '-' && is_hex(text + 53, 2);
}

static const struct output_header *find(const struct output_header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (headers[i].value && strcmp(headers[i].name, name) == 0)
			return &headers[i];
	return NULL;
}

static void add(struct request *request, const struct output_header *header)
{
	struct header copy = {mem_strdup(header->name), mem_dup(header->value, header->size)};
	request->headers =
	        mem_realloc(request->headers, (request->header_count + 1) * sizeof *request->headers);
	request->headers[request->header_count++] = copy;
}

void trace_pass(const struct output_header *headers, size_t count, struct request *request)
{
	const struct output_header *parent = find(headers, count, "traceparent"),
	                           *state = find(headers, count, "tracestate");
	if (parent == NULL || !is_parent(parent->value, parent->size) ||
	        headers_get(request->headers, request->header_count, "traceparent"))
		return;
	add(request, parent);
	if (state && is_plain(state->value, state->size) &&
	        headers_get(request->headers, request->header_count, "tracestate") == NULL)
		add(request, state);
}
