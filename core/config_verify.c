/* What the table cannot say: derived defaults, and everything that concerns more than one key. */
#include "config_table.h"
#include "clock.h"
#include "kafka.h"
#include "machine.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TOPIC_MAX = 249, REVOKE_MS = 1500, MAX_DEPTH = 128 };

#define MIB ((size_t)1024 * 1024)

/* ---- derived defaults ---- */

static char *underscored(const char *name, const char *suffix)
{
	char *text = mem_printf("%s%s", name, suffix);
	for (char *at = text; *at; at++)
		if (*at == '-')
			*at = '_';
	return text;
}

static void derive_text(
        struct config_loader *loader, char **member, char *value, const char *path, const char *where)
{
	if (*member) {
		mem_free(value);
		return;
	}
	*member = value;
	config_origin_add(loader->config, path, where, NULL, false);
}

static void copy_properties(struct sink_config *to, const struct sink_config *from)
{
	to->kafka = mem_zalloc(from->kafka_count, sizeof *to->kafka);
	to->kafka_count = from->kafka_count;
	for (size_t i = 0; i < from->kafka_count; i++)
		to->kafka[i] = (struct kafka_property){mem_strdup(from->kafka[i].name),
		        mem_strdup(from->kafka[i].value), mem_strdup(from->kafka[i].where)};
}

static void derive_errors(struct config_loader *loader)
{
	struct config *config = loader->config;
	config->errors.name = mem_strdup("errors");
	if (config->name && config->errors.topic == NULL)
		derive_text(loader, &config->errors.stream, underscored(config->name, ".error"),
		        "errors.stream", "from name");
	if (config->name)
		derive_text(loader, &config->emitter_id, underscored(config->name, ""), "errors.emitter_id",
		        "from name");
	if (config_origin_find(config, "errors.kafka") == NULL && config->sink_count > 0)
		copy_properties(&config->errors, &config->sinks[0]);
}

static void derive_topic(const struct config *config, struct sink_config *sink)
{
	if (sink->stream && sink->topic == NULL)
		sink->topic = mem_printf("%s%s", config->topic_prefix, sink->stream);
}

static size_t largest_body(const struct config *config)
{
	size_t largest = 0;
	for (size_t i = 0; i < config->upstream_count; i++)
		if (config->upstreams[i].max_body > largest)
			largest = config->upstreams[i].max_body;
	return largest;
}

static size_t largest_message(const struct config *config)
{
	size_t largest = config->errors.max_bytes;
	for (size_t i = 0; i < config->sink_count; i++)
		if (config->sinks[i].max_bytes > largest)
			largest = config->sinks[i].max_bytes;
	return largest;
}

static void derive_memory(struct config_loader *loader)
{
	struct config *config = loader->config;
	bool cgroup;
	if (config->limit_memory != 0)
		return;
	uint64_t machine = machine_memory("", &cgroup), share = machine / 4, most = 2048 * MIB;
	config->limit_memory_auto = true;
	config->limit_memory = cgroup ? machine / 10 * 7 : share < most ? share : most;
	char *where = cgroup ? mem_printf("auto: 70 %% of the container's %zu MiB", (size_t)machine / MIB)
	                     : mem_printf("auto: no container limit, the machine has %zu MiB",
	                               (size_t)machine / MIB);
	config_origin_add(config, "limits.memory.auto", where, NULL, false);
	mem_free(where);
}

/* What no key sets: sizes that follow from others. */
static void derive_sizes(struct config *config)
{
	size_t body = largest_body(config), message = 4 * largest_message(config);
	config->script.max_event = body > message ? body : message;
	config->script.max_depth = MAX_DEPTH;
	config->source.revoke_ms = REVOKE_MS;
	config->budget = budget_of(&(struct budget_needs){.memory = config->limit_memory,
	        .script_memory = config->script.memory,
	        .largest_body = largest_body(config),
	        .largest_message = largest_message(config)});
	config->source.queue_bytes = config->budget.fetch_queue;
	config->source.fetch_bytes = config->budget.fetch_answer;
}

/* By convention; the EventStreamConfig API may know better (config_resolve_streams). */
static void derive_source_topic(struct config *config)
{
	struct source_config *source = &config->source;
	if (source->stream == NULL || source->topic_count > 0)
		return;
	source->topics = mem_zalloc(1, sizeof *source->topics);
	source->topics[0] = mem_printf("%s%s", config->topic_prefix, source->stream);
	source->topic_count = 1;
}

static void derive_streams_cache(struct config_loader *loader)
{
	struct config *config = loader->config;
	if (config->streams_uri && config->checkpoint_dir && config->source.group)
		derive_text(loader, &config->streams_cache,
		        mem_printf("%s/%s/streams.json", config->checkpoint_dir, config->source.group),
		        "streams.cache", "from checkpoint.dir");
}

void config_derive(struct config_loader *loader)
{
	struct config *config = loader->config;
	if (config->name)
		derive_text(
		        loader, &config->source.group, mem_strdup(config->name), "source.group", "from name");
	derive_source_topic(config);
	derive_streams_cache(loader);
	derive_errors(loader);
	for (size_t i = 0; i < config->sink_count; i++)
		derive_topic(config, &config->sinks[i]);
	derive_topic(config, &config->errors);
	derive_memory(loader);
	derive_sizes(config);
}

/* ---- checks ---- */

static void wrong(struct config_loader *loader, const char *path, const char *hint, const char *expected,
        const char *found)
{
	struct yaml_place place = config_place(loader, path);
	config_problem(
	        loader, M105_VALUE, &place, hint, "%s: expected %s, found '%s'", path, expected, found);
}

static bool made_of(const char *text, size_t most, const char *letters)
{
	size_t size = strlen(text);
	return size > 0 && size <= most && strspn(text, letters) == size;
}

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool topic_valid(const char *topic)
{
	return made_of(topic, TOPIC_MAX, ALPHANUMERIC "._-") && strcmp(topic, ".") != 0 &&
	       strcmp(topic, "..") != 0;
}

static void verify_topic(struct config_loader *loader, const char *path, const char *topic)
{
	if (!topic_valid(topic))
		wrong(loader, path, NULL, "a topic's name: letters, digits, '.', '_' and '-', at most 249",
		        topic);
}

static void verify_source(struct config_loader *loader)
{
	const struct source_config *source = &loader->config->source;
	int64_t wall;
	for (size_t i = 0; i < source->topic_count; i++) {
		verify_topic(loader, "source.topics", source->topics[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(source->topics[i], source->topics[j]) == 0)
				wrong(loader, "source.topics", NULL, "each topic once", source->topics[i]);
	}
	if (source->start && strcmp(source->start, "earliest") != 0 && strcmp(source->start, "latest") != 0 &&
	        !clock_parse(source->start, strlen(source->start), &wall))
		wrong(loader, "source.start", NULL, "earliest, latest or a time such as 2025-11-01T00:00:00Z",
		        source->start);
	if (source->group && *source->group == '\0')
		wrong(loader, "source.group", NULL, "a name", "");
}

/* The path of a sink: "sink", "sinks.NAME" or "errors"; frees with mem_free. */
static char *sink_path(const struct config *config, const struct sink_config *sink)
{
	if (sink == &config->errors || config_origin_find(config, "sink"))
		return mem_strdup(sink->name);
	return mem_printf("sinks.%s", sink->name);
}

static const char *servers(const struct kafka_property *properties, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(properties[i].name, "bootstrap.servers") == 0 ||
		        strcmp(properties[i].name, "metadata.broker.list") == 0)
			return properties[i].value;
	return NULL;
}

static void verify_servers(
        struct config_loader *loader, const char *path, const struct kafka_property *properties, size_t count)
{
	const char *value = servers(properties, count);
	struct yaml_place place = config_place(loader, path);
	if (config_origin_find(loader->config, path) && (value == NULL || *value == '\0'))
		config_problem(loader, M103_KEY_MISSING, &place,
		        "such as bootstrap.servers: \"localhost:9092\"", "'%s.bootstrap.servers' is required",
		        path);
}

/* librdkafka's own word on one property; its words may repeat the value, which may be a secret. */
static void verify_property(struct config_loader *loader, const char *path, enum kafka_client client,
        const struct kafka_property *property)
{
	struct err err;
	char *full = mem_printf("%s.%s", path, property->name);
	const struct config_origin *origin = config_origin_find(loader->config, full);
	if (origin && !kafka_check_property(client, property->name, property->value, &err)) {
		bool known = !strstr(err.text, "has no property");
		config_problem(loader, M109_KAFKA_PROPERTY, &origin->place, NULL, "%s: %s", path,
		        origin->secret && known ? "a value that librdkafka refuses" : err.text);
	}
	const char *doubt = kafka_doubt(property->name, property->value);
	if (origin && doubt)
		config_problem(loader, M131_KAFKA_DOUBT, &origin->place, NULL, "%s: %s", path, doubt);
	mem_free(full);
}

static void verify_properties(struct config_loader *loader, const char *path, enum kafka_client client,
        const struct kafka_property *properties, size_t count)
{
	for (size_t i = 0; i < count; i++)
		verify_property(loader, path, client, &properties[i]);
	verify_servers(loader, path, properties, count);
}

/* Together: what contradicts, which file is missing. Only when each for itself was good. */
static void verify_client(struct config_loader *loader, const char *path, enum kafka_client client,
        const struct kafka_settings *settings)
{
	struct err err;
	struct yaml_place place = config_place(loader, path);
	if (loader->found->errors == 0 && !kafka_check_client(client, settings, &err))
		config_problem(loader, M109_KAFKA_PROPERTY, &place, NULL, "%s: %s", path, err.text);
}

static void verify_clients(struct config_loader *loader)
{
	const struct config *config = loader->config;
	struct kafka_settings settings = {.client_id = config->name,
	        .group = config->source.group,
	        .queue_bytes = config->source.queue_bytes,
	        .fetch_bytes = config->source.fetch_bytes,
	        .properties = config->source.kafka,
	        .property_count = config->source.kafka_count};
	verify_client(loader, "source.kafka", KAFKA_CONSUMER, &settings);
	for (size_t i = 0; i <= config->sink_count; i++) {
		const struct sink_config *sink = i < config->sink_count ? &config->sinks[i] : &config->errors;
		char *path = sink_path(config, sink), *kafka = mem_printf("%s.kafka", path);
		settings = (struct kafka_settings){.client_id = config->name,
		        .max_bytes = sink->max_bytes,
		        .queue_bytes = config->budget.produce_queue,
		        .properties = sink->kafka,
		        .property_count = sink->kafka_count};
		verify_client(loader, kafka, KAFKA_PRODUCER, &settings);
		mem_free(path);
		mem_free(kafka);
	}
}

static bool same_cluster(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static void verify_loop(struct config_loader *loader, const char *path, const struct sink_config *sink)
{
	const struct source_config *source = &loader->config->source;
	if (!same_cluster(
	            servers(source->kafka, source->kafka_count), servers(sink->kafka, sink->kafka_count)))
		return;
	for (size_t i = 0; sink->topic && i < source->topic_count; i++)
		if (strcmp(sink->topic, source->topics[i]) == 0)
			wrong(loader, path, "every output would come back as an input",
			        "a topic that is not read by 'source.topics'", sink->topic);
}

static bool name_valid(const char *name)
{
	return made_of(name, 128, ALPHANUMERIC "._-") && strchr("._-", name[0]) == NULL;
}

/* The error stream's name may be made from the job's, whose own fault is told once. */
static bool topic_given(const struct config *config, const char *path)
{
	const struct config_origin *origin = config_origin_find(config, path);
	return (origin && origin->place.line) || config->name == NULL || name_valid(config->name);
}

/* What a schema does not know can be left out only where outputs are held against one. */
static void verify_unknown(struct config_loader *loader, const struct sink_config *sink, const char *section)
{
	const struct config *config = loader->config;
	char *path = mem_printf("%s.unknown", section);
	if (sink->unknown == SINK_UNKNOWN_STRIP && sink->stream == NULL)
		wrong(loader, path, "outputs to a plain 'topic' are not held against a schema",
		        "fail for a sink with a 'topic'", "strip");
	else if (sink->unknown == SINK_UNKNOWN_STRIP &&
	         (config->schema_uri_count == 0 || config->schema_output == SCHEMAS_OFF))
		wrong(loader, path, "give the repositories in 'schemas.uris', and 'schemas.output'",
		        "fail where outputs are not held against their schemas", "strip");
	mem_free(path);
}

static void verify_sink(struct config_loader *loader, const struct sink_config *sink)
{
	char *path = sink_path(loader->config, sink), *kafka = mem_printf("%s.kafka", path);
	char *topic = mem_printf("%s.%s", path, sink->stream ? "stream" : "topic");
	char *schema = mem_printf("%s.schema", path);
	if (sink->topic && topic_given(loader->config, topic))
		verify_topic(loader, topic, sink->topic);
	if (sink->schema && !schemarepo_path_valid(sink->schema))
		wrong(loader, schema, NULL, "keep, or a path such as /my/output/1.0.0", sink->schema);
	else if (sink->schema && sink->stream == NULL)
		wrong(loader, schema, "events are stamped where the sink has a 'stream'; a 'topic' is plain",
		        "keep for a sink with a 'topic'", sink->schema);
	verify_unknown(loader, sink, path);
	verify_properties(loader, kafka, KAFKA_PRODUCER, sink->kafka, sink->kafka_count);
	verify_loop(loader, topic, sink);
	mem_free(path);
	mem_free(kafka);
	mem_free(topic);
	mem_free(schema);
}

static void verify_error_topic(struct config_loader *loader)
{
	const struct sink_config *errors = &loader->config->errors;
	for (size_t i = 0; errors->topic && i < loader->config->sink_count; i++) {
		const struct sink_config *sink = &loader->config->sinks[i];
		if (sink->topic && strcmp(sink->topic, errors->topic) == 0 &&
		        same_cluster(servers(sink->kafka, sink->kafka_count),
		                servers(errors->kafka, errors->kafka_count)))
			wrong(loader, errors->stream ? "errors.stream" : "errors.topic", NULL,
			        "another topic than the sink's", errors->topic);
	}
}

static const char without_password[] =
        "an address without user name and password (send a header from the script instead)";

/* Why a URL cannot be used, or NULL. */
static const char *url_fault(const char *url)
{
	size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
	const char *rest = url + scheme;
	size_t authority = strcspn(rest, "/?#");
	if (scheme == 0)
		return "an address that begins with http:// or https://";
	for (const char *at = url; *at; at++)
		if ((unsigned char)*at <= 0x20 || (unsigned char)*at == 0x7F)
			return "an address without spaces or control characters";
	if (memchr(rest, '@', authority))
		return without_password;
	if (authority == 0 || rest[0] == ':')
		return "an address with a host";
	if (strpbrk(rest, "?#"))
		return "an address without '?' and '#' (the query belongs to the script's request)";
	return NULL;
}

static bool host_valid(const char *host)
{
	if (strcmp(host, "*") == 0)
		return true;
	if (strncmp(host, "*.", 2) == 0)
		host += 2;
	return made_of(host, 255, ALPHANUMERIC ".-:") && host[0] != '.' && host[0] != ':';
}

/* An origin is all that comes before the path. */
static bool origin_valid(const char *origin)
{
	const char *host = strstr(origin, "://");
	return host && url_fault(origin) == NULL && strchr(host + 3, '/') == NULL;
}

static bool has_password(const char *url)
{
	const char *host = strstr(url, "://");
	return host && memchr(host + 3, '@', strcspn(host + 3, "/?#")) != NULL;
}

/* An address that is not as it should be; one with a password is not shown. */
static void wrong_address(
        struct config_loader *loader, const char *path, const char *expected, const char *url)
{
	if (!has_password(url)) {
		wrong(loader, path, NULL, expected, url);
		return;
	}
	struct yaml_place place = config_place(loader, path);
	place.length = 0;
	config_problem(loader, M105_VALUE, &place, NULL, "%s: expected %s", path, without_password);
}

/* `secure`: some address that they are for begins with https. */
static void verify_tls(
        struct config_loader *loader, const struct tls_config *tls, bool secure, const char *section)
{
	char *path = mem_printf("%s.tls", section);
	struct yaml_place place = config_place(loader, path);
	if ((tls->cert == NULL) != (tls->key == NULL))
		config_problem(loader, M105_VALUE, &place, NULL, "%s: 'cert' and 'key' go together", path);
	if (!secure && (tls->ca || tls->cert))
		config_problem(loader, M133_TLS_UNUSED, &place, "the address begins with http://",
		        "%s has no effect without https", path);
	mem_free(path);
}

static bool is_secure(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

static void verify_streams(struct config_loader *loader)
{
	const struct config *config = loader->config;
	const char *fault = config->streams_uri ? url_fault(config->streams_uri) : NULL;
	if (fault)
		wrong_address(loader, "streams.config_uri", fault, config->streams_uri);
	bool secure = config->streams_uri == NULL || is_secure(config->streams_uri);
	if (config->streams_cache && config->streams_cache[0] != '/')
		wrong(loader, "streams.cache", NULL, "a path that begins with /", config->streams_cache);
	for (size_t i = 0; i < config->route_count; i++) {
		const struct kafka_property *route = &config->routes[i];
		if (!origin_valid(route->name))
			wrong_address(loader, "routes",
			        "an address up to its host, such as https://meta.wikimedia.org", route->name);
		if (!origin_valid(route->value))
			wrong_address(loader, "routes",
			        "an address up to its host, such as http://localhost:6500", route->value);
		secure = secure || is_secure(route->value);
	}
	verify_tls(loader, &config->streams_tls, secure, "streams");
}

static void verify_schemas(struct config_loader *loader)
{
	const struct config *config = loader->config;
	bool secure = false;
	for (size_t i = 0; i < config->schema_uri_count; i++) {
		const char *uri = config->schema_uris[i];
		if (has_password(uri) || !fetch_url_valid(uri, NULL))
			wrong_address(loader, "schemas.uris",
			        "file:///FOLDER, http://HOST/... or https://HOST/...", uri);
		secure = secure || is_secure(uri);
	}
	for (size_t i = 0; i < config->route_count; i++)
		secure = secure || is_secure(config->routes[i].value);
	verify_tls(loader, &config->schema_tls, secure, "schemas");
	if (config->schema_uri_count == 0 && config->schema_input != SCHEMAS_OFF)
		wrong(loader, "schemas.input", "give the repositories in 'schemas.uris'",
		        "off where there is no repository",
		        config->schema_input == SCHEMAS_WARN ? "warn" : "enforce");
}

static bool header_valid(const char *name)
{
	return made_of(name, 255, ALPHANUMERIC "!#$%&'*+-.^_`|~");
}

static void verify_retry(struct config_loader *loader, const struct retry_config *retry, const char *path)
{
	char *cap = mem_printf("%s.cap", path);
	struct yaml_place place = config_place(loader, cap);
	if (retry->cap_ms < retry->base_ms)
		config_problem(loader, M105_VALUE, &place, NULL,
		        "%s: expected at least 'base' (%lld ms), found %lld ms", cap,
		        (long long)retry->base_ms, (long long)retry->cap_ms);
	mem_free(cap);
}

static void verify_hosts(
        struct config_loader *loader, const struct upstream_config *upstream, const char *path)
{
	char *url = mem_printf("%s.url", path), *hosts = mem_printf("%s.hosts", path);
	bool template = upstream->url && strstr(upstream->url, "{host}");
	struct yaml_place place = config_place(loader, url);
	if (template && upstream->host_count == 0)
		config_problem(loader, M110_HOSTS, &place, "such as hosts: [\"*.example.org\"]",
		        "%s: '{host}' in an address demands '%s', the hosts that a request may name", url,
		        hosts);
	for (size_t i = 0; i < upstream->host_count; i++)
		if (!host_valid(upstream->hosts[i]))
			wrong(loader, hosts, NULL, "hosts such as www.example.org or *.example.org",
			        upstream->hosts[i]);
	mem_free(url);
	mem_free(hosts);
}

static void verify_upstream(struct config_loader *loader, const struct upstream_config *upstream)
{
	char *path = mem_printf("http.upstreams.%s", upstream->name), *url = mem_printf("%s.url", path);
	char *headers = mem_printf("%s.per_record_headers", path), *retry = mem_printf("%s.retry", path);
	const char *fault = upstream->url ? url_fault(upstream->url) : NULL;
	if (fault)
		wrong_address(loader, url, fault, upstream->url);
	verify_hosts(loader, upstream, path);
	if (config_origin_find(loader->config, retry))
		verify_retry(loader, &upstream->retry, retry);
	verify_tls(loader, &upstream->tls, upstream->url == NULL || is_secure(upstream->url), path);
	for (size_t i = 0; i < upstream->per_record_header_count; i++)
		if (!header_valid(upstream->per_record_headers[i]))
			wrong(loader, headers, NULL, "names of headers", upstream->per_record_headers[i]);
	mem_free(path);
	mem_free(url);
	mem_free(headers);
	mem_free(retry);
}

static void verify_agent(struct config_loader *loader, const char *path, const char *agent)
{
	struct yaml_place place = config_place(loader, path);
	for (const char *at = agent; at && *at; at++)
		if ((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7F) {
			config_problem(loader, M105_VALUE, &place, NULL,
			        "%s: expected one line of text without control characters", path);
			return;
		}
}

static void verify_user_agent(struct config_loader *loader)
{
	const char *agent = loader->config->user_agent;
	struct yaml_place place = config_place(loader, "http.user_agent");
	if (loader->config->upstream_count && config_origin_find(loader->config, "http.user_agent") == NULL)
		config_problem(loader, M132_USER_AGENT, &place,
		        "whoever runs the service wants to reach you: user_agent: \"my-job/1.0 "
		        "(team@example.org)\"",
		        "'http.user_agent' is not set");
	verify_agent(loader, "http.user_agent", agent);
	verify_agent(loader, "backfill.user_agent", loader->config->backfill.user_agent);
}

/* HOST:PORT, with an IPv6 host in brackets. */
static bool listen_valid(const char *listen)
{
	const char *colon = strrchr(listen, ':');
	if (colon == NULL || colon == listen || strlen(colon + 1) > 5 ||
	        !made_of(colon + 1, 5, "0123456789") || atoi(colon + 1) > 65535)
		return false;
	size_t host = (size_t)(colon - listen);
	if (listen[0] == '[')
		return host > 2 && listen[host - 1] == ']';
	return memchr(listen, ':', host) == NULL;
}

static void verify_memory(struct config_loader *loader)
{
	const struct config *config = loader->config;
	size_t needed = config->budget.needed;
	size_t bodies = BUDGET_PER_BODY * largest_body(config);
	struct yaml_place place = config_place(loader, "limits.memory");
	if (config->limit_memory >= needed || loader->found->errors > 0)
		return;
	const char *hint =
	        config->limit_memory_auto
	                ? "give the container more memory, set limits.memory, or lower script.memory or the "
	                  "upstreams' max_body"
	                : "raise it, or lower script.memory or the upstreams' max_body";
	config_problem(loader, M111_MEMORY, &place, hint,
	        "limits.memory: %zu MiB%s is too little: %zu MiB are needed (the engine %zu, script.memory "
	        "%zu, and four "
	        "times the largest max_body %zu)",
	        config->limit_memory / MIB, config->limit_memory_auto ? " (auto)" : "",
	        (needed + MIB - 1) / MIB, (needed - config->script.memory - bodies) / MIB,
	        config->script.memory / MIB, bodies / MIB);
}

/* One output as large as is allowed must have room; only where somebody asked for that size. */
static void verify_message(struct config_loader *loader, const struct sink_config *sink)
{
	const struct budget *budget = &loader->config->budget;
	char *base = sink_path(loader->config, sink), *path = mem_printf("%s.max_bytes", base);
	const struct config_origin *origin = config_origin_find(loader->config, path);
	size_t needed = BUDGET_PER_MESSAGE * sink->max_bytes;
	if (origin && origin->place.line && loader->found->errors == 0 && needed > budget->records)
		config_problem(loader, M134_MEMORY_TIGHT, &origin->place, "raise limits.memory, or lower it",
		        "%s: an output of that size needs %zu MiB at one time, and limits.memory leaves %zu "
		        "MiB "
		        "for records",
		        path, needed / MIB, budget->records / MIB);
	mem_free(base);
	mem_free(path);
}

void config_verify(struct config_loader *loader)
{
	const struct config *config = loader->config;
	if (config->name &&
	        (!made_of(config->name, 128, ALPHANUMERIC "._-") || strchr("._-", config->name[0])))
		wrong(loader, "name", NULL, "letters, digits, '.', '_' and '-', at most 128", config->name);
	verify_source(loader);
	verify_streams(loader);
	verify_schemas(loader);
	verify_properties(
	        loader, "source.kafka", KAFKA_CONSUMER, config->source.kafka, config->source.kafka_count);
	verify_user_agent(loader);
	if (config->retry.base_ms)
		verify_retry(loader, &config->retry, "http.retry");
	for (size_t i = 0; i < config->upstream_count; i++)
		verify_upstream(loader, &config->upstreams[i]);
	for (size_t i = 0; i < config->sink_count; i++)
		verify_sink(loader, &config->sinks[i]);
	verify_sink(loader, &config->errors);
	verify_error_topic(loader);
	if (config->admin_listen && !listen_valid(config->admin_listen))
		wrong(loader, "admin.listen", NULL, "an address and a port such as 127.0.0.1:9464, or off",
		        config->admin_listen);
	if (config->admin_token && *config->admin_token == '\0')
		wrong(loader, "admin.token", NULL, "a text", "");
	verify_memory(loader);
	for (size_t i = 0; i < config->sink_count; i++)
		verify_message(loader, &config->sinks[i]);
	verify_message(loader, &config->errors);
	verify_clients(loader);
}
