/* The schemas that a configuration needs, looked for in its repositories. */
#include "config_table.h"
#include "mem.h"

#include <string.h>

enum { FETCH_MS = 10000, SCHEMA_MAX = 1024 * 1024 };

static const char error_schema[] = "/error/2.1.0"; /* what error events follow */

struct search {
	struct config_loader loader;
	struct schemarepo repo;
	const struct config_schemas_listener *listener;
};

void config_schemarepo(const struct config *config, struct schemarepo *repo)
{
	struct fetch_route *routes = mem_zalloc(config->route_count, sizeof *routes);
	for (size_t i = 0; i < config->route_count; i++)
		routes[i] = (struct fetch_route){config->routes[i].name, config->routes[i].value};
	*repo = (struct schemarepo){.uris = (const char *const *)config->schema_uris,
	        .uri_count = config->schema_uri_count,
	        .fetch = {.user_agent = config->user_agent,
	                .routes = routes,
	                .route_count = config->route_count,
	                .timeout_ms = FETCH_MS,
	                .max_bytes = SCHEMA_MAX,
	                .tls = config->schema_tls,
	                .tls_section = "schemas.tls"}};
}

static void problem(const struct search *search, enum code code, const char *key, const struct err *err)
{
	struct config_loader loader = search->loader;
	struct yaml_place place = config_place(&loader, key);
	config_problem(&loader, code, &place, NULL, "%s: %s", key, err->text);
}

static void look_at_repositories(const struct search *search)
{
	for (size_t i = 0; i < search->repo.uri_count; i++) {
		struct err err = {""};
		char *what = mem_printf("schema repository %s", search->repo.uris[i]);
		bool there = schemarepo_there(&search->repo, i, &err);
		search->listener->reached(search->listener->context, there, what, "answers", &err);
		mem_free(what);
	}
}

/* `key` is blamed with that code for a schema that is not there or cannot be used. */
static void look_at_schema(const struct search *search, const char *path, const char *key, enum code code)
{
	struct schema *schema;
	struct err err = {""};
	enum schemas_state state = schemas_compile(&search->repo, path, &schema, &err);
	if (state == SCHEMAS_READY || state == SCHEMAS_AWAY) {
		char *what = mem_printf("schema %s", path);
		char *good = mem_printf("(%s) is there", schema ? schema_title(schema) : "");
		search->listener->reached(
		        search->listener->context, state == SCHEMAS_READY, what, good, &err);
		mem_free(what);
		mem_free(good);
	} else {
		problem(search, code, key, &err);
	}
	schema_free(schema);
}

void config_check_schemas(
        struct config *config, const struct config_schemas_listener *listener, struct config_report *report)
{
	struct search search = {
	        .loader = {.config = config, .found = &report->found, .file = config->path, .top = {1, 1, 0}},
	        .listener = listener};
	if (config->schema_uri_count == 0) {
		struct err err = {"none are configured: events are not held against schemas"};
		problem(&search, M331_NO_SCHEMAS, "schemas.uris", &err);
	} else {
		config_schemarepo(config, &search.repo);
		look_at_repositories(&search);
		for (size_t i = 0; i < config->sink_count; i++) {
			const struct sink_config *sink = &config->sinks[i];
			bool alone = config_origin_find(config, "sink") != NULL;
			char *key =
			        alone ? mem_strdup("sink.schema") : mem_printf("sinks.%s.schema", sink->name);
			if (sink->schema)
				look_at_schema(&search, sink->schema, key, M304_PINNED_SCHEMA);
			mem_free(key);
		}
		if (config->errors.stream)
			look_at_schema(&search, error_schema, "errors.stream", M332_ERROR_SCHEMA);
		mem_free((void *)(size_t)search.repo.fetch.routes);
	}
	config_finish_report(report, NULL, 0);
}
