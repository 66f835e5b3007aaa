/* The error event of a record that failed. */
#include "failure.h"
#include "clock.h"
#include "identity.h"
#include "mem.h"
#include "schema_format.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { BESIDE = 512 }; /* headers that are still to be set, and the end of the value */

/* How much may surround the original, in bytes; more than that is cut, but a key is left out. */
struct extent {
	size_t message, stack, text, uri, key;
	bool headers;
};

static const struct extent whole = {4096, 16384, 1024, 8192, SIZE_MAX, true},
                           bare = {.message = 256, .key = 128};

static void member(struct buf *out, const char *name, const char *text, size_t most)
{
	if (text == NULL || text[0] == '\0' || most == 0)
		return;
	size_t size = strlen(text);
	if (size > most)
		size = text_utf8_valid(text, most);
	buf_printf(out, ",\"%s\":", name);
	text_json_string(out, text, size);
}

static void append_meta(struct buf *out, const struct failure_config *config,
        const struct script_input *input, const struct script_event *event, const char *dt,
        const struct extent *extent)
{
	char id[IDENTITY_TEXT];
	schema_format *is_uri = schema_format_find("uri-reference");
	identity_make(event->id, input, config->stream, 0, id);
	buf_append_text(out, ",\"meta\":{\"stream\":");
	text_json_string(out, config->stream, strlen(config->stream));
	buf_printf(out, ",\"id\":\"%s\",\"dt\":\"%s\"", id, dt);
	member(out, "domain", event->domain, extent->text);
	member(out, "request_id", event->request_id, extent->text);
	/* The schema says what a URI is; events say anything. Half of one is none either. */
	if (event->uri && strlen(event->uri) <= extent->uri && is_uri(event->uri, strlen(event->uri)))
		member(out, "uri", event->uri, extent->uri);
	buf_append_byte(out, '}');
}

/* Where a text may be cut at or before `at` without splitting a character. */
static size_t cut_at(struct bytes value, size_t at)
{
	for (int back = 0;
	        back < 3 && at > 0 && at < value.size && ((unsigned char)value.data[at] & 0xC0) == 0x80;
	        back++)
		at--;
	return at;
}

/* Appends as much of the value as `room` takes as a JSON string; true when that is all of it, verbatim. */
static bool append_raw(struct buf *out, struct bytes value, size_t room)
{
	struct buf text;
	size_t take = value.size;
	buf_init(&text, 0);
	if (take > room) /* escaping never shortens */
		take = cut_at(value, room);
	text_json_string(&text, value.data, take);
	while (text.size > room && take > 0) {
		take = cut_at(value, take * 3 / 4);
		buf_clear(&text);
		text_json_string(&text, value.data, take);
	}
	if (text.size <= room) {
		buf_append_text(out, ",\"raw_event\":");
		buf_append(out, text.data, text.size);
	}
	buf_free(&text);
	return take == value.size && text_utf8_valid(value.data, value.size) == value.size;
}

/* Key and headers: what an output of the original has, as far as they may go. */
static void surround(struct output *output, const struct script_input *input, const struct extent *extent)
{
	mem_free(output->key);
	output_headers_free(output->headers, output->header_count);
	bool has_key = input->key.size <= extent->key;
	output->key = has_key ? mem_dup(input->key.data, input->key.size) : NULL;
	output->key_size = has_key ? input->key.size : 0;
	output->header_count = extent->headers ? input->header_count : 0;
	output->headers = output_headers_copy(input->headers, output->header_count);
}

static void append_all(struct buf *out, const struct failure_config *config, const struct script_input *input,
        const struct script_event *event, const char *const texts[3], const char *dt,
        const struct extent *extent)
{
	size_t size = strlen(texts[1]);
	buf_clear(out);
	buf_printf(out, "{\"$schema\":\"/error/2.1.0\",\"dt\":\"%s\",\"emitter_id\":", dt);
	text_json_string(out, config->emitter_id, strlen(config->emitter_id));
	member(out, "error_type", texts[0], 255);
	buf_append_text(out, ",\"message\":");
	text_json_string(
	        out, texts[1], size > extent->message ? text_utf8_valid(texts[1], extent->message) : size);
	member(out, "stack", texts[2], extent->stack);
	member(out, "errored_schema_uri", event->schema, extent->text);
	member(out, "errored_stream_name", event->stream, extent->text);
	append_meta(out, config, input, event, dt, extent);
}

void failure_make(const struct failure_config *config, const struct script_input *input,
        const struct script_event *event, const char *type, const char *message, const char *stack,
        int64_t wall, struct output *output)
{
	const char *const texts[3] = {type, message, stack};
	struct extent extent = whole;
	char dt[CLOCK_TEXT];
	struct buf out;
	size_t beside;
	bool cut = false;
	buf_init(&out, 0);
	clock_format(wall, dt);
	*output = (struct output){.sink = config->sink, .timestamp = wall};
	for (;;) {
		append_all(&out, config, input, event, texts, dt, &extent);
		surround(output, input, &extent);
		beside = output_bytes(output) + out.size + BESIDE;
		if (beside <= config->max_bytes || extent.message == 0)
			break;
		if (cut)
			extent.message /= 2;
		else
			extent = bare;
		cut = true;
	}
	size_t room = config->max_bytes > beside ? config->max_bytes - beside : 0;
	if (input->value.data && !append_raw(&out, input->value, room))
		cut = true;
	buf_append_byte(&out, '}');
	if (cut)
		output_set_header(output, "millrace-raw", "partial", strlen("partial"));
	if (input->timestamp >= 0) {
		char timestamp[24];
		int size = snprintf(timestamp, sizeof timestamp, "%lld", (long long)input->timestamp);
		output_set_header(output, "millrace-timestamp", timestamp, (size_t)size);
	}
	output->value = buf_steal(&out, &output->value_size);
}
