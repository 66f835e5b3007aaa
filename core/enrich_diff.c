/* Two scripts over the same events: what differs in what they make of each. */
#include "enrich.h"
#include "enrich_answers.h"
#include "enrich_say.h"
#include "enrich_tape.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIFFERENCES_SHOWN = 50, INDENT = 4 };

/* How one event ended. */
struct ending {
	bool ended;
	enum outcome outcome;
	char *reason, *message;
	struct output *outputs; /* copies; of what failed none */
	size_t output_count;
};

struct comparing {
	const struct enrich *enrich;
	const struct config *config;
	struct enrich_answers *answers; /* NULL = a cassette answers */
	struct observe keeper;          /* of the first run */
	struct ending *endings;         /* by offset */
	size_t room;
	const char *other_path;
	bool colour;
	uint64_t same, differ, only_first_failed, only_second_failed, both_failed;
};

/* ---- the first run: kept ---- */

static struct ending *ending_of(struct comparing *comparing, const struct record *record)
{
	size_t at = (size_t)record->input.offset, room = comparing->room;
	if (at >= room) {
		comparing->room = at < 512 ? 1024 : at * 2;
		comparing->endings =
		        mem_realloc(comparing->endings, comparing->room * sizeof *comparing->endings);
		memset(comparing->endings + room, 0, (comparing->room - room) * sizeof *comparing->endings);
	}
	return &comparing->endings[at];
}

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

static void take_ending(struct ending *ending, const struct record *record)
{
	*ending = (struct ending){.ended = true,
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

static void forget_ending(struct ending *ending)
{
	for (size_t i = 0; i < ending->output_count; i++)
		output_free(&ending->outputs[i]);
	mem_free(ending->outputs);
	mem_free(ending->reason);
	mem_free(ending->message);
	*ending = (struct ending){.ended = false};
}

static void on_first_came(void *context, const struct call *call)
{
	const struct comparing *comparing = context;
	if (comparing->answers)
		comparing->keeper.came(comparing->keeper.context, call);
}

static void on_first_ended(void *context, struct record *record)
{
	take_ending(ending_of(context, record), record);
}

/* ---- the second run: compared ---- */

/* The differences of one event, as text; empty = none. */
struct finding {
	const struct comparing *comparing;
	struct jsontree a, b;
	struct buf text;
	size_t count;
};

static void say_line(struct finding *finding, const char *sign, const char *colour)
{
	buf_printf(&finding->text, "\n%*s", INDENT, "");
	enrich_paint(&finding->text, finding->comparing->colour, colour);
	buf_printf(&finding->text, "%s ", sign);
	finding->count++;
}

static void end_line(struct finding *finding)
{
	enrich_paint(&finding->text, finding->comparing->colour, NULL);
}

static void say_ending(
        struct finding *finding, const struct ending *ending, const char *sign, const char *colour)
{
	say_line(finding, sign, colour);
	buf_append_text(&finding->text, outcome_name(ending->outcome));
	if (ending->reason)
		buf_printf(&finding->text, " %s", ending->reason);
	if (ending->message) {
		buf_append_text(&finding->text, ": ");
		enrich_say_clean(&finding->text, ending->message, strlen(ending->message));
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
static void compare_endings(struct finding *finding, const struct ending *a, const struct ending *b)
{
	if (a->outcome == b->outcome && same_text(a->reason, b->reason))
		return;
	say_ending(finding, a, "-", "31");
	say_ending(finding, b, "+", "32");
}

static const char *name_of(const struct finding *finding, const struct output *output)
{
	const struct sink_config *sink = &finding->comparing->config->sinks[output->sink];
	return sink->stream ? sink->stream : sink->topic;
}

static void say_difference(void *context, const struct jsondiff_difference *difference)
{
	struct finding *finding = context;
	if (++finding->count <= DIFFERENCES_SHOWN)
		enrich_say_difference(&finding->text, INDENT, finding->comparing->colour, &finding->a,
		        &finding->b, difference);
}

/* Of a sink with a stream the engine stamps the time of the run. */
static void compare_values(struct finding *finding, const struct output *a, const struct output *b)
{
	struct jsondiff_paths ignored;
	bool stamped = finding->comparing->config->sinks[a->sink].stream != NULL;
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
		buf_printf(&finding->text, "\n%*s... and %zu more", INDENT, "",
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
	buf_append_text(&finding->text, "key ");
	enrich_say_clean(&finding->text, a->key ? a->key : "(none)", a->key ? a->key_size : 6);
	buf_append_text(&finding->text, " -> ");
	enrich_say_clean(&finding->text, b->key ? b->key : "(none)", b->key ? b->key_size : 6);
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
	buf_append_text(&finding->text, "header ");
	enrich_say_clean(&finding->text, name, strlen(name));
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
	buf_printf(&finding->text, "output -> %s  ", name_of(finding, output));
	enrich_say_bytes(&finding->text, output->value_size);
	end_line(finding);
}

static void compare_outputs(struct finding *finding, const struct ending *a, const struct ending *b)
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
				buf_append_text(&finding->text, "timestamp");
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

static void count_failures(struct comparing *comparing, const struct ending *a, const struct ending *b)
{
	bool first = a->outcome == OUTCOME_FAILED, second = b->outcome == OUTCOME_FAILED;
	comparing->both_failed += first && second;
	comparing->only_first_failed += first && !second;
	comparing->only_second_failed += second && !first;
}

static void tell_finding(
        const struct comparing *comparing, const struct record *record, const struct finding *finding)
{
	struct buf heading;
	buf_init(&heading, 0);
	if (comparing->differ == 0)
		printf("--- %s\n+++ %s\n", comparing->config->script.path, comparing->other_path);
	enrich_paint(&heading, comparing->colour, "1");
	enrich_say_event(&heading, enrich_events_name(comparing->enrich), record);
	enrich_paint(&heading, comparing->colour, NULL);
	printf("%s%s\n", heading.data, finding->text.data);
	fflush(stdout);
	buf_free(&heading);
}

static void on_second_ended(void *context, struct record *record)
{
	struct comparing *comparing = context;
	struct ending *first = ending_of(comparing, record), second;
	struct finding finding = {.comparing = comparing};
	if (!first->ended) /* it came only now: somebody writes to the file */
		return;
	buf_init(&finding.text, 0);
	take_ending(&second, record);
	compare_endings(&finding, first, &second);
	compare_outputs(&finding, first, &second);
	count_failures(comparing, first, &second);
	if (finding.count > 0)
		tell_finding(comparing, record, &finding);
	comparing->differ += finding.count > 0;
	comparing->same += finding.count == 0;
	buf_free(&finding.text);
	forget_ending(&second);
	forget_ending(first);
}

/* ---- both ---- */

static void summary(const struct comparing *comparing)
{
	uint64_t events = comparing->same + comparing->differ;
	fprintf(stderr,
	        "%llu event%s: %llu same, %llu differ; failed with both: %llu, with %s only: %llu, with "
	        "%s only: %llu\n",
	        (unsigned long long)events, events == 1 ? "" : "s", (unsigned long long)comparing->same,
	        (unsigned long long)comparing->differ, (unsigned long long)comparing->both_failed,
	        "the first", (unsigned long long)comparing->only_first_failed, "the second",
	        (unsigned long long)comparing->only_second_failed);
	uint64_t asked = comparing->answers ? enrich_answers_new(comparing->answers) : 0;
	if (asked)
		fprintf(stderr, "%llu call%s asked for the second script alone\n", (unsigned long long)asked,
		        asked == 1 ? " was" : "s were");
}

/* One of the two runs; false when there is nothing to compare: *code says why. */
static bool run_one(const struct enrich *enrich, const struct config *config, const struct observe *observe,
        const struct http_player *player, int *code)
{
	struct enrich_run run = {.enrich = enrich,
	        .config = config,
	        .observe = observe,
	        .player = player,
	        .silent = true,
	        .out = enrich_create_file(NULL),
	        .errors = enrich_create_file(NULL)};
	*code = EXIT_FAILURE;
	run.in = enrich_open_events(enrich);
	if (run.in >= 0 && run.out >= 0 && run.errors >= 0)
		*code = enrich_run(&run);
	if (run.out >= 0)
		close(run.out);
	if (run.errors >= 0)
		close(run.errors);
	enrich_close_events(run.in);
	if (*code == EXIT_SUCCESS && !run.finished) {
		fputs("millrace enrich: stopped before the end; nothing can be said of the rest\n", stderr);
		*code = EXIT_FAILURE;
	}
	return *code == EXIT_SUCCESS;
}

static int compare(struct comparing *comparing, const struct config *other, struct enrich_tape *tape)
{
	int code;
	const struct enrich *enrich = comparing->enrich;
	const struct http_player *player = enrich_tape_player(tape);
	struct observe first = {.context = comparing, .came = on_first_came, .ended = on_first_ended};
	struct observe second = {.context = comparing, .ended = on_second_ended};
	if (!run_one(enrich, comparing->config, &first, player, &code))
		return code;
	enrich_tape_rewind(tape);
	if (player == NULL)
		player = enrich_answers_player(comparing->answers);
	comparing->other_path = other->script.path;
	if (!run_one(enrich, other, &second, player, &code))
		return code;
	if (!enrich->quiet)
		summary(comparing);
	return comparing->differ ? EXIT_FAILURE : EXIT_SUCCESS;
}

int enrich_diff(const struct enrich *enrich)
{
	int code = EXIT_CONFIG;
	struct enrich_tape tape;
	struct comparing comparing = {.enrich = enrich, .colour = command_colour(STDOUT_FILENO)};
	struct config *first = NULL, *second = NULL;
	if (!enrich_tape_open(&tape, enrich))
		return EXIT_FAILURE;
	if (enrich_script_is_there(enrich->script) && enrich_script_is_there(enrich->other) &&
	        (first = enrich_configure(enrich, enrich->script, &tape)) &&
	        (second = enrich_configure(enrich, enrich->other, &tape))) {
		comparing.config = first;
		if (tape.cassette == NULL) {
			comparing.answers = enrich_answers_open();
			enrich_answers_observe(comparing.answers, &comparing.keeper);
		}
		code = compare(&comparing, second, &tape);
	}
	for (size_t i = 0; i < comparing.room; i++)
		forget_ending(&comparing.endings[i]);
	mem_free(comparing.endings);
	if (comparing.answers)
		enrich_answers_close(comparing.answers);
	if (second)
		config_free(second);
	if (first)
		config_free(first);
	enrich_tape_close(&tape);
	return code;
}
