/* Whether events are what their schemas say. */
#include "conform.h"
#include "jsontree.h"
#include "log.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum { TOLD = 3 /* of what is wrong with an event */ };

struct conform {
	struct conform_config config;
	struct metrics *metrics;
	struct schema_checker *checker;
	struct schema_errors errors;
	struct jsontree tree;
	struct json_limits limits;
	struct buf paths, stripped;
};

struct conform *conform_open(const struct conform_config *config, struct metrics *metrics)
{
	struct conform *conform = mem_zalloc(1, sizeof *conform);
	conform->config = *config;
	conform->metrics = metrics;
	conform->limits = (struct json_limits){.depth = config->max_depth ? config->max_depth : 128};
	conform->checker = schema_checker_new(&conform->limits);
	schema_errors_init(&conform->errors, TOLD + 1);
	jsontree_init(&conform->tree);
	buf_init(&conform->paths, 0);
	buf_init(&conform->stripped, 0);
	return conform;
}

void conform_close(struct conform *conform)
{
	if (conform == NULL)
		return;
	schema_checker_free(conform->checker);
	schema_errors_free(&conform->errors);
	jsontree_free(&conform->tree);
	buf_free(&conform->paths);
	buf_free(&conform->stripped);
	mem_free(conform);
}

/* ---- what is told of it ---- */

/* Only titles that a repository has become labels: events name whatever they like. */
static void count(struct conform *conform, const char *path, const char *side, const char *outcome)
{
	char title[SCHEMAREPO_PATH_MAX + 1] = "unknown";
	if (path)
		snprintf(title, sizeof title, "%.*s", (int)schemarepo_title_size(path) - 1, path + 1);
	*metrics_value(conform->metrics, METRIC_SCHEMA_CHECKS, title, side, outcome) += 1;
}

/* The log gets nothing of the event: where it came from, and which rule it broke. */
static void tell(
        const struct record *r, const char *side, const char *path, const struct schema_errors *errors)
{
	bool any = errors && errors->count > 0;
	log_throttled(LOG_WARN, "schemas", "the %s of %s/%d/%lld is not what %s says%s%s%s%s", side,
	        r->input.topic, (int)r->input.partition, (long long)r->input.offset, path, any ? ": " : "",
	        any ? errors->list[0].keyword : "", any ? " at " : "", any ? errors->list[0].schema : "");
}

static void explain(struct conform *conform, const char *what, const struct schemas_answer *answer,
        const char *asked, struct buf *message)
{
	buf_init(message, 0);
	buf_printf(message, "the %s is not what %s says", what, answer->path);
	if (!answer->exact)
		buf_printf(message, " (%s is in no repository)", asked);
	for (size_t i = 0; i < conform->errors.count && i < TOLD; i++) {
		buf_append_text(message, i ? "; " : ": ");
		schema_error_print(&conform->errors.list[i], message);
	}
	if (conform->errors.count > TOLD)
		buf_append_text(message, "; and more");
}

/* ---- one event ---- */

static enum conform_verdict no_schema(struct conform *conform, const struct record *r, const char *side,
        const char *asked, const struct schemas_answer *answer, enum schemas_mode mode,
        struct conform_failure *failure)
{
	count(conform, NULL, side, "unknown");
	if (mode == SCHEMAS_WARN) {
		log_throttled(LOG_WARN, "schemas", "the %s of %s/%d/%lld names no schema that can be used",
		        side, r->input.topic, (int)r->input.partition, (long long)r->input.offset);
		return CONFORM_GOOD;
	}
	failure->type = "UnknownSchema";
	buf_init(&failure->message, 0);
	if (asked)
		buf_printf(&failure->message, "the %s's $schema \"%.300s\" cannot be used: %s", side, asked,
		        answer->why);
	else
		buf_printf(&failure->message, "the %s has no $schema", side);
	return CONFORM_BAD;
}

/* READY: go on with the answer. Else *verdict says how this ends. */
static bool find(struct conform *conform, const struct record *r, const char *side, const char *asked,
        bool needed, int64_t now, struct schemas_answer *answer, enum conform_verdict *verdict,
        struct conform_failure *failure)
{
	bool input = side[0] == 'i';
	enum schemas_mode mode = input ? conform->config.input : conform->config.output;
	switch (schemas_get(conform->config.schemas, asked, now, answer)) {
	case SCHEMAS_READY: return true;
	case SCHEMAS_LOADING: *verdict = CONFORM_LOADING; return false;
	case SCHEMAS_AWAY:
		*verdict = mode == SCHEMAS_ENFORCE || needed ? CONFORM_AWAY : CONFORM_GOOD;
		if (*verdict == CONFORM_GOOD)
			count(conform, NULL, side, "unchecked");
		return false;
	default: *verdict = no_schema(conform, r, side, asked, answer, mode, failure); return false;
	}
}

static enum conform_verdict check(struct conform *conform, const struct record *r, const char *side,
        const char *asked, const struct schemas_answer *answer, struct bytes text,
        struct conform_failure *failure)
{
	bool input = side[0] == 'i';
	enum schemas_mode mode = input ? conform->config.input : conform->config.output;
	unsigned options = answer->exact ? 0 : SCHEMA_ALLOW_ADDITIONAL;
	char title[SCHEMAREPO_PATH_MAX + 1];
	snprintf(title, sizeof title, "%.*s", (int)schemarepo_title_size(answer->path) - 1, answer->path + 1);
	if (!answer->exact)
		*metrics_value(conform->metrics, METRIC_SCHEMA_UNKNOWN_VERSIONS, title) += 1;
	bool good = schema_check(
	        conform->checker, answer->schema, text.data, text.size, options, &conform->errors);
	count(conform, answer->path, side, good ? "valid" : "invalid");
	if (good)
		return CONFORM_GOOD;
	if (mode == SCHEMAS_WARN) {
		tell(r, side, answer->path, &conform->errors);
		return CONFORM_GOOD;
	}
	failure->type = input ? "InputInvalid" : "OutputInvalid";
	explain(conform, side, answer, asked, &failure->message);
	return CONFORM_BAD;
}

enum conform_verdict conform_input(
        struct conform *conform, const struct record *r, int64_t now, struct conform_failure *failure)
{
	struct schemas_answer answer;
	enum conform_verdict verdict;
	if (conform == NULL || conform->config.input == SCHEMAS_OFF || r->input.value.data == NULL)
		return CONFORM_GOOD;
	if (!find(conform, r, "input", r->event.schema, false, now, &answer, &verdict, failure))
		return verdict;
	return check(conform, r, "input", r->event.schema, &answer, r->input.value, failure);
}

/* ---- outputs ---- */

static bool is_checked(const struct conform *conform, const struct output *output)
{
	return output->value && output->sink < conform->config.sink_count &&
	       conform->config.sinks[output->sink].stream;
}

/* Appends the `$schema` that its text names, if it names one. */
static void append_named(struct conform *conform, const struct output *output)
{
	struct jsontree *tree = &conform->tree;
	static const char key[] = "$schema";
	if (!jsontree_parse(tree, output->value, output->value_size, &conform->limits, NULL) ||
	        tree->nodes[0].kind != JSONTREE_OBJECT)
		return;
	uint32_t at = jsontree_member(tree, 0, key, strlen(key));
	if (at == 0 || tree->nodes[at].kind != JSONTREE_STRING)
		return;
	struct buf room;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(tree, at, &room);
	if (memchr(text.data, 0, text.size) == NULL)
		buf_append(&conform->paths, text.data, text.size);
	buf_free(&room);
}

/* For each output the path of its schema, behind each other; "" where there is none. */
static void name_all(struct conform *conform, const struct record *r)
{
	buf_clear(&conform->paths);
	for (size_t i = 0; i < r->output_count; i++) {
		const struct output *output = &r->outputs[i];
		bool checked = is_checked(conform, output);
		const char *pinned = checked ? conform->config.sinks[output->sink].schema : NULL;
		if (pinned)
			buf_append_text(&conform->paths, pinned);
		else if (checked)
			append_named(conform, output);
		buf_append_byte(&conform->paths, '\0');
	}
}

/* The next of them, or NULL for none. */
static const char *next_name(const char **at)
{
	const char *name = *at;
	*at += strlen(name) + 1;
	return *name ? name : NULL;
}

static void strip(struct conform *conform, struct output *output, const struct schemas_answer *answer)
{
	const struct sink_config *sink = &conform->config.sinks[output->sink];
	size_t left_out = 0;
	buf_clear(&conform->stripped);
	if (!schema_strip(conform->checker, answer->schema, output->value, output->value_size,
	            &conform->stripped, &left_out, NULL) ||
	        left_out == 0)
		return;
	*metrics_value(conform->metrics, METRIC_SCHEMA_STRIPPED, sink->name) += (double)left_out;
	mem_free(output->value);
	output->value_size = conform->stripped.size;
	output->value = mem_dup(conform->stripped.data, conform->stripped.size);
	output->id_at = 0; /* it is stamped already */
}

/* All of them or none: none is changed before all schemas are there. */
static enum conform_verdict all_there(struct conform *conform, const struct record *r, int64_t now)
{
	struct schemas_answer answer;
	enum conform_verdict worst = CONFORM_GOOD, one;
	const char *at = conform->paths.data;
	for (size_t i = 0; i < r->output_count; i++) {
		const struct output *output = &r->outputs[i];
		const char *asked = next_name(&at);
		if (!is_checked(conform, output))
			continue;
		bool needed = conform->config.sinks[output->sink].unknown == SINK_UNKNOWN_STRIP;
		switch (schemas_get(conform->config.schemas, asked, now, &answer)) {
		case SCHEMAS_LOADING: one = CONFORM_LOADING; break;
		case SCHEMAS_AWAY:
			one = needed || conform->config.output == SCHEMAS_ENFORCE ? CONFORM_AWAY
			                                                          : CONFORM_GOOD;
			break;
		default: one = CONFORM_GOOD;
		}
		worst = one > worst ? one : worst;
	}
	return worst;
}

enum conform_verdict conform_outputs(
        struct conform *conform, struct record *r, int64_t now, struct conform_failure *failure)
{
	if (conform == NULL || conform->config.output == SCHEMAS_OFF || r->output_count == 0)
		return CONFORM_GOOD;
	name_all(conform, r);
	const char *at = conform->paths.data;
	enum conform_verdict verdict = all_there(conform, r, now);
	if (verdict != CONFORM_GOOD)
		return verdict;
	for (size_t i = 0; i < r->output_count && verdict == CONFORM_GOOD; i++) {
		struct output *output = &r->outputs[i];
		const char *asked = next_name(&at);
		struct schemas_answer answer;
		if (!is_checked(conform, output))
			continue;
		bool wanted = conform->config.sinks[output->sink].unknown == SINK_UNKNOWN_STRIP;
		if (!find(conform, r, "output", asked, wanted, now, &answer, &verdict, failure))
			continue;
		if (wanted && answer.exact)
			strip(conform, output, &answer);
		verdict = check(conform, r, "output", asked, &answer,
		        (struct bytes){output->value, output->value_size}, failure);
	}
	return verdict;
}
