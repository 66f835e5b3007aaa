/* The configuration that a script's tests run with, made of what their file says. */
#include "testfile_config.h"
#include "buf.h"
#include "config.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const char no_brokers[] = "{\"bootstrap.servers\": \"none\"}";

const struct yaml_node *testfile_member(const struct yaml_node *map, const char *name)
{
	long at = map && map->kind == YAML_MAP ? yaml_tree_find(map, name) : -1;
	return at < 0 ? NULL : &map->items[at];
}

static void complain(
        const struct testfile_config *given, const struct yaml_node *node, const char *text, const char *hint)
{
	given->listener->problem(given->listener->context, &node->place, text, hint);
}

/* A section of the test file, else of its configuration. */
struct section {
	const struct yaml_node *node; /* NULL: neither has it */
	bool verbatim;                /* no variables are replaced in it */
};

static struct section section(const struct testfile_config *given, const char *name)
{
	struct section found = {testfile_member(given->root, name), true};
	if (found.node == NULL)
		found = (struct section){testfile_member(given->base, name), false};
	return found;
}

static void append_node(
        const struct testfile_config *given, const struct yaml_node *node, bool verbatim, struct buf *out)
{
	struct buf json = {0};
	yaml_tree_json(node, &json, given->listener);
	if (verbatim)
		config_verbatim(out, json.data, json.size);
	else if (json.data)
		buf_append(out, json.data, json.size);
	buf_free(&json);
}

static void append_name(struct buf *out, const char *name)
{
	text_json_string(out, name, strlen(name));
	buf_append_text(out, ": ");
}

/* The members of a map but one, each with a comma before it. */
static void append_members(const struct testfile_config *given, const struct yaml_node *map, const char *but,
        bool verbatim, struct buf *out)
{
	for (size_t i = 0; map && map->kind == YAML_MAP && i < map->count; i++) {
		if (strcmp(map->keys[i].text, but) == 0)
			continue;
		buf_append_text(out, ", ");
		append_name(out, map->keys[i].text);
		append_node(given, &map->items[i], verbatim, out);
	}
}

static void append_section(
        const struct testfile_config *given, const char *name, const char *otherwise, struct buf *out)
{
	struct section found = section(given, name);
	if (found.node == NULL && otherwise == NULL)
		return;
	append_name(out, name);
	if (found.node)
		append_node(given, found.node, found.verbatim, out);
	else
		buf_append_text(out, otherwise);
	buf_append_byte(out, '\n');
}

/* ---- upstreams ---- */

/* Where nobody says otherwise calls go to a name that nothing answers to: they are played. */
static void append_upstream(const struct testfile_config *given, const char *name,
        const struct yaml_node *settings, bool verbatim, struct buf *out)
{
	append_name(out, name);
	buf_append_text(out, "{\"merge\": false");
	if (testfile_member(settings, "url") == NULL)
		buf_append_text(out, ", \"url\": \"http://upstream.invalid\"");
	append_members(given, settings, "merge", verbatim, out);
	buf_append_byte(out, '}');
}

static void append_upstreams(
        const struct testfile_config *given, const struct section *upstreams, struct buf *out)
{
	const struct yaml_node *node = upstreams->node;
	bool map = node && node->kind == YAML_MAP;
	if (node && !map && node->kind != YAML_LIST)
		complain(given, node, "expected a list of names, or a map of settings by name", NULL);
	else if (node == NULL || node->count == 0)
		append_upstream(given, "upstream", NULL, true, out);
	for (size_t i = 0; node && i < node->count; i++) {
		const struct yaml_node *name = map ? &node->keys[i] : &node->items[i];
		buf_append_text(out, i ? ", " : "");
		if (name->kind == YAML_TEXT)
			append_upstream(
			        given, name->text, map ? &node->items[i] : NULL, upstreams->verbatim, out);
		else
			complain(given, name, "expected a name", NULL);
	}
}

static void append_http(const struct testfile_config *given, struct buf *out)
{
	const struct yaml_node *http = testfile_member(given->base, "http");
	struct section upstreams = {testfile_member(given->root, "upstreams"), true};
	const struct yaml_node *endpoint = testfile_member(http, "endpoint");
	if (upstreams.node == NULL)
		upstreams = (struct section){testfile_member(http, "upstreams"), false};
	buf_append_text(out, "http: {");
	if (upstreams.node == NULL && endpoint) {
		append_name(out, "endpoint");
		append_node(given, endpoint, false, out);
	} else {
		buf_append_text(out, "\"upstreams\": {");
		append_upstreams(given, &upstreams, out);
		buf_append_byte(out, '}');
	}
	if (testfile_member(http, "user_agent") == NULL)
		buf_append_text(out, ", \"user_agent\": \"millrace-test/1.0\"");
	for (size_t i = 0; http && http->kind == YAML_MAP && i < http->count; i++) {
		const char *name = http->keys[i].text;
		if (strcmp(name, "upstreams") == 0 || strcmp(name, "endpoint") == 0)
			continue;
		buf_append_text(out, ", ");
		append_name(out, name);
		append_node(given, &http->items[i], false, out);
	}
	buf_append_text(out, "}\n");
}

/* ---- sinks ---- */

/* A sink as it stands there; nothing is sent, so nobody's brokers are named. */
static void append_sink(
        const struct testfile_config *given, const struct yaml_node *sink, bool verbatim, struct buf *out)
{
	if (sink->kind != YAML_MAP) {
		append_node(given, sink, verbatim, out);
		return;
	}
	buf_printf(out, "{\"kafka\": %s", no_brokers);
	append_members(given, sink, "kafka", verbatim, out);
	buf_append_byte(out, '}');
}

static void append_sinks(const struct testfile_config *given, struct buf *out)
{
	struct section one = section(given, "sink"), several = section(given, "sinks");
	if (several.verbatim && several.node && !one.verbatim)
		one.node = NULL; /* the test file's in place of the configuration's */
	if (one.node) {
		buf_append_text(out, "sink: ");
		append_sink(given, one.node, one.verbatim, out);
	} else if (several.node && several.node->kind == YAML_MAP) {
		buf_append_text(out, "sinks: {");
		for (size_t i = 0; i < several.node->count; i++) {
			buf_append_text(out, i ? ", " : "");
			append_name(out, several.node->keys[i].text);
			append_sink(given, &several.node->items[i], several.verbatim, out);
		}
		buf_append_byte(out, '}');
	} else {
		if (several.node)
			complain(given, several.node, "expected sinks by their names", NULL);
		buf_printf(out, "sinks: {output: {topic: output, max_bytes: 100MiB, kafka: %s}}", no_brokers);
	}
	buf_append_byte(out, '\n');
}

/* ---- schemas ---- */

/* A folder may be told from the test file's place, so that tests can be moved with it. */
static void append_uri(const struct testfile_config *given, const struct yaml_node *node, struct buf *out)
{
	char *path = NULL, *real = NULL;
	if (node->kind != YAML_TEXT) {
		complain(given, node, "expected a folder, or the URL of a schema repository", NULL);
		buf_append_text(out, "\"\"");
		return;
	}
	if (strstr(node->text, "://") == NULL) {
		path = node->text[0] == '/' ? mem_strdup(node->text)
		                            : mem_printf("%s/%s", given->folder, node->text);
		real = realpath(path, NULL);
		if (real == NULL)
			complain(given, node, "there is no such folder", NULL);
		mem_free(path);
		path = mem_printf("file://%s", real ? real : "/");
	}
	const char *uri = path ? path : node->text;
	config_quoted(out, uri, strlen(uri));
	mem_free(path);
	free(real);
}

static void append_uris(const struct testfile_config *given, const struct yaml_node *uris, struct buf *out)
{
	bool list = uris->kind == YAML_LIST;
	buf_append_text(out, "\"uris\": [");
	for (size_t i = 0; i < (list ? uris->count : 1); i++) {
		buf_append_text(out, i ? ", " : "");
		append_uri(given, list ? &uris->items[i] : uris, out);
	}
	buf_append_byte(out, ']');
}

/* `schemas: FOLDER`, a list of them, or the configuration's section. */
static void append_schemas(const struct testfile_config *given, struct buf *out)
{
	const struct yaml_node *own = testfile_member(given->root, "schemas");
	const struct yaml_node *uris = testfile_member(own, "uris");
	if (own == NULL) {
		append_section(given, "schemas", NULL, out);
		return;
	}
	buf_append_text(out, "schemas: {");
	if (own->kind != YAML_MAP)
		append_uris(given, own, out);
	else if (uris)
		append_uris(given, uris, out);
	else
		complain(given, own, "schemas has no uris", "uris: folders, or URLs of schema repositories");
	append_members(given, own, "uris", true, out);
	buf_append_text(out, "}\n");
}

char *testfile_config(const struct testfile_config *given)
{
	struct buf out = {0};
	size_t size;
	buf_printf(&out,
	        "name: test\nsource: {topics: [input], kafka: %s}\n"
	        "errors: {topic: errors, max_bytes: 100MiB, kafka: %s}\n"
	        "limits: {memory: 8GiB}\nadmin: {listen: \"off\"}\n",
	        no_brokers, no_brokers);
	append_http(given, &out);
	append_sinks(given, &out);
	append_schemas(given, &out);
	append_section(given, "key", NULL, &out);
	append_section(given, "order", given->base ? NULL : "\"none\"", &out);
	append_section(given, "topic_prefix", NULL, &out);
	return buf_steal(&out, &size);
}
