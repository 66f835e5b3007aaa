/* How an event ended in one run and in another, and in what the two differ. */
#include "enrich_compare.h"
#include "enrich_say.h"
#include "mem.h"

#include <string.h>

enum { DIFFERENCES_SHOWN = 50, INDENT = 4 };

/* The time that a file's events have is that of their reading: no script made it. */
static void copy_output(struct output *to, const struct output *from, const struct record *record)
{
	*to = (struct output){.sink = from->sink,
	        .value = from->value ? mem_dup(from->value, from->value_size) : NULL,
	        .value_size = from->value_size,
	        .key = from->key ? mem_dup(from->key, from->key_size) : NULL,
	        .key_size = from->key_size,
	        .timestamp = from->timestamp == record->input.timestamp ? 0 : from->timestamp,
	        .headers = output_headers_copy(from->headers, from->header_count),
	        .header_count = from->header_count};
}

void enrich_ending_take(struct enrich_ending *ending, const struct record *record)
{
	*ending = (struct enrich_ending){.ended = true,
	        .outcome = record->outcome,
	        .reason = mem_strdup(record->reason),
	        .message = mem_strdup(record->message)};
	if (record->outcome == OUTCOME_FAILED)
		return;
	ending->outputs = mem_zalloc(record->output_count, sizeof *ending->outputs);
	for (; ending->output_count < record->output_count; ending->output_count++)
		copy_output(&ending->outputs[ending->output_count], &record->outputs[ending->output_count],
		        record);
}

void enrich_ending_free(struct enrich_ending *ending)
{
	for (size_t i = 0; i < ending->output_count; i++)
		output_free(&ending->outputs[i]);
	mem_free(ending->outputs);
	mem_free(ending->reason);
	mem_free(ending->message);
	*ending = (struct enrich_ending){.ended = false};
}

/* The differences of one event. */
struct finding {
	const struct config *config;
	bool colour;
	struct jsontree a, b;
	struct buf *text;
	size_t count;
};

static void say_line(struct finding *finding, const char *sign, const char *colour)
{
	buf_printf(finding->text, "\n%*s", INDENT, "");
	enrich_paint(finding->text, finding->colour, colour);
	buf_printf(finding->text, "%s ", sign);
	finding->count++;
}

static void end_line(struct finding *finding)
{
	enrich_paint(finding->text, finding->colour, NULL);
}

static void say_ending(
        struct finding *finding, const struct enrich_ending *ending, const char *sign, const char *colour)
{
	say_line(finding, sign, colour);
	buf_append_text(finding->text, outcome_name(ending->outcome));
	if (ending->reason)
		buf_printf(finding->text, " %s", ending->reason);
	if (ending->message) {
		buf_append_text(finding->text, ": ");
		enrich_say_clean(finding->text, ending->message, strlen(ending->message));
	}
	end_line(finding);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
	return (a == NULL) == (b == NULL) && a_size == b_size && (a == NULL || memcmp(a, b, a_size) == 0);
}

/* A message names the script that failed, so only the reason tells failures apart. */
static void compare_endings(
        struct finding *finding, const struct enrich_ending *a, const struct enrich_ending *b)
{
	if (a->outcome == b->outcome && same_text(a->reason, b->reason))
		return;
	say_ending(finding, a, "-", "31");
	say_ending(finding, b, "+", "32");
}

static const char *name_of(const struct finding *finding, const struct output *output)
{
	const struct sink_config *sink = &finding->config->sinks[output->sink];
	return sink->stream ? sink->stream : sink->topic;
}

static void say_difference(void *context, const struct jsondiff_difference *difference)
{
	struct finding *finding = context;
	if (++finding->count <= DIFFERENCES_SHOWN)
		enrich_say_difference(
		        finding->text, INDENT, finding->colour, &finding->a, &finding->b, difference);
}

/* Of a sink with a stream the engine stamps the time of the run. */
static void compare_values(struct finding *finding, const struct output *a, const struct output *b)
{
	struct jsondiff_paths ignored;
	bool stamped = finding->config->sinks[a->sink].stream != NULL;
	size_t before = finding->count;
	if (same_bytes(a->value, a->value_size, b->value, b->value_size))
		return;
	jsontree_init(&finding->a);
	jsontree_init(&finding->b);
	jsondiff_paths_parse(&ignored, stamped ? "meta.dt" : "");
	if (jsontree_parse(
	            &finding->a, a->value ? a->value : "null", a->value ? a->value_size : 4, NULL, NULL) &&
	        jsontree_parse(
	                &finding->b, b->value ? b->value : "null", b->value ? b->value_size : 4, NULL, NULL))
		jsondiff_each(&finding->a, &finding->b, &ignored, say_difference, finding);
	if (finding->count > DIFFERENCES_SHOWN && before <= DIFFERENCES_SHOWN)
		buf_printf(finding->text, "\n%*s... and %zu more", INDENT, "",
		        finding->count - DIFFERENCES_SHOWN);
	jsondiff_paths_free(&ignored);
	jsontree_free(&finding->a);
	jsontree_free(&finding->b);
}

static void compare_keys(struct finding *finding, const struct output *a, const struct output *b)
{
	if (same_bytes(a->key, a->key_size, b->key, b->key_size))
		return;
	say_line(finding, "~", "33");
	buf_append_text(finding->text, "key ");
	enrich_say_clean(finding->text, a->key ? a->key : "(none)", a->key ? a->key_size : 6);
	buf_append_text(finding->text, " -> ");
	enrich_say_clean(finding->text, b->key ? b->key : "(none)", b->key ? b->key_size : 6);
	end_line(finding);
}

static const struct output_header *header_called(const struct output *output, const char *name)
{
	for (size_t i = 0; i < output->header_count; i++)
		if (strcmp(output->headers[i].name, name) == 0)
			return &output->headers[i];
	return NULL;
}

static void say_header(struct finding *finding, const char *sign, const char *colour, const char *name)
{
	say_line(finding, sign, colour);
	buf_append_text(finding->text, "header ");
	enrich_say_clean(finding->text, name, strlen(name));
	end_line(finding);
}

static void compare_headers(struct finding *finding, const struct output *a, const struct output *b)
{
	for (size_t i = 0; i < a->header_count; i++) {
		const struct output_header *one = &a->headers[i], *other = header_called(b, one->name);
		if (other == NULL)
			say_header(finding, "-", "31", one->name);
		else if (!same_bytes(one->value, one->size, other->value, other->size))
			say_header(finding, "~", "33", one->name);
	}
	for (size_t i = 0; i < b->header_count; i++)
		if (header_called(a, b->headers[i].name) == NULL)
			say_header(finding, "+", "32", b->headers[i].name);
}

static void say_lone_output(
        struct finding *finding, const struct output *output, const char *sign, const char *colour)
{
	say_line(finding, sign, colour);
	buf_printf(finding->text, "output -> %s  ", name_of(finding, output));
	enrich_say_bytes(finding->text, output->value_size);
	end_line(finding);
}

static void compare_outputs(
        struct finding *finding, const struct enrich_ending *a, const struct enrich_ending *b)
{
	size_t most = a->output_count > b->output_count ? a->output_count : b->output_count;
	for (size_t i = 0; i < most; i++) {
		const struct output *one = i < a->output_count ? &a->outputs[i] : NULL,
		                    *other = i < b->output_count ? &b->outputs[i] : NULL;
		if (one && other && one->sink == other->sink) {
			compare_values(finding, one, other);
			compare_keys(finding, one, other);
			compare_headers(finding, one, other);
			if (one->timestamp != other->timestamp) {
				say_line(finding, "~", "33");
				buf_append_text(finding->text, "timestamp");
				end_line(finding);
			}
			continue;
		}
		if (one)
			say_lone_output(finding, one, "-", "31");
		if (other)
			say_lone_output(finding, other, "+", "32");
	}
}

size_t enrich_compare(const struct config *config, bool colour, const struct enrich_ending *a,
        const struct enrich_ending *b, struct buf *out)
{
	struct finding finding = {.config = config, .colour = colour, .text = out};
	compare_endings(&finding, a, b);
	compare_outputs(&finding, a, b);
	return finding.count;
}
