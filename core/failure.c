/* The error event of a record that failed. */
#include "failure.h"
#include "clock.h"
#include "identity.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 4096, STACK_MAX = 16384 };

static void member(struct buf *out, const char *name, const char *text, size_t most)
{
	if (text == NULL || text[0] == '\0')
		return;
	size_t size = strlen(text);
	if (size > most)
		size = text_utf8_valid(text, most);
	buf_printf(out, ",\"%s\":", name);
	text_json_string(out, text, size);
}

static void append_meta(struct buf *out, const struct failure_config *config,
        const struct script_input *input, const struct script_event *event, const char *dt)
{
	char id[IDENTITY_TEXT];
	identity_make(event->id, input, config->stream, 0, id);
	buf_append_text(out, ",\"meta\":{\"stream\":");
	text_json_string(out, config->stream, strlen(config->stream));
	buf_printf(out, ",\"id\":\"%s\",\"dt\":\"%s\"", id, dt);
	member(out, "domain", event->domain, 255);
	member(out, "request_id", event->request_id, 255);
	member(out, "uri", event->uri, 8192);
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

void failure_make(const struct failure_config *config, const struct script_input *input,
        const struct script_event *event, const char *type, const char *message, const char *stack,
        int64_t wall, struct output *output)
{
	char dt[CLOCK_TEXT];
	struct buf out;
	buf_init(&out, 0);
	clock_format(wall, dt);
	*output = (struct output){.sink = config->sink, .timestamp = wall};
	output->key = mem_dup(input->key.data, input->key.size);
	output->key_size = input->key.size;
	output->headers = output_headers_copy(input->headers, input->header_count);
	output->header_count = input->header_count;
	buf_printf(&out, "{\"$schema\":\"/error/2.1.0\",\"dt\":\"%s\",\"emitter_id\":", dt);
	text_json_string(&out, config->emitter_id, strlen(config->emitter_id));
	member(&out, "error_type", type, 255);
	buf_append_text(&out, ",\"message\":");
	size_t size = strlen(message);
	text_json_string(&out, message, size > MESSAGE_MAX ? text_utf8_valid(message, MESSAGE_MAX) : size);
	member(&out, "stack", stack, STACK_MAX);
	member(&out, "errored_schema_uri", event->schema, 1024);
	member(&out, "errored_stream_name", event->stream, 1024);
	append_meta(&out, config, input, event, dt);
	/* What the framing, key and headers need beside the value, those still to be set included. */
	size_t beside = output_bytes(output) + out.size + 512;
	size_t room = config->max_bytes > beside ? config->max_bytes - beside : 0;
	bool whole = input->value.data == NULL || append_raw(&out, input->value, room);
	buf_append_byte(&out, '}');
	if (!whole)
		output_set_header(output, "millrace-raw", "partial", strlen("partial"));
	output->value = buf_steal(&out, &output->value_size);
}
