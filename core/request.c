/* One HTTP question as a script put it, and its answer. */
#include "request.h"
#include "mem.h"

#include <string.h>
#include <strings.h>

void headers_free(struct header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		mem_free(headers[i].name);
		mem_free(headers[i].value);
	}
	mem_free(headers);
}

void request_free(struct request *request)
{
	mem_free(request->method);
	mem_free(request->host);
	mem_free(request->path);
	mem_free(request->query);
	headers_free(request->headers, request->header_count);
	mem_free(request->body);
	mem_free(request->merge_param);
	mem_free(request->merge_value);
	mem_free(request->split);
	*request = (struct request){0};
}

void response_free(struct response *response)
{
	headers_free(response->headers, response->header_count);
	mem_free(response->body);
	mem_free(response->error_type);
	mem_free(response->error_message);
	*response = (struct response){0};
}

static size_t text_bytes(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static size_t header_bytes(const struct header *headers, size_t count)
{
	size_t bytes = count * sizeof *headers;
	for (size_t i = 0; i < count; i++)
		bytes += text_bytes(headers[i].name) + text_bytes(headers[i].value);
	return bytes;
}

size_t request_bytes(const struct request *request)
{
	return text_bytes(request->method) + text_bytes(request->host) + text_bytes(request->path) +
	       text_bytes(request->query) + header_bytes(request->headers, request->header_count) +
	       request->body_size + text_bytes(request->merge_param) + text_bytes(request->merge_value) +
	       text_bytes(request->split);
}

size_t response_bytes(const struct response *response)
{
	return header_bytes(response->headers, response->header_count) + response->body_size +
	       text_bytes(response->error_type) + text_bytes(response->error_message);
}

const char *headers_get(const struct header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(headers[i].name, name) == 0)
			return headers[i].value;
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool request_same(const struct request *a, const struct request *b)
{
	return a->upstream == b->upstream && same_text(a->method, b->method) && same_text(a->host, b->host) &&
	       same_text(a->path, b->path) && same_text(a->query, b->query) && a->body_size == b->body_size &&
	       (a->body_size == 0 || memcmp(a->body, b->body, a->body_size) == 0) &&
	       a->accept_count == b->accept_count &&
	       memcmp(a->accept, b->accept, a->accept_count * sizeof *a->accept) == 0 &&
	       a->optional == b->optional && a->expect == b->expect &&
	       same_text(a->merge_param, b->merge_param) && same_text(a->merge_value, b->merge_value) &&
	       same_text(a->split, b->split);
}
