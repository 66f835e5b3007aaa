/* The configuration of a run over files: from the options, or from a job's file with the options on top. */
#include "enrich.h"
#include "jsontree.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- options that name something ---- */

size_t enrich_endpoint_name(const char *endpoint)
{
	size_t size = strcspn(endpoint, "=:/?");
	return endpoint[size] == '=' ? size : 0;
}

static const char *url_of(const char *endpoint)
{
	size_t name = enrich_endpoint_name(endpoint);
	return name ? endpoint + name + 1 : endpoint;
}

static const char *default_endpoint(const struct enrich *enrich)
{
	for (size_t i = 0; i < enrich->endpoint_count; i++)
		if (enrich_endpoint_name(enrich->endpoints[i]) == 0)
			return enrich->endpoints[i];
	return enrich->endpoint_count ? enrich->endpoints[0] : NULL;
}

/* ---- from the options alone ---- */

static const char nameless[] = "endpoint";

static void append_upstream(
        struct buf *yaml, const struct enrich *enrich, const char *name, size_t size, const char *url)
{
	buf_append_text(yaml, "    ");
	config_quoted(yaml, size ? name : nameless, size ? size : strlen(nameless));
	buf_append_text(yaml, ": {url: ");
	config_quoted(yaml, url, strlen(url));
	if (strstr(url, "{host}"))
		buf_append_text(yaml, ", hosts: [\"*\"]");
	buf_printf(yaml, ", concurrency: %s, timeout: %s, retry: {attempts: %s}}\n",
	        enrich->concurrency ? enrich->concurrency : "64", enrich->timeout ? enrich->timeout : "60s",
	        enrich->attempts ? enrich->attempts : "8");
}

static void append_endpoint(struct buf *yaml, const struct enrich *enrich, const char *endpoint)
{
	append_upstream(yaml, enrich, endpoint, enrich_endpoint_name(endpoint), url_of(endpoint));
}

/* Those that were asked when the cassette was recorded; nobody asks them now. */
static void append_recorded(struct buf *yaml, const struct enrich *enrich, const struct cassette *cassette)
{
	static const char nowhere[] = "http://replayed.invalid/";
	char *names[ENRICH_GIVEN_MAX];
	size_t count = cassette_upstreams(cassette, names, ENRICH_GIVEN_MAX), first = 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], nameless) == 0)
			first = i;
	append_upstream(yaml, enrich, count ? names[first] : nameless,
	        strlen(count ? names[first] : nameless), nowhere);
	for (size_t i = 0; i < count; i++) {
		if (i != first)
			append_upstream(yaml, enrich, names[i], strlen(names[i]), nowhere);
		mem_free(names[i]);
	}
}

static void append_upstreams(struct buf *yaml, const struct enrich *enrich, const struct enrich_tape *tape)
{
	const char *first = default_endpoint(enrich);
	if (first == NULL && tape->cassette == NULL)
		return; /* a request is refused with the reason */
	buf_append_text(yaml, "  upstreams:\n");
	if (first == NULL)
		append_recorded(yaml, enrich, tape->cassette);
	else
		append_endpoint(yaml, enrich, first);
	for (size_t i = 0; i < enrich->endpoint_count; i++)
		if (enrich->endpoints[i] != first)
			append_endpoint(yaml, enrich, enrich->endpoints[i]);
}

static struct config *make_config(
        const struct enrich *enrich, const char *script, const struct enrich_tape *tape)
{
	struct buf yaml;
	struct config_report report = {0};
	buf_init(&yaml, 0);
	buf_append_text(&yaml, "name: enrich\nsource: {topics: [input], kafka: {bootstrap.servers: none}}\n"
	                       "script:\n  path: ");
	config_quoted(&yaml, script, strlen(script));
	buf_append_text(&yaml, "\nhttp:\n  user_agent: \"millrace/" MILLRACE_VERSION " (enrich)\"\n");
	append_upstreams(&yaml, enrich, tape);
	buf_append_text(&yaml, "sink: {topic: stdout, max_bytes: 100MiB, kafka: {bootstrap.servers: none}}\n"
	                       "errors: {topic: errors, max_bytes: 100MiB}\nlimits: {memory: 1GiB}\n");
	struct config *config = config_parse("(options of millrace enrich)", yaml.data, yaml.size, &report);
	if (report.errors)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	buf_free(&yaml);
	return config;
}

/* ---- from a job's file ---- */

static struct config *load_config(const struct enrich *enrich)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	struct config *config = config_load(enrich->config, &report);
	if (report.text.size)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	return config;
}

static struct upstream_config *upstream_called(const struct config *config, const char *name, size_t size)
{
	if (size == 0)
		return config->upstream_count ? &config->upstreams[0] : NULL;
	for (size_t i = 0; i < config->upstream_count; i++)
		if (strncmp(config->upstreams[i].name, name, size) == 0 && !config->upstreams[i].name[size])
			return &config->upstreams[i];
	return NULL;
}

static void allow_any_host(struct upstream_config *upstream)
{
	upstream->hosts = mem_zalloc(1, sizeof *upstream->hosts);
	upstream->hosts[0] = mem_strdup("*");
	upstream->host_count = 1;
}

static bool use_endpoint(const struct config *config, const char *endpoint)
{
	size_t name = enrich_endpoint_name(endpoint);
	struct upstream_config *upstream = upstream_called(config, endpoint, name);
	if (upstream == NULL) {
		fprintf(stderr, "millrace enrich: --endpoint %s: %s has no upstream '%.*s'; it has", endpoint,
		        config->path, (int)(name ? name : 7), name ? endpoint : "default");
		for (size_t i = 0; i < config->upstream_count; i++)
			fprintf(stderr, "%s %s", i ? "," : "", config->upstreams[i].name);
		fputs(config->upstream_count ? "\n" : " none\n", stderr);
		return false;
	}
	mem_free(upstream->url);
	upstream->url = mem_strdup(url_of(endpoint));
	if (strstr(upstream->url, "{host}") && upstream->host_count == 0)
		allow_any_host(upstream);
	return true;
}

static bool use_options(const struct enrich *enrich, struct config *config)
{
	int64_t ms = 0;
	for (size_t i = 0; i < enrich->endpoint_count; i++)
		if (!use_endpoint(config, enrich->endpoints[i]))
			return false;
	for (size_t i = 0; i < config->upstream_count; i++) {
		struct upstream_config *upstream = &config->upstreams[i];
		if (enrich->concurrency)
			upstream->concurrency = (unsigned)atoi(enrich->concurrency);
		if (enrich->timeout && text_duration(enrich->timeout, &ms))
			upstream->timeout_ms = ms;
		if (enrich->attempts)
			upstream->retry.attempts = (unsigned)atoi(enrich->attempts);
	}
	return true;
}

/* ---- params ---- */

static bool plain_scalar(const char *text)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return true;
	size_t digits = strspn(text, "0123456789");
	return digits > 0 && digits < 16 && text[digits] == '\0' && (text[0] != '0' || digits == 1);
}

/* Of several with one name the last holds. */
static bool given_later(const struct enrich *enrich, size_t from, const char *name, size_t size)
{
	for (size_t i = from; i < enrich->param_count; i++)
		if (strncmp(enrich->params[i], name, size) == 0 && enrich->params[i][size] == '=')
			return true;
	return false;
}

static void append_param(struct buf *json, const char *name, size_t size, struct bytes value)
{
	buf_append_text(json, json->size > 1 ? "," : "");
	text_json_string(json, name, size);
	buf_append_byte(json, ':');
	buf_append(json, value.data, value.size);
}

static void append_configured(struct buf *json, const struct enrich *enrich, const struct jsontree *tree)
{
	struct buf room;
	buf_init(&room, 0);
	for (uint32_t i = 0, at = 1; i < tree->nodes[0].count; i++, at = tree->nodes[at + 1].next) {
		struct bytes name = jsontree_string(tree, at, &room);
		if (!given_later(enrich, 0, name.data, name.size))
			append_param(json, name.data, name.size, jsontree_raw(tree, at + 1));
	}
	buf_free(&room);
}

static void use_params(const struct enrich *enrich, struct config *config)
{
	struct buf json, text;
	struct jsontree tree;
	const char *before = config->script.params_json;
	if (enrich->param_count == 0)
		return;
	buf_init(&json, 0);
	buf_init(&text, 0);
	jsontree_init(&tree);
	buf_append_byte(&json, '{');
	if (before && jsontree_parse(&tree, before, strlen(before), NULL, NULL) &&
	        tree.nodes[0].kind == JSONTREE_OBJECT)
		append_configured(&json, enrich, &tree);
	for (size_t i = 0; i < enrich->param_count; i++) {
		const char *name = enrich->params[i], *value = strchr(name, '=') + 1;
		size_t size = (size_t)(value - name) - 1;
		if (given_later(enrich, i + 1, name, size))
			continue;
		buf_clear(&text);
		if (plain_scalar(value))
			buf_append_text(&text, value);
		else
			text_json_string(&text, value, strlen(value));
		append_param(&json, name, size, (struct bytes){text.data, text.size});
	}
	buf_append_byte(&json, '}');
	mem_free((char *)(size_t)config->script.params_json);
	config->script.params_json = buf_steal(&json, NULL);
	jsontree_free(&tree);
	buf_free(&text);
}

/* ---- both ---- */

/* Outputs come in the order of the input, and nothing is left behind. */
static void be_a_filter(const struct enrich *enrich, struct config *config, const char *script)
{
	mem_free(config->admin_listen);
	mem_free(config->checkpoint_dir);
	config->admin_listen = config->checkpoint_dir = NULL;
	config->script_reload = SCRIPT_RELOAD_OFF;
	config->order = ORDER_PARTITION;
	if (script) {
		mem_free((char *)(size_t)config->script.path);
		config->script.path = mem_strdup(script);
	}
	size_t kept = 0;
	for (size_t i = 0; i < config->schema_uri_count; i++)
		if (enrich->replay && strncmp(config->schema_uris[i], "file:", 5) != 0)
			mem_free(config->schema_uris[i]); /* no network */
		else
			config->schema_uris[kept++] = config->schema_uris[i];
	config->schema_uri_count = kept;
	for (size_t i = 0; i < config->upstream_count;
	        i++) /* each question is asked alone, and so the same */
		if (enrich->record || enrich->replay || enrich->other)
			config->upstreams[i].merge = false;
}

struct config *enrich_configure(
        const struct enrich *enrich, const char *script, const struct enrich_tape *tape)
{
	struct config *config = enrich->config ? load_config(enrich) : make_config(enrich, script, tape);
	if (config == NULL)
		return NULL;
	if (enrich->config && !use_options(enrich, config)) {
		config_free(config);
		return NULL;
	}
	be_a_filter(enrich, config, script);
	use_params(enrich, config);
	return config;
}
