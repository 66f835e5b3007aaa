/* Whether a run of a test came out as the test expects, and what is different where it did not. */
#include "testjudge.h"
#include "jsondiff.h"
#include "jsontree.h"
#include "mem.h"
#include "readfile.h"
#include "script_trouble.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 300, SHOWN_DIFFERENCES = 20, DEPTH = 200, GOLDEN_MAX = 256 << 20 };

struct judging {
	const struct testcase *test;
	const struct testrun *run;
	struct testverdicts *verdicts;
};

static void add(struct judging *judging, unsigned line, struct buf *text)
{
	struct testverdicts *verdicts = judging->verdicts;
	size_t size;
	verdicts->faults = mem_realloc(verdicts->faults, (verdicts->count + 1) * sizeof *verdicts->faults);
	verdicts->faults[verdicts->count++] = (struct testfault){line, buf_steal(text, &size)};
}

__attribute__((format(printf, 3, 4))) static void fault(
        struct judging *judging, unsigned line, const char *format, ...)
{
	struct buf text = {0};
	va_list args;
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	add(judging, line, &text);
}

static void append_short(struct buf *out, const char *text, size_t size)
{
	size_t cut = size > SHOWN_BYTES ? text_utf8_valid(text, SHOWN_BYTES) : size;
	buf_append(out, text, cut);
	if (cut < size)
		buf_printf(out, "... (%zu bytes)", size);
}

/* ---- values ---- */

struct comparing {
	struct jsontree expected, found;
	struct buf *out;
	size_t told;
};

static void append_side(
        struct comparing *comparing, const struct jsontree *tree, int64_t index, char sign, const char *path)
{
	if (index < 0)
		return;
	struct bytes raw = jsontree_raw(tree, (uint32_t)index);
	buf_printf(comparing->out, "\n%c %s%s", sign, path, *path ? ": " : "");
	append_short(comparing->out, raw.data, raw.size);
}

static void on_difference(void *context, const struct jsondiff_difference *difference)
{
	struct comparing *comparing = context;
	if (comparing->told++ >= SHOWN_DIFFERENCES)
		return;
	append_side(comparing, &comparing->expected, difference->a, '-', difference->path);
	append_side(comparing, &comparing->found, difference->b, '+', difference->path);
}

/* True when they are equal; else lines are added to `out`. */
static bool same_values(
        const char *expected, size_t expected_size, const char *found, size_t found_size, struct buf *out)
{
	struct json_limits limits = {.depth = DEPTH};
	struct jsondiff_paths none = {0};
	struct comparing comparing = {.out = out};
	jsontree_init(&comparing.expected);
	jsontree_init(&comparing.found);
	bool readable = jsontree_parse(&comparing.expected, expected, expected_size, &limits, NULL) &&
	                jsontree_parse(&comparing.found, found, found_size, &limits, NULL);
	if (readable)
		jsondiff_each(&comparing.expected, &comparing.found, &none, on_difference, &comparing);
	bool same = readable ? comparing.told == 0
	                     : expected_size == found_size && memcmp(expected, found, found_size) == 0;
	if (!readable && !same) {
		buf_append_text(out, "\n- ");
		append_short(out, expected, expected_size);
		buf_append_text(out, "\n+ ");
		append_short(out, found, found_size);
	}
	if (comparing.told > SHOWN_DIFFERENCES)
		buf_printf(out, "\n  (and %zu more differences)", comparing.told - SHOWN_DIFFERENCES);
	jsontree_free(&comparing.expected);
	jsontree_free(&comparing.found);
	return same;
}

/* The value at a path of names in JSON text; size 0 = there is none. */
static struct bytes value_at(struct jsontree *tree, const char *path)
{
	struct jsondiff_paths paths = {0};
	int64_t at = jsondiff_paths_parse(&paths, path) && paths.count == 1
	                     ? jsondiff_find(tree, &paths.items[0])
	                     : -1;
	jsondiff_paths_free(&paths);
	return at < 0 ? (struct bytes){0} : jsontree_raw(tree, (uint32_t)at);
}

static void append_found(const char *text, size_t size, const char *path, struct buf *out)
{
	struct json_limits limits = {.depth = DEPTH};
	struct jsontree tree;
	jsontree_init(&tree);
	struct bytes raw = {0};
	if (jsontree_parse(&tree, text, size, &limits, NULL))
		raw = *path ? value_at(&tree, path) : jsontree_raw(&tree, 0);
	if (raw.size)
		append_short(out, raw.data, raw.size);
	else
		buf_append_text(out, "(nothing)");
	jsontree_free(&tree);
}

static void must_contain(struct judging *judging, const struct testvalue *contains, const char *text,
        size_t size, const char *what)
{
	struct buf where = {0}, out = {0};
	if (contains->text && !testrun_contains(contains->text, contains->size, text, size, &where)) {
		const char *path = where.data ? where.data : "";
		buf_printf(&out, "%s does not have what it should at %s\n- %s: ", what,
		        *path ? path : "the top", path);
		append_found(contains->text, contains->size, path, &out);
		buf_printf(&out, "\n+ %s: ", path);
		append_found(text, size, path, &out);
		add(judging, contains->line, &out);
	}
	buf_free(&where);
}

static void must_lack(struct judging *judging, const struct testvalue *without, const char *text, size_t size)
{
	struct json_limits limits = {.depth = DEPTH};
	struct jsontree paths, tree;
	struct buf name = {0};
	if (without->text == NULL)
		return;
	jsontree_init(&paths);
	jsontree_init(&tree);
	jsontree_parse(&paths, without->text, without->size, NULL, NULL);
	bool readable = jsontree_parse(&tree, text, size, &limits, NULL);
	if (!readable)
		fault(judging, without->line, "the output cannot be looked into: it is nested too deep");
	for (uint32_t i = 0, at = 1; readable && i < paths.nodes[0].count; i++, at = paths.nodes[at].next) {
		struct bytes path = jsontree_string(&paths, at, &name);
		char *copy = mem_dup(path.data, path.size);
		struct bytes raw = value_at(&tree, copy);
		if (raw.size)
			fault(judging, without->line, "the output has %s, which it should not\n+ %s: %.*s",
			        copy, copy, (int)(raw.size > SHOWN_BYTES ? SHOWN_BYTES : raw.size), raw.data);
		mem_free(copy);
	}
	jsontree_free(&paths);
	jsontree_free(&tree);
	buf_free(&name);
}

/* ---- outputs ---- */

static void judge_key(
        struct judging *judging, const struct testvalue *key, const struct testrun_output *output)
{
	struct buf out = {0}, text = {0};
	if (key->text == NULL)
		return;
	buf_printf(&out, "the output's key is another one");
	if (key->text[0] == '"' && output->key)
		text_json_string(&text, output->key, output->key_size);
	else
		buf_append(&text, output->key ? output->key : "null", output->key ? output->key_size : 4);
	if (same_values(key->text, key->size, text.data ? text.data : "", text.size, &out))
		buf_free(&out);
	else
		add(judging, key->line, &out);
	buf_free(&text);
}

static void judge_headers(
        struct judging *judging, const struct testvalue *headers, const struct testrun_output *output)
{
	struct buf text = {0};
	if (headers->text == NULL)
		return;
	buf_append_byte(&text, '{');
	for (size_t i = 0; i < output->header_count; i++) {
		const struct output_header *header = &output->headers[i];
		buf_append_text(&text, i ? "," : "");
		text_json_string(&text, header->name, strlen(header->name));
		buf_append_byte(&text, ':');
		if (header->value)
			text_json_string(&text, header->value, header->size);
		else
			buf_append_text(&text, "null");
	}
	buf_append_byte(&text, '}');
	must_contain(judging, headers, text.data, text.size, "the output's headers");
	buf_free(&text);
}

static void judge_schema(
        struct judging *judging, const struct testvalue *schema, const struct testrun_output *output)
{
	struct json_limits limits = {.depth = DEPTH};
	struct jsontree tree;
	struct buf out = {0};
	if (schema->text == NULL)
		return;
	if (!output->checked) {
		fault(judging, schema->line,
		        "nobody holds what goes to %s against a schema: only outputs to a sink with a stream "
		        "are, "
		        "where schemas.output is enforce",
		        output->to);
		return;
	}
	jsontree_init(&tree);
	struct bytes raw = {0};
	if (output->value && jsontree_parse(&tree, output->value, output->value_size, &limits, NULL))
		raw = value_at(&tree, "$schema");
	buf_append_text(&out, "the output is of another schema");
	if (schema->text[0] != '"' || same_values(schema->text, schema->size, raw.size ? raw.data : "null",
	                                      raw.size ? raw.size : 4, &out))
		buf_free(&out);
	else
		add(judging, schema->line, &out);
	jsontree_free(&tree);
}

static void judge_output(
        struct judging *judging, const struct testoutput *expected, const struct testrun_output *output)
{
	struct buf out = {0};
	const char *value = output->value ? output->value : "null";
	size_t size = output->value ? output->value_size : 4;
	if (expected->value.text) {
		buf_append_text(&out, "the output is another one");
		if (same_values(expected->value.text, expected->value.size, value, size, &out))
			buf_free(&out);
		else
			add(judging, expected->value.line, &out);
	}
	must_contain(judging, &expected->contains, value, size, "the output");
	must_lack(judging, &expected->without, value, size);
	judge_key(judging, &expected->key, output);
	judge_headers(judging, &expected->headers, output);
	judge_schema(judging, &expected->schema, output);
	const char *to = expected->to.text;
	if (to && strcmp(to, output->to) != 0)
		fault(judging, expected->to.line, "the output goes to another sink\n- %s\n+ %s", to,
		        output->to);
}

static void judge_outputs(
        struct judging *judging, const struct testexpect *expect, const struct testrun_event *event)
{
	size_t count = expect->output_count;
	if (expect->counted && count != event->output_count)
		fault(judging, expect->verdict_line, "expected %zu outputs, got %zu", count,
		        event->output_count);
	else if (!expect->counted && count > 0 && event->output_count != 1)
		fault(judging, expect->verdict_line,
		        "expected one output, got %zu: give them under `outputs`", event->output_count);
	else
		for (size_t i = 0; i < count; i++)
			judge_output(judging, &expect->outputs[i], &event->outputs[i]);
}

/* ---- how it ended ---- */

static const char *const verdict_names[] = {
        [TEST_ANY] = "any end but a failure",
        [TEST_OUTPUT] = "an output",
        [TEST_PASSED] = "passed",
        [TEST_DROPPED] = "dropped",
        [TEST_FAILED] = "failed",
};

static const enum testverdict verdict_of[] = {
        [OUTCOME_ENRICHED] = TEST_OUTPUT,
        [OUTCOME_PASSED] = TEST_PASSED,
        [OUTCOME_DROPPED] = TEST_DROPPED,
        [OUTCOME_FAILED] = TEST_FAILED,
};

/* What is the script's own fault is told with its line and the event. */
static void append_failure(struct buf *out, const struct testrun *run, size_t n)
{
	const struct testrun_event *event = &run->events[n];
	const struct testvalue *given = n < run->test->event_count ? &run->test->events[n] : NULL;
	struct script_trouble trouble = {.type = event->reason,
	        .message = event->message ? event->message : "",
	        .stack = event->stack,
	        .script = run->script,
	        .event = {given ? given->text : NULL, given ? given->size : 0}};
	buf_printf(out, "failed, %s", event->reason);
	if (run->script && strncmp(event->reason, "Script", 6) == 0) {
		buf_append_byte(out, '\n');
		script_trouble_text(&trouble, false, out);
		while (out->size && out->data[out->size - 1] == '\n')
			out->data[--out->size] = '\0';
	} else {
		buf_printf(out, ": %s", trouble.message);
	}
}

static void append_end(struct buf *out, const struct testrun *run, size_t n)
{
	const struct testrun_event *event = &run->events[n];
	switch (event->outcome) {
	case OUTCOME_ENRICHED:
		buf_append_text(out, "an output:");
		for (size_t i = 0; i < event->output_count; i++) {
			buf_append_text(out, "\n+ ");
			append_short(out, event->outputs[i].value ? event->outputs[i].value : "null",
			        event->outputs[i].value ? event->outputs[i].value_size : 4);
		}
		break;
	case OUTCOME_PASSED: buf_append_text(out, "passed"); break;
	case OUTCOME_DROPPED: buf_printf(out, "dropped, %s", event->reason); break;
	default: append_failure(out, run, n);
	}
}

static bool judge_end(struct judging *judging, const struct testexpect *expect, size_t n)
{
	const struct testrun_event *event = &judging->run->events[n];
	unsigned line = expect->verdict_line ? expect->verdict_line : expect->line;
	struct buf out = {0};
	char place[32] = "";
	if (judging->run->count > 1)
		snprintf(place, sizeof place, "event %zu: ", n + 1);
	if (!event->ended) {
		fault(judging, line, "%sit came to no end", place);
		return false;
	}
	enum testverdict got = verdict_of[event->outcome];
	bool fits = expect->verdict == TEST_ANY ? got != TEST_FAILED : expect->verdict == got;
	if (!fits) {
		buf_printf(&out, "%sexpected %s", place, verdict_names[expect->verdict]);
		if (expect->type)
			buf_printf(&out, " %s", expect->type);
		buf_append_text(&out, ", got ");
		append_end(&out, judging->run, n);
		add(judging, line, &out);
		return false;
	}
	if (expect->type && strcmp(expect->type, event->reason) != 0)
		fault(judging, line, "%sanother %s\n- %s\n+ %s: %s", place,
		        got == TEST_DROPPED ? "reason" : "failure", expect->type, event->reason,
		        event->message ? event->message : "");
	if (expect->message && (event->message == NULL || strstr(event->message, expect->message) == NULL))
		fault(judging, line, "%sthe message says something else\n- %s\n+ %s", place, expect->message,
		        event->message ? event->message : "");
	return true;
}

/* ---- questions ---- */

/* The n-th element of a JSON list. */
static struct bytes element(const struct jsontree *tree, uint32_t n)
{
	uint32_t at = 1;
	while (n-- > 0)
		at = tree->nodes[at].next;
	return jsontree_raw(tree, at);
}

static void judge_requests(struct judging *judging, const struct testexpect *expect, const struct buf *asked)
{
	struct json_limits limits = {.depth = DEPTH};
	struct jsontree expected, found;
	struct buf text = {0};
	if (expect->requests.text == NULL)
		return;
	jsontree_init(&expected);
	jsontree_init(&found);
	buf_printf(&text, "[%s]", asked->data ? asked->data : "");
	if (jsontree_parse(&expected, expect->requests.text, expect->requests.size, &limits, NULL) &&
	        jsontree_parse(&found, text.data, text.size, &limits, NULL)) {
		uint32_t wanted = expected.nodes[0].count, count = found.nodes[0].count;
		if (wanted != count)
			fault(judging, expect->requests.line, "expected %u requests, got %u: %.*s", wanted,
			        count, (int)(text.size > SHOWN_BYTES ? SHOWN_BYTES : text.size), text.data);
		for (uint32_t i = 0; wanted == count && i < count; i++) {
			struct bytes one = element(&expected, i), other = element(&found, i);
			struct testvalue given = {mem_dup(one.data, one.size), one.size, 0};
			struct testvalue value = {testrun_question(&given), 0, expect->requests.line};
			value.size = strlen(value.text);
			mem_free(given.text);
			char what[40];
			snprintf(what, sizeof what, "request %u", i + 1);
			must_contain(judging, &value, other.data, other.size, what);
			mem_free(value.text);
		}
	} else {
		fault(judging, expect->requests.line,
		        "the requests cannot be compared: they are nested too deep");
	}
	jsontree_free(&expected);
	jsontree_free(&found);
	buf_free(&text);
}

static void judge_questions(struct judging *judging, const struct testexpect *expect, size_t from, size_t to)
{
	struct buf asked = {0};
	long calls = 0;
	for (size_t i = from; i < to; i++) {
		const struct testrun_event *event = &judging->run->events[i];
		calls += event->calls;
		if (event->requests.size)
			buf_printf(&asked, "%s%s", asked.size ? "," : "", event->requests.data);
	}
	if (expect->calls >= 0 && calls != expect->calls)
		fault(judging, expect->calls_line, "expected %ld calls, got %ld", expect->calls, calls);
	judge_requests(judging, expect, &asked);
	buf_free(&asked);
}

/* ---- golden files ---- */

static void append_outputs(struct buf *out, const struct testrun *run, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		for (size_t n = 0; n < run->events[i].output_count; n++) {
			const struct testrun_output *output = &run->events[i].outputs[n];
			buf_append(out, output->value ? output->value : "null",
			        output->value ? output->value_size : 4);
			buf_append_byte(out, '\n');
		}
}

static void write_golden(struct judging *judging, const struct testexpect *expect, const struct buf *text)
{
	FILE *open = fopen(expect->golden, "we");
	bool good = open && fwrite(text->data ? text->data : "", 1, text->size, open) == text->size;
	if (open && fclose(open) != 0)
		good = false;
	if (!good)
		fault(judging, expect->golden_line, "%s cannot be written: %s", expect->golden,
		        strerror(errno));
	judging->verdicts->accepted |= good;
}

static size_t line_size(const struct buf *text, size_t at)
{
	const char *stop = memchr(text->data + at, '\n', text->size - at);
	return stop ? (size_t)(stop - (text->data + at)) : text->size - at;
}

static void compare_golden(struct judging *judging, const struct testexpect *expect, const struct buf *golden,
        const struct buf *found)
{
	size_t a = 0, b = 0, line = 1;
	for (; a < golden->size && b < found->size; line++) {
		struct buf out = {0};
		size_t expected = line_size(golden, a), got = line_size(found, b);
		buf_printf(&out, "output %zu is not that of %s (millrace test -u accepts it)", line,
		        expect->golden);
		if (same_values(golden->data + a, expected, found->data + b, got, &out))
			buf_free(&out);
		else
			add(judging, expect->golden_line, &out);
		a += expected + 1;
		b += got + 1;
	}
	if (a < golden->size)
		fault(judging, expect->golden_line, "%s has more outputs than the %zu that came",
		        expect->golden, line - 1);
	if (b < found->size)
		fault(judging, expect->golden_line, "more outputs came than the %zu of %s", line - 1,
		        expect->golden);
}

static void judge_golden(
        struct judging *judging, const struct testexpect *expect, size_t from, size_t to, enum testgolden how)
{
	struct buf golden = {0}, found = {0};
	if (expect->golden == NULL)
		return;
	append_outputs(&found, judging->run, from, to);
	golden.limit = GOLDEN_MAX;
	bool there = readfile(expect->golden, &golden);
	int why = errno;
	size_t before = judging->verdicts->count;
	if (there)
		compare_golden(judging, expect, &golden, &found);
	else if (why != ENOENT)
		fault(judging, expect->golden_line, "%s cannot be read: %s", expect->golden, strerror(why));
	else if (how == GOLDEN_COMPARE)
		fault(judging, expect->golden_line, "there is no %s: millrace test -u writes it",
		        expect->golden);
	if (how == GOLDEN_ACCEPT && (!there || judging->verdicts->count > before)) {
		while (judging->verdicts->count > before)
			mem_free(judging->verdicts->faults[--judging->verdicts->count].text);
		write_golden(judging, expect, &found);
	}
	buf_free(&golden);
	buf_free(&found);
}

/* ---- a whole run ---- */

static void judge_problems(struct judging *judging)
{
	const struct buf *problems = &judging->run->problems;
	for (size_t at = 0; at < problems->size;) {
		size_t size = line_size(problems, at);
		fault(judging, judging->test->line, "%.*s", (int)size, problems->data + at);
		at += size + 1;
	}
}

static void judge_answers(struct judging *judging)
{
	for (size_t i = 0; i < judging->test->answer_count; i++) {
		const struct testanswer *answer = &judging->test->answers[i];
		if (answer->used == 0 && !answer->optional)
			fault(judging, answer->line,
			        "nobody asked for this answer (optional: true allows that)");
	}
}

void testjudge(const struct testcase *test, const struct testrun *run, enum testgolden golden,
        struct testverdicts *verdicts)
{
	*verdicts = (struct testverdicts){0};
	struct judging judging = {test, run, verdicts};
	judge_problems(&judging);
	if (run->broken)
		return;
	for (size_t i = 0; i < run->count; i++) {
		const struct testexpect *expect = &test->expects[test->expect_count == 1 ? 0 : i];
		bool ended = judge_end(&judging, expect, i);
		if (ended)
			judge_outputs(&judging, expect, &run->events[i]);
		if (test->expect_count > 1) {
			judge_questions(&judging, expect, i, i + 1);
			judge_golden(&judging, expect, i, i + 1, golden);
		}
	}
	if (test->expect_count == 1) {
		judge_questions(&judging, &test->expects[0], 0, run->count);
		judge_golden(&judging, &test->expects[0], 0, run->count, golden);
	}
	judge_answers(&judging);
}

void testjudge_free(struct testverdicts *verdicts)
{
	for (size_t i = 0; i < verdicts->count; i++)
		mem_free(verdicts->faults[i].text);
	mem_free(verdicts->faults);
	*verdicts = (struct testverdicts){0};
}
