/* `millrace errors show`: one error event, and its original. */
#include "clock.h"
#include "command_errors.h"
#include "command_group.h"
#include "mem.h"
#include "script_trouble.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FETCH_MS = 15000, HEADER_SHOWN = 200 };

struct showing {
	const struct errors_job *job;
	struct origin wanted; /* a place in the source, or in the error stream */
	bool of_stream;
	struct errorevent_reader reader;
	struct jsontree original;  /* room */
	struct rd_kafka_s *source; /* NULL = not opened yet */
	size_t shown;
};

/* Why there is more to say than raw_event. */
enum original_found { ORIGINAL_VERBATIM, ORIGINAL_AGAIN, ORIGINAL_PART, ORIGINAL_NULL };

struct original {
	enum original_found found;
	char *value;
	size_t size;
	char *why; /* PART: why there is no more */
};

/* ---- the original ---- */

static void take_original(void *context, const struct topicreader_message *message)
{
	struct original *original = context;
	mem_free(original->value);
	original->value = mem_dup(message->value.data, message->value.size);
	original->size = message->value.size;
}

static bool source_open(struct showing *showing)
{
	int code;
	if (showing->source == NULL)
		showing->source = errors_open_source(showing->job, &code);
	return showing->source != NULL;
}

/* The partial one from its source; what the event has of it where that has it no more. */
static void read_again(struct showing *showing, const struct errorevent *event, struct original *original)
{
	const struct origin *origin = &event->origin;
	struct err err = {"the source could not be asked"};
	struct original whole = {.found = ORIGINAL_AGAIN};
	enum topicreader_found found = TOPICREADER_UNKNOWN;
	if (!event->placed)
		err_set(&err, "the event does not say where its original stands");
	else if (source_open(showing)) {
		char *topic = mem_dup(origin->topic, origin->topic_size);
		found = topicreader_fetch(showing->source, topic, origin->partition, origin->offset, FETCH_MS,
		        take_original, &whole, &err);
		mem_free(topic);
	}
	if (found == TOPICREADER_FOUND &&
	        !errorevent_agrees(event, (struct bytes){whole.value, whole.size})) {
		found = TOPICREADER_GONE;
		mem_free(whole.value);
		err_set(&err, "another record stands at its place by now");
	} else if (found == TOPICREADER_GONE) {
		err_set(&err, "it is no longer in the source");
	}
	if (found == TOPICREADER_FOUND) {
		mem_free(original->value);
		*original = whole;
	} else {
		original->why = mem_strdup(err.text);
	}
}

static void find_original(struct showing *showing, const struct errorevent *event, struct original *original)
{
	const struct bytes *raw = &event->texts[ERROREVENT_RAW];
	*original = (struct original){.found = event->partial ? ORIGINAL_PART
	                                       : raw->data    ? ORIGINAL_VERBATIM
	                                                      : ORIGINAL_NULL,
	        .value = mem_dup(raw->data, raw->size),
	        .size = raw->size};
	if (event->partial)
		read_again(showing, event, original);
}

/* ---- telling ---- */

static bool is_raw(const char *name, size_t size)
{
	return size == strlen("raw_event") && memcmp(name, "raw_event", size) == 0;
}

static void say_line(struct buf *out, const char *name, struct bytes text)
{
	buf_printf(out, "%-10s ", name);
	errors_line(out, text, HEADER_SHOWN);
	buf_append_byte(out, '\n');
}

static void say_head(
        struct buf *out, const struct topicreader_message *message, const struct errorevent *event)
{
	char time[CLOCK_TEXT];
	clock_format(message->timestamp, time);
	buf_printf(out, "%-10s %s/%d/%lld, %s\n", "event", message->topic, (int)message->partition,
	        (long long)message->offset, time);
	if (event->placed)
		buf_printf(out, "%-10s %.*s/%d/%lld", "original", (int)event->origin.topic_size,
		        event->origin.topic, (int)event->origin.partition, (long long)event->origin.offset);
	if (event->placed && event->timestamp >= 0) {
		clock_format(event->timestamp, time);
		buf_printf(out, ", %s", time);
	}
	buf_append_text(out, event->placed ? "\n" : "");
	if (message->key.data)
		say_line(out, "key", message->key);
	for (size_t i = 0; i < message->header_count; i++) {
		const struct output_header *header = &message->headers[i];
		struct buf line;
		buf_init(&line, 0);
		buf_printf(&line, "%s: ", header->name);
		if (header->value)
			buf_append(&line, header->value, header->size);
		say_line(out, "header", (struct bytes){line.data, line.size});
		buf_free(&line);
	}
}

static void say_original(struct showing *showing, const struct original *original, struct buf *out)
{
	struct bytes value = {original->value, original->size};
	if (original->found == ORIGINAL_NULL) {
		buf_append_text(out, "\nThe original is a null value (a tombstone).\n");
		return;
	}
	if (original->found == ORIGINAL_PART && value.data == NULL) {
		buf_printf(out, "\nThe event has nothing of its original; %s.\n", original->why);
		return;
	}
	if (original->found == ORIGINAL_PART)
		buf_printf(out, "\nThe event has but a readable part of its original; %s:\n", original->why);
	else
		buf_printf(out, "\nThe original%s:\n",
		        original->found == ORIGINAL_AGAIN ? ", read again from the source" : "");
	if (jsontree_parse(&showing->original, value.data, value.size, NULL, NULL))
		jsontree_print(&showing->original, 0, 0, NULL, NULL, out);
	else /* no bytes of strangers for the terminal */
		text_json_string(out, value.data, value.size);
	if (out->size && out->data[out->size - 1] != '\n')
		buf_append_byte(out, '\n');
}

/* What went wrong, with the script's line as it is now. */
static void say_trouble(const struct showing *showing, const struct topicreader_message *message,
        const struct errorevent *event, struct buf *out)
{
	const struct origin *origin = &event->origin;
	char *where = event->placed ? mem_printf("%.*s/%d/%lld", (int)origin->topic_size, origin->topic,
	                                      (int)origin->partition, (long long)origin->offset)
	                            : NULL;
	buf_append_byte(out, '\n');
	script_trouble_event(
	        message->value, showing->job->config->script.path, where, command_colour(STDOUT_FILENO), out);
	mem_free(where);
}

static void show_text(struct showing *showing, const struct topicreader_message *message,
        const struct errorevent *event, bool read, const struct original *original)
{
	struct buf out;
	buf_init(&out, 0);
	if (showing->shown > 1)
		buf_append_byte(&out, '\n');
	say_head(&out, message, event);
	if (read)
		say_trouble(showing, message, event, &out);
	buf_append_byte(&out, '\n');
	if (read)
		jsontree_print(&showing->reader.tree, 0, 0, is_raw, "(below)", &out);
	else
		buf_append_text(&out, "It is no JSON object:");
	if (!read && message->value.data) {
		buf_append_byte(&out, '\n');
		text_json_string(&out, message->value.data, message->value.size);
	}
	buf_append_byte(&out, '\n');
	if (read)
		say_original(showing, original, &out);
	fwrite(out.data, 1, out.size, stdout);
	buf_free(&out);
}

static void show_json(const struct topicreader_message *message, const struct errorevent *event, bool read,
        const struct original *original)
{
	static const char *const found[] = {"verbatim", "read again", "partial", "null"};
	struct buf out;
	buf_init(&out, 0);
	buf_append_text(&out, "{\"error_event\":");
	char *place =
	        mem_printf("%s/%d/%lld", message->topic, (int)message->partition, (long long)message->offset);
	text_json_string(&out, place, strlen(place));
	mem_free(place);
	if (event->placed) {
		place = mem_printf("%.*s/%d/%lld", (int)event->origin.topic_size, event->origin.topic,
		        (int)event->origin.partition, (long long)event->origin.offset);
		buf_append_text(&out, ",\"source\":");
		text_json_string(&out, place, strlen(place));
		mem_free(place);
	}
	buf_append_text(&out, ",\"key\":");
	if (message->key.data)
		text_json_string(&out, message->key.data, message->key.size);
	else
		buf_append_text(&out, "null");
	buf_append_text(&out, ",\"event\":");
	if (read)
		buf_append(&out, message->value.data, message->value.size);
	else
		buf_append_text(&out, "null");
	buf_printf(&out, ",\"original_is\":\"%s\",\"original\":", found[original->found]);
	if (original->value)
		text_json_string(&out, original->value, original->size);
	else
		buf_append_text(&out, "null");
	buf_append_text(&out, "}\n");
	fwrite(out.data, 1, out.size, stdout);
	buf_free(&out);
}

static void show(struct showing *showing, const struct topicreader_message *message)
{
	struct errorevent event;
	struct original original = {.found = ORIGINAL_NULL};
	bool read = errorevent_read(
	        &showing->reader, message->value, message->headers, message->header_count, &event);
	showing->shown++;
	if (read)
		find_original(showing, &event, &original);
	if (showing->job->options->json)
		show_json(message, &event, read, &original);
	else
		show_text(showing, message, &event, read, &original);
	mem_free(original.value);
	mem_free(original.why);
}

/* ---- finding it ---- */

static void take_event(void *context, const struct topicreader_message *message)
{
	show(context, message);
}

/* A record that failed several times has several events. */
static void take_any(void *context, const struct topicreader_message *message)
{
	struct showing *showing = context;
	for (size_t i = 0; i < message->header_count; i++) {
		const struct output_header *header = &message->headers[i];
		struct origin origin;
		if (strcmp(header->name, "millrace-source") == 0 && header->value &&
		        origin_read(header->value, header->size, &origin) &&
		        origin_same(&origin, &showing->wanted)) {
			show(showing, message);
			return;
		}
	}
}

static int find(struct showing *showing, struct rd_kafka_s *client)
{
	struct err err;
	struct topicreader reader = {.client = client, .message = take_any, .context = showing};
	if (!showing->of_stream)
		return errors_read(showing->job, &reader);
	enum topicreader_found found = topicreader_fetch(client, showing->job->config->errors.topic,
	        showing->wanted.partition, showing->wanted.offset, FETCH_MS, take_event, showing, &err);
	return found == TOPICREADER_UNKNOWN ? errors_complain(false, &err) : EXIT_SUCCESS;
}

int errors_show(const struct errors_job *job)
{
	struct showing showing = {.job = job};
	const char *place = job->options->place, *stream = job->config->errors.topic;
	int code;
	origin_read_place(place, strlen(place), &showing.wanted);
	showing.of_stream = strlen(stream) == showing.wanted.topic_size &&
	                    memcmp(stream, showing.wanted.topic, showing.wanted.topic_size) == 0;
	struct rd_kafka_s *client = errors_open_stream(job, NULL, &code);
	if (client == NULL)
		return code;
	errorevent_reader_init(&showing.reader);
	jsontree_init(&showing.original);
	code = find(&showing, client);
	fflush(stdout);
	if (code == EXIT_SUCCESS && showing.shown == 0) {
		fprintf(stderr, "millrace errors: %s has no error event %s %s\n", stream,
		        showing.of_stream ? "at" : "of", place);
		code = EXIT_FAILURE;
	}
	errorevent_reader_free(&showing.reader);
	jsontree_free(&showing.original);
	if (showing.source)
		command_group_close(showing.source);
	command_group_close(client);
	return code;
}
