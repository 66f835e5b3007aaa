/* Tests of a script as data: `x_test.yaml` beside `x.lua`, read and checked. */
#include "testfile.h"
#include "clock.h"
#include "jsondiff.h"
#include "jsontree.h"
#include "mem.h"
#include "readfile.h"
#include "testfile_config.h"
#include "text.h"
#include "yaml_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 256 << 20 };

/* Where reading is. */
struct reading {
	struct testfile *file;
	struct diagnostics *found;
	char *folder;
	struct yaml_node *base; /* the configuration that the file names; NULL = none */
	const char *base_name;
	struct yaml_place base_place;
	const struct yaml_node *base_params, *params; /* of the configuration, of the file */
	bool schemas;                                 /* outputs are held against schemas */
	struct testanswer *shared;
	size_t shared_count;
	int64_t clock;
	struct testvalue event; /* of tests that give none */
};

typedef void member_read(struct reading *reading, const struct yaml_node *node, void *into);

struct member {
	const char *name;
	member_read *read;
};

/* ---- what is wrong ---- */

static void complain(
        struct reading *reading, const struct yaml_place *place, const char *message, const char *hint)
{
	struct diagnostic diagnostic = {.severity = SEVERITY_ERROR,
	        .code = M401_TEST_FILE,
	        .file = reading->file->path,
	        .line = place->line,
	        .column = place->column,
	        .length = place->length,
	        .message = (char *)message,
	        .hint = (char *)hint};
	diagnostics_add(reading->found, &diagnostic);
}

static void on_problem(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	complain(context, place, text, hint);
}

static void expected(struct reading *reading, const struct yaml_node *node, const char *what)
{
	char *message = mem_printf("expected %s", what);
	complain(reading, &node->place, message, NULL);
	mem_free(message);
}

static bool is(struct reading *reading, const struct yaml_node *node, enum yaml_kind kind, const char *what)
{
	if (node->kind != kind)
		expected(reading, node, what);
	return node->kind == kind;
}

/* ---- values ---- */

static void read_value(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testvalue *value = into;
	struct yaml_listener listener = {reading, on_problem};
	struct buf out = {0};
	yaml_tree_json(node, &out, &listener);
	mem_free(value->text);
	value->line = node->place.line;
	value->text = buf_steal(&out, &value->size);
}

static void read_map(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (is(reading, node, YAML_MAP, "a map"))
		read_value(reading, node, into);
}

static void read_text(struct reading *reading, const struct yaml_node *node, void *into)
{
	char **text = into;
	if (!is(reading, node, YAML_TEXT, "a text"))
		return;
	mem_free(*text);
	*text = mem_strdup(node->text);
}

static void read_path(struct reading *reading, const struct yaml_node *node, void *into)
{
	char **path = into;
	if (!is(reading, node, YAML_TEXT, "the path of a file, from this one's folder"))
		return;
	mem_free(*path);
	*path = node->text[0] == '/' ? mem_strdup(node->text)
	                             : mem_printf("%s/%s", reading->folder, node->text);
}

static void read_flag(struct reading *reading, const struct yaml_node *node, void *into)
{
	bool yes = node->kind == YAML_TEXT && strcmp(node->text, "true") == 0;
	if (!yes && (node->kind != YAML_TEXT || strcmp(node->text, "false") != 0))
		expected(reading, node, "true or false");
	*(bool *)into = yes;
}

static bool whole_number(const struct yaml_node *node, long least, long most, long *number)
{
	char *end = NULL;
	errno = 0;
	*number = node->kind == YAML_TEXT ? strtol(node->text, &end, 10) : 0;
	return node->kind == YAML_TEXT && errno == 0 && end != node->text && *end == '\0' &&
	       *number >= least && *number <= most;
}

static void read_clock(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (node->kind != YAML_TEXT || !clock_parse(node->text, strlen(node->text), into))
		expected(reading, node, "a time such as 2026-11-22T13:26:28Z");
}

/* Reads a map by the table; a member that is not in it is told. */
static void read_members(struct reading *reading, const struct yaml_node *map, const struct member *members,
        size_t count, void *into)
{
	const char *names[24];
	if (!is(reading, map, YAML_MAP, "a map"))
		return;
	for (size_t i = 0; i < count; i++)
		names[i] = members[i].name;
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_node *key = &map->keys[i];
		size_t m = 0;
		while (m < count && strcmp(key->text, names[m]) != 0)
			m++;
		if (m < count) {
			if (members[m].read)
				members[m].read(reading, &map->items[i], into);
			continue;
		}
		const char *near = text_did_you_mean(key->text, names, count);
		char *message = mem_printf("unknown key '%.60s'", key->text),
		     *hint = near ? mem_printf("did you mean '%s'?", near) : NULL;
		complain(reading, &key->place, message, hint);
		mem_free(message);
		mem_free(hint);
	}
}

#define MEMBERS(table) (table), sizeof(table) / sizeof *(table)

/* ---- files that a test names ---- */

static char *read_file(struct reading *reading, const struct yaml_node *node, const char *name, size_t *size)
{
	struct buf out = {.limit = FILE_MAX_BYTES};
	char *path = name[0] == '/' ? mem_strdup(name) : mem_printf("%s/%s", reading->folder, name);
	if (!readfile(path, &out)) {
		char *message = mem_printf(
		        "%s cannot be read: %s", path, out.full ? "it is too large" : strerror(errno));
		complain(reading, &node->place, message, NULL);
		mem_free(message);
	}
	mem_free(path);
	return buf_steal(&out, size);
}

static void add_event(struct testcase *test, const char *text, size_t size, unsigned line)
{
	test->events = mem_realloc(test->events, (test->event_count + 1) * sizeof *test->events);
	char *copy = mem_dup(text, size);
	for (size_t i = 0; i < size; i++) /* one event is one line; JSON has line ends between values only */
		copy[i] = (char)(copy[i] == '\n' || copy[i] == '\r' ? ' ' : copy[i]);
	test->events[test->event_count++] = (struct testvalue){copy, size, line};
}

static void read_event(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testcase *test = into;
	struct testvalue value = {0};
	if (node->kind == YAML_TEXT && *node->text == '\0') {
		expected(reading, node, "an event: a map, or a text that is sent as it is");
		return;
	}
	if (node->kind == YAML_TEXT) { /* as it stands: it need not be JSON */
		add_event(test, node->text, strlen(node->text), node->place.line);
		return;
	}
	read_value(reading, node, &value);
	add_event(test, value.text, value.size, node->place.line);
	mem_free(value.text);
}

static void read_events(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (!is(reading, node, YAML_LIST, "a list of events"))
		return;
	for (size_t i = 0; i < node->count; i++)
		read_event(reading, &node->items[i], into);
}

static void add_lines(struct reading *reading, const struct yaml_node *node, struct testcase *test,
        const char *text, size_t size, long wanted)
{
	long line = 0;
	size_t before = test->event_count;
	for (const char *at = text, *end = text + size; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = stop ? (size_t)(stop - at) : (size_t)(end - at);
		if ((wanted == 0 || ++line == wanted) && length > 0)
			add_event(test, at, length, node->place.line);
		at += length + 1;
	}
	if (test->event_count == before)
		complain(reading, &node->place, wanted ? "the file has no such line" : "the file is empty",
		        NULL);
}

/* "events.jsonl", "events.jsonl:3", "event.json". */
static void read_event_file(struct reading *reading, const struct yaml_node *node, void *into)
{
	long wanted = 0;
	size_t size;
	if (!is(reading, node, YAML_TEXT, "a file, or a file and a line: events.jsonl:3"))
		return;
	char *name = mem_strdup(node->text), *colon = strrchr(name, ':');
	if (colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0') {
		wanted = atol(colon + 1);
		*colon = '\0';
	}
	const char *dot = strrchr(name, '.');
	unsigned errors = reading->found->errors;
	char *text = read_file(reading, node, name, &size);
	if (wanted == 0 && dot && strcmp(dot, ".json") == 0)
		add_event(into, text, size, node->place.line);
	else if (reading->found->errors == errors)
		add_lines(reading, node, into, text, size, wanted);
	mem_free(text);
	mem_free(name);
}

/* ---- changes to events ---- */

struct patching {
	struct jsontree event, change;
	struct buf name;
};

static void patch(struct patching *patching, uint32_t event, uint32_t change, struct buf *out);

static void append_member(struct buf *out, struct bytes key)
{
	buf_append_text(out, out->data[out->size - 1] == '{' ? "" : ",");
	buf_append(out, key.data, key.size);
	buf_append_byte(out, ':');
}

/* Members of the event, each as the change has it; then those that only the change has. */
static void patch_object(struct patching *patching, uint32_t event, uint32_t change, struct buf *out)
{
	const struct jsontree *old = &patching->event, *new = &patching->change;
	uint32_t at = event + 1;
	for (uint32_t i = 0; event != UINT32_MAX && i < old->nodes[event].count;
	        i++, at = old->nodes[at + 1].next) {
		struct bytes key = jsontree_string(old, at, &patching->name);
		uint32_t other = jsontree_member(new, change, key.data, key.size);
		if (other && new->nodes[other].kind == JSONTREE_NULL)
			continue;
		append_member(out, jsontree_raw(old, at));
		struct bytes raw = jsontree_raw(old, at + 1);
		if (other)
			patch(patching, at + 1, other, out);
		else
			buf_append(out, raw.data, raw.size);
	}
	at = change + 1;
	for (uint32_t i = 0; i < new->nodes[change].count; i++, at = new->nodes[at + 1].next) {
		struct bytes key = jsontree_string(new, at, &patching->name);
		if (new->nodes[at + 1].kind == JSONTREE_NULL ||
		        (event != UINT32_MAX && jsontree_member(old, event, key.data, key.size)))
			continue;
		append_member(out, jsontree_raw(new, at));
		patch(patching, UINT32_MAX, at + 1, out);
	}
}

static void patch(struct patching *patching, uint32_t event, uint32_t change, struct buf *out)
{
	struct bytes raw = jsontree_raw(&patching->change, change);
	if (patching->change.nodes[change].kind != JSONTREE_OBJECT) {
		buf_append(out, raw.data, raw.size);
		return;
	}
	if (event != UINT32_MAX && patching->event.nodes[event].kind != JSONTREE_OBJECT)
		event = UINT32_MAX;
	buf_append_byte(out, '{');
	patch_object(patching, event, change, out);
	buf_append_byte(out, '}');
}

static void change_event(struct reading *reading, const struct yaml_node *node, struct testvalue *event,
        const struct testvalue *change)
{
	struct patching patching = {0};
	struct buf out = {0};
	jsontree_init(&patching.event);
	jsontree_init(&patching.change);
	if (!jsontree_parse(&patching.event, event->text, event->size, NULL, NULL) ||
	        !jsontree_parse(&patching.change, change->text, change->size, NULL, NULL)) {
		complain(reading, &node->place, "only an event that is JSON can be changed", NULL);
	} else {
		patch(&patching, 0, 0, &out);
		mem_free(event->text);
		event->text = buf_steal(&out, &event->size);
	}
	jsontree_free(&patching.event);
	jsontree_free(&patching.change);
	buf_free(&patching.name);
}

static void read_change(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_map(reading, node, &((struct testcase *)into)->change);
}

/* ---- answers ---- */

static void read_status(struct reading *reading, const struct yaml_node *node, void *into)
{
	long status;
	if (whole_number(node, 100, 599, &status))
		((struct testanswer *)into)->status = (int)status;
	else
		expected(reading, node, "a status from 100 to 599");
}

static void set_body(struct reading *reading, const struct yaml_node *node, struct testanswer *answer,
        char *body, size_t size)
{
	if (answer->body)
		complain(reading, &node->place, "an answer has one of json, body and file", NULL);
	mem_free(answer->body);
	answer->body = body;
	answer->body_size = size;
}

static void read_json(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testvalue value = {0};
	read_value(reading, node, &value);
	set_body(reading, node, into, value.text, value.size);
	((struct testanswer *)into)->json = true;
}

static void read_body(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (is(reading, node, YAML_TEXT, "a text (an object goes under json)"))
		set_body(reading, node, into, mem_strdup(node->text), strlen(node->text));
}

static void read_body_file(struct reading *reading, const struct yaml_node *node, void *into)
{
	size_t size;
	if (!is(reading, node, YAML_TEXT, "the path of a file, from this one's folder"))
		return;
	char *text = read_file(reading, node, node->text, &size);
	set_body(reading, node, into, text, size);
	const char *dot = strrchr(node->text, '.');
	((struct testanswer *)into)->json = dot && strcmp(dot, ".json") == 0;
}

static void read_delay(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (node->kind != YAML_TEXT || !text_duration(node->text, &((struct testanswer *)into)->delay_ms))
		expected(reading, node, "a duration such as 250ms, 5s or 2m");
}

static void read_fault(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testanswer *answer = into;
	for (int failure = HTTP_CONNECT; failure < HTTP_INVALID; failure++)
		if (node->kind == YAML_TEXT && failure != HTTP_NO_ROOM &&
		        strcmp(node->text, http_failure_name((enum http_failure)failure)) == 0) {
			answer->fault = (enum http_failure)failure;
			return;
		}
	expected(reading, node, "one of connect, timeout, reset, truncated, stale, malformed, too_large");
}

static void read_times(struct reading *reading, const struct yaml_node *node, void *into)
{
	long times;
	if (whole_number(node, 1, 1000000, &times))
		((struct testanswer *)into)->times = (unsigned)times;
	else
		expected(reading, node, "a number from 1");
}

static void read_answer_headers(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_map(reading, node, &((struct testanswer *)into)->headers);
}

static void read_when(struct reading *reading, const struct yaml_node *node, void *into)
{
	static const struct member members[] = {{"upstream", NULL}, {"method", NULL}, {"host", NULL},
	        {"path", NULL}, {"query", NULL}, {"headers", NULL}, {"body", NULL}};
	read_members(reading, node, MEMBERS(members), NULL);
	read_map(reading, node, &((struct testanswer *)into)->when);
}

static void read_optional(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_flag(reading, node, &((struct testanswer *)into)->optional);
}

static void read_answers(
        struct reading *reading, const struct yaml_node *node, struct testanswer **answers, size_t *count)
{
	static const struct member members[] = {{"when", read_when}, {"status", read_status},
	        {"headers", read_answer_headers}, {"json", read_json}, {"body", read_body},
	        {"file", read_body_file}, {"delay", read_delay}, {"fault", read_fault}, {"times", read_times},
	        {"optional", read_optional}};
	if (!is(reading, node, YAML_LIST, "a list of answers"))
		return;
	*answers = mem_realloc(*answers, (*count + node->count + 1) * sizeof **answers);
	for (size_t i = 0; i < node->count; i++) {
		struct testanswer *answer = &(*answers)[(*count)++];
		*answer = (struct testanswer){.line = node->items[i].place.line, .status = 200};
		read_members(reading, &node->items[i], MEMBERS(members), answer);
	}
}

/* ---- expectations ---- */

static void read_output_value(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_value(reading, node, &((struct testoutput *)into)->value);
}

static void read_contains(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_value(reading, node, &((struct testoutput *)into)->contains);
}

static void read_without(struct reading *reading, const struct yaml_node *node, void *into)
{
	static const char what[] = "a path such as revision.content_slots";
	if (!is(reading, node, YAML_LIST, "a list of paths such as revision.content_slots"))
		return;
	bool good = true;
	for (size_t i = 0; i < node->count; i++) {
		struct jsondiff_paths paths = {0};
		const struct yaml_node *item = &node->items[i];
		bool path = item->kind == YAML_TEXT && jsondiff_paths_parse(&paths, item->text) &&
		            paths.count == 1;
		if (!path) /* what cannot be found would never be there */
			expected(reading, item, what);
		good = good && path;
		jsondiff_paths_free(&paths);
	}
	if (good)
		read_value(reading, node, &((struct testoutput *)into)->without);
}

static void read_output_headers(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_map(reading, node, &((struct testoutput *)into)->headers);
}

static void read_to(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testvalue *to = &((struct testoutput *)into)->to;
	if (!is(reading, node, YAML_TEXT, "the name of a sink"))
		return;
	mem_free(to->text);
	*to = (struct testvalue){mem_strdup(node->text), strlen(node->text), node->place.line};
}

static void read_key(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_value(reading, node, &((struct testoutput *)into)->key);
}

static void read_schema(struct reading *reading, const struct yaml_node *node, void *into)
{
	bool good = node->kind == YAML_TEXT && (strcmp(node->text, "true") == 0 || *node->text == '/');
	if (!good)
		expected(reading, node, "true, or the path of a schema such as /my/output/1.0.0");
	else if (!reading->schemas)
		complain(reading, &node->place, "nothing says where schemas are",
		        "give schemas: FOLDER at the top");
	else
		read_value(reading, node, &((struct testoutput *)into)->schema);
}

/* The only output of an expectation that names none. */
static struct testoutput *the_output(struct testexpect *expect, const struct yaml_node *node)
{
	if (expect->output_count == 0) {
		expect->outputs = mem_zalloc(1, sizeof *expect->outputs);
		expect->outputs[expect->output_count++].line = node->place.line;
	}
	return expect->outputs;
}

static void take_verdict(struct reading *reading, const struct yaml_node *node, struct testexpect *expect,
        enum testverdict verdict)
{
	if (expect->verdict != TEST_ANY && expect->verdict != verdict)
		complain(reading, &node->place, "a record ends in one way: output, passed, dropped or failed",
		        NULL);
	expect->verdict = verdict;
	expect->verdict_line = node->place.line;
}

static void expect_output(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (((struct testexpect *)into)->verdict != TEST_PASSED) /* what is passed is an output, too */
		take_verdict(reading, node, into, TEST_OUTPUT);
	read_output_value(reading, node, the_output(into, node));
}

/* What is said of an output holds for what is passed as well. */
static void expect_some_output(const struct yaml_node *node, struct testexpect *expect)
{
	if (expect->verdict == TEST_ANY) {
		expect->verdict = TEST_OUTPUT;
		expect->verdict_line = node->place.line;
	}
}

static void expect_contains(struct reading *reading, const struct yaml_node *node, void *into)
{
	expect_some_output(node, into);
	read_contains(reading, node, the_output(into, node));
}

static void expect_without(struct reading *reading, const struct yaml_node *node, void *into)
{
	expect_some_output(node, into);
	read_without(reading, node, the_output(into, node));
}

static void expect_to(struct reading *reading, const struct yaml_node *node, void *into)
{
	expect_some_output(node, into);
	read_to(reading, node, the_output(into, node));
}

static void expect_key(struct reading *reading, const struct yaml_node *node, void *into)
{
	expect_some_output(node, into);
	read_key(reading, node, the_output(into, node));
}

static void expect_headers(struct reading *reading, const struct yaml_node *node, void *into)
{
	expect_some_output(node, into);
	read_output_headers(reading, node, the_output(into, node));
}

static void expect_schema(struct reading *reading, const struct yaml_node *node, void *into)
{
	expect_some_output(node, into);
	read_schema(reading, node, the_output(into, node));
}

static void expect_outputs(struct reading *reading, const struct yaml_node *node, void *into)
{
	static const struct member members[] = {{"value", read_output_value}, {"contains", read_contains},
	        {"without", read_without}, {"to", read_to}, {"key", read_key},
	        {"headers", read_output_headers}, {"schema", read_schema}};
	struct testexpect *expect = into;
	take_verdict(reading, node, expect, TEST_OUTPUT);
	if (!is(reading, node, YAML_LIST, "a list of outputs") || expect->output_count > 0)
		return;
	expect->counted = true;
	expect->outputs = mem_zalloc(node->count + 1, sizeof *expect->outputs);
	for (size_t i = 0; i < node->count; i++) {
		struct testoutput *output = &expect->outputs[expect->output_count++];
		output->line = node->items[i].place.line;
		read_members(reading, &node->items[i], MEMBERS(members), output);
	}
}

static void expect_passed(struct reading *reading, const struct yaml_node *node, void *into)
{
	bool yes = false;
	read_flag(reading, node, &yes);
	if (!yes)
		expected(reading, node, "true");
	struct testexpect *expect = into;
	if (expect->verdict == TEST_OUTPUT && !expect->counted)
		expect->verdict = TEST_ANY; /* it was said of an output; what is passed is one, too */
	take_verdict(reading, node, expect, TEST_PASSED);
}

static void expect_dropped(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testexpect *expect = into;
	take_verdict(reading, node, expect, TEST_DROPPED);
	if (is(reading, node, YAML_TEXT, "the reason") && strcmp(node->text, "true") != 0)
		read_text(reading, node, &expect->type);
}

static void read_failed_type(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_text(reading, node, &((struct testexpect *)into)->type);
}

static void read_failed_message(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_text(reading, node, &((struct testexpect *)into)->message);
}

static void expect_failed(struct reading *reading, const struct yaml_node *node, void *into)
{
	static const struct member members[] = {{"type", read_failed_type}, {"message", read_failed_message}};
	take_verdict(reading, node, into, TEST_FAILED);
	if (node->kind == YAML_MAP)
		read_members(reading, node, MEMBERS(members), into);
	else if (is(reading, node, YAML_TEXT, "a type, or {type, message}") &&
	         strcmp(node->text, "true") != 0)
		read_failed_type(reading, node, into);
}

static void expect_golden(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testexpect *expect = into;
	expect_some_output(node, expect);
	read_path(reading, node, &expect->golden);
	expect->golden_line = node->place.line;
}

static void expect_calls(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testexpect *expect = into;
	expect->calls_line = node->place.line;
	if (!whole_number(node, 0, 1000000, &expect->calls))
		expected(reading, node, "a number");
}

static void expect_requests(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (!is(reading, node, YAML_LIST, "a list of requests"))
		return;
	for (size_t i = 0; i < node->count; i++)
		if (!is(reading, &node->items[i], YAML_MAP, "a request: {host, path, query, ...}"))
			return;
	read_value(reading, node, &((struct testexpect *)into)->requests);
}

static void read_expect_one(struct reading *reading, const struct yaml_node *node, struct testcase *test)
{
	static const struct member members[] = {{"output", expect_output}, {"outputs", expect_outputs},
	        {"contains", expect_contains}, {"without", expect_without}, {"to", expect_to},
	        {"key", expect_key}, {"headers", expect_headers}, {"schema", expect_schema},
	        {"passed", expect_passed}, {"dropped", expect_dropped}, {"failed", expect_failed},
	        {"golden", expect_golden}, {"calls", expect_calls}, {"requests", expect_requests}};
	struct testexpect *expect = &test->expects[test->expect_count++];
	*expect = (struct testexpect){.line = node->place.line, .calls = -1};
	read_members(reading, node, MEMBERS(members), expect);
}

static void read_expect(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testcase *test = into;
	size_t count = node->kind == YAML_LIST ? node->count : 1;
	test->expects = mem_zalloc(count + 1, sizeof *test->expects);
	for (size_t i = 0; i < count; i++)
		read_expect_one(reading, node->kind == YAML_LIST ? &node->items[i] : node, test);
}

/* ---- tests ---- */

static void read_test_clock(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_clock(reading, node, &((struct testcase *)into)->clock);
}

static void read_name(struct reading *reading, const struct yaml_node *node, void *into)
{
	if (node->kind == YAML_TEXT)
		for (const char *at = node->text; *at; at++)
			if ((unsigned char)*at < ' ' || *at == 0x7f) {
				expected(reading, node, "a name of one line");
				return;
			}
	read_text(reading, node, &((struct testcase *)into)->name);
}

static void read_own_answers(struct reading *reading, const struct yaml_node *node, void *into)
{
	struct testcase *test = into;
	read_answers(reading, node, &test->answers, &test->answer_count);
}

static void read_cassette(struct reading *reading, const struct yaml_node *node, void *into)
{
	read_path(reading, node, &((struct testcase *)into)->cassette);
}

static bool is_set_before(const struct yaml_node *const *maps, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (testfile_member(maps[i], name))
			return true;
	return false;
}

/* The members of the maps as a JSON object, those of an earlier one before those of a later. */
static char *join_params(struct reading *reading, const struct yaml_node *const *maps, size_t count)
{
	struct yaml_listener listener = {reading, on_problem};
	struct buf out = {0};
	size_t size;
	buf_append_byte(&out, '{');
	for (size_t m = 0; m < count; m++)
		for (size_t i = 0; maps[m] && i < maps[m]->count; i++) {
			const char *name = maps[m]->keys[i].text;
			if (is_set_before(maps, m, name))
				continue;
			buf_append_text(&out, out.size > 1 ? "," : "");
			text_json_string(&out, name, strlen(name));
			buf_append_byte(&out, ':');
			yaml_tree_json(&maps[m]->items[i], &out, &listener);
		}
	buf_append_byte(&out, '}');
	return buf_steal(&out, &size);
}

static struct testanswer copied(const struct testanswer *answer)
{
	struct testanswer copy = *answer;
	copy.when.text = mem_dup(answer->when.text, answer->when.size);
	copy.headers.text = mem_dup(answer->headers.text, answer->headers.size);
	copy.body = mem_dup(answer->body, answer->body_size);
	copy.optional = true; /* of those for every test each needs only some */
	return copy;
}

static const struct yaml_node *map_at(struct reading *reading, const struct yaml_node *map, const char *name)
{
	long at = map->kind == YAML_MAP ? yaml_tree_find(map, name) : -1;
	return at >= 0 && is(reading, &map->items[at], YAML_MAP, "a map") ? &map->items[at] : NULL;
}

static void check_test(struct reading *reading, const struct yaml_node *node, const struct testcase *test)
{
	if (node->kind != YAML_MAP)
		return;
	if (test->name == NULL)
		complain(
		        reading, &node->place, "the test has no name", "name: says what the script promises");
	if (test->event_count == 0)
		complain(reading, &node->place, "the test has no event", "give event, events or event_file");
	if (test->event_count > TESTFILE_EVENTS)
		complain(reading, &node->place, "a test has at most 1000 events", NULL);
	if (test->expect_count > 1 && test->expect_count != test->event_count)
		complain(reading, &node->place, "expect is one map, or a list with one for each event", NULL);
	if (test->expect_count == 0)
		complain(reading, &node->place, "the test expects nothing, so it could never fail",
		        "give expect");
}

static void read_tests(struct reading *reading, const struct yaml_node *list)
{
	static const struct member members[] = {{"name", read_name}, {"event", read_event},
	        {"events", read_events}, {"event_file", read_event_file}, {"change", read_change},
	        {"params", NULL}, {"clock", read_test_clock}, {"answers", read_own_answers},
	        {"cassette", read_cassette}, {"expect", read_expect}};
	if (!is(reading, list, YAML_LIST, "a list of tests"))
		return;
	reading->file->tests = mem_zalloc(list->count + 1, sizeof *reading->file->tests);
	for (size_t i = 0; i < list->count; i++) {
		const struct yaml_node *node = &list->items[i];
		struct testcase *test = &reading->file->tests[reading->file->count++];
		*test = (struct testcase){.line = node->place.line, .clock = reading->clock};
		read_members(reading, node, MEMBERS(members), test);
		if (test->event_count == 0 && reading->event.text)
			add_event(test, reading->event.text, reading->event.size, reading->event.line);
		for (size_t n = 0; test->change.text && n < test->event_count; n++)
			change_event(reading, node, &test->events[n], &test->change);
		const struct yaml_node *params[] = {
		        map_at(reading, node, "params"), reading->params, reading->base_params};
		test->params = join_params(reading, params, 3);
		test->answers = mem_realloc(test->answers,
		        (test->answer_count + reading->shared_count + 1) * sizeof *test->answers);
		for (size_t n = 0; n < reading->shared_count; n++)
			test->answers[test->answer_count++] = copied(&reading->shared[n]);
		check_test(reading, node, test);
	}
}

/* ---- the file ---- */

static void read_script(struct reading *reading, const struct yaml_node *node, void *into)
{
	(void)into;
	read_path(reading, node, &reading->file->script);
}

static void read_file_clock(struct reading *reading, const struct yaml_node *node, void *into)
{
	(void)into;
	read_clock(reading, node, &reading->clock);
}

static void read_shared_event(struct reading *reading, const struct yaml_node *node, void *into)
{
	(void)into;
	read_map(reading, node, &reading->event);
}

static void read_shared_answers(struct reading *reading, const struct yaml_node *node, void *into)
{
	(void)into;
	read_answers(reading, node, &reading->shared, &reading->shared_count);
}

static void make_config(struct reading *reading, const struct yaml_node *root)
{
	struct yaml_listener listener = {reading, on_problem};
	struct testfile_config given = {root, reading->base, reading->folder, &listener};
	reading->file->config = testfile_config(&given);
}

static void on_base_problem(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	struct reading *reading = context;
	char *message = mem_printf("%s:%u:%u: %s", reading->base_name, place->line, place->column, text);
	complain(reading, &reading->base_place, message, hint);
	mem_free(message);
}

/* `config: FILE`, from which what the test file leaves out is taken. */
static void read_base(struct reading *reading, const struct yaml_node *root)
{
	const struct yaml_node *node = testfile_member(root, "config");
	struct yaml_listener listener = {reading, on_base_problem};
	unsigned errors = reading->found->errors;
	size_t size;
	if (node == NULL ||
	        !is(reading, node, YAML_TEXT, "the path of a configuration, from this one's folder"))
		return;
	reading->base_name = node->text;
	reading->base_place = node->place;
	char *text = read_file(reading, node, node->text, &size);
	if (reading->found->errors == errors)
		reading->base = yaml_tree_parse(text, size, &listener);
	if (reading->found->errors != errors) { /* keys may be no texts */
		yaml_tree_free(reading->base);
		reading->base = NULL;
	}
	mem_free(text);
}

static char *script_beside(const char *path)
{
	static const char ending[] = "_test.yaml";
	size_t size = strlen(path), end = strlen(ending);
	if (size <= end || strcmp(path + size - end, ending) != 0)
		return NULL;
	char *stem = mem_dup(path, size - end), *script = mem_printf("%s.lua", stem);
	mem_free(stem);
	return script;
}

static void read_root(struct reading *reading, const struct yaml_node *root)
{
	static const struct member members[] = {{"script", read_script}, {"config", NULL}, {"params", NULL},
	        {"clock", read_file_clock}, {"upstreams", NULL}, {"sink", NULL}, {"sinks", NULL},
	        {"key", NULL}, {"schemas", NULL}, {"order", NULL}, {"topic_prefix", NULL},
	        {"event", read_shared_event}, {"answers", read_shared_answers}, {"tests", NULL}};
	clock_parse("2026-01-01T00:00:00Z", 20, &reading->clock);
	read_members(reading, root, MEMBERS(members), NULL);
	if (root->kind != YAML_MAP)
		return;
	read_base(reading, root);
	reading->params = map_at(reading, root, "params");
	const struct yaml_node *script = testfile_member(reading->base, "script");
	const struct yaml_node *base_params = testfile_member(script, "params");
	reading->base_params = base_params && base_params->kind == YAML_MAP ? base_params : NULL;
	reading->schemas = testfile_member(root, "schemas") || testfile_member(reading->base, "schemas");
	if (reading->file->script == NULL)
		reading->file->script = script_beside(reading->file->path);
	if (reading->file->script == NULL)
		complain(reading, &root->place,
		        "no script: name the file x_test.yaml beside x.lua, or give script", NULL);
	long tests = yaml_tree_find(root, "tests");
	if (tests < 0)
		complain(reading, &root->place, "no tests", "tests: is a list");
	else
		read_tests(reading, &root->items[tests]);
	make_config(reading, root);
}

static void free_answers(struct testanswer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		mem_free(answers[i].when.text);
		mem_free(answers[i].headers.text);
		mem_free(answers[i].body);
	}
	mem_free(answers);
}

struct testfile *testfile_load(const char *path, struct diagnostics *found)
{
	struct testfile *file = mem_zalloc(1, sizeof *file);
	struct reading reading = {.file = file, .found = found, .folder = text_folder(path)};
	struct yaml_node here = {.place = {0, 0, 0}};
	struct yaml_listener listener = {&reading, on_problem};
	const char *slash = strrchr(path, '/');
	file->path = mem_strdup(path);
	file->source = read_file(&reading, &here, slash ? slash + 1 : path, &file->source_size);
	struct yaml_node *root =
	        found->errors ? NULL : yaml_tree_parse(file->source, file->source_size, &listener);
	if (root && found->errors == 0) /* else keys may be no texts */
		read_root(&reading, root);
	yaml_tree_free(root);
	yaml_tree_free(reading.base);
	free_answers(reading.shared, reading.shared_count);
	mem_free(reading.folder);
	mem_free(reading.event.text);
	return file;
}

static void free_expect(struct testexpect *expect)
{
	for (size_t i = 0; i < expect->output_count; i++) {
		struct testoutput *output = &expect->outputs[i];
		mem_free(output->value.text);
		mem_free(output->contains.text);
		mem_free(output->without.text);
		mem_free(output->headers.text);
		mem_free(output->to.text);
		mem_free(output->key.text);
		mem_free(output->schema.text);
	}
	mem_free(expect->outputs);
	mem_free(expect->type);
	mem_free(expect->message);
	mem_free(expect->golden);
	mem_free(expect->requests.text);
}

static void free_test(struct testcase *test)
{
	for (size_t i = 0; i < test->event_count; i++)
		mem_free(test->events[i].text);
	for (size_t i = 0; i < test->expect_count; i++)
		free_expect(&test->expects[i]);
	free_answers(test->answers, test->answer_count);
	mem_free(test->events);
	mem_free(test->expects);
	mem_free(test->name);
	mem_free(test->params);
	mem_free(test->cassette);
	mem_free(test->change.text);
}

void testfile_free(struct testfile *file)
{
	if (file == NULL)
		return;
	for (size_t i = 0; i < file->count; i++)
		free_test(&file->tests[i]);
	mem_free(file->tests);
	mem_free(file->path);
	mem_free(file->script);
	mem_free(file->config);
	mem_free(file->source);
	mem_free(file);
}
