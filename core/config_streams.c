/* Topics and key fields as the EventStreamConfig API knows them, put into the configuration. */
#include "config_table.h"
#include "mem.h"
#include "streams.h"
#include "text.h"

#include <string.h>
#include <sys/stat.h>

enum { FETCH_MS = 15000, ANSWER_MAX = 16 * 1024 * 1024 };

struct resolver {
	struct config_loader loader;
	struct streams streams;
};

static void problem(struct resolver *resolver, enum code code, const char *path, const char *text)
{
	struct yaml_place place = config_place(&resolver->loader, path);
	config_problem(&resolver->loader, code, &place, NULL, "%s: %s", path, text);
}

static void add_name(const char **names, size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	names[(*count)++] = name;
}

/* The streams that the configuration names itself; an error stream whose name is derived may be known to
 * nobody. */
static size_t named(const struct config *config, const char **names)
{
	size_t count = 0;
	if (config->source.stream)
		add_name(names, &count, config->source.stream);
	for (size_t i = 0; i < config->sink_count; i++)
		if (config->sinks[i].stream)
			add_name(names, &count, config->sinks[i].stream);
	return count;
}

/* "a, b, c" of what the API knows. */
static char *list_topics(const struct stream *stream)
{
	struct buf list;
	buf_init(&list, 400);
	for (size_t i = 0; i < stream->topic_count; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", stream->topics[i]);
	char *text = mem_printf("%s", list.size ? list.data : "none");
	buf_free(&list);
	return text;
}

static bool has_topic(const struct stream *stream, const char *topic)
{
	for (size_t i = 0; i < stream->topic_count; i++)
		if (strcmp(stream->topics[i], topic) == 0)
			return true;
	return false;
}

static const struct stream *known(struct resolver *resolver, const char *path, const char *name)
{
	const struct stream *stream = streams_find(&resolver->streams, name);
	if (stream)
		return stream;
	char *text =
	        mem_printf("the stream '%s' is not known at %s", name, resolver->loader.config->streams_uri);
	problem(resolver, M112_STREAM, path, text);
	mem_free(text);
	return NULL;
}

static void not_its_topic(
        struct resolver *resolver, const char *path, const struct stream *stream, const char *topic)
{
	char *topics = list_topics(stream);
	char *text = mem_printf("'%s' is no topic of the stream '%s', which has %s: is topic_prefix right?",
	        topic, stream->name, topics);
	problem(resolver, M112_STREAM, path, text);
	mem_free(text);
	mem_free(topics);
}

static void take_topics(struct resolver *resolver)
{
	struct source_config *source = &resolver->loader.config->source;
	const char *prefix = resolver->loader.config->topic_prefix;
	if (source->stream == NULL)
		return;
	const struct stream *stream = known(resolver, "source.stream", source->stream);
	if (stream == NULL)
		return;
	if (prefix && *prefix) { /* the topic by convention stands there already */
		if (!has_topic(stream, source->topics[0]))
			not_its_topic(resolver, "source.stream", stream, source->topics[0]);
		return;
	}
	if (stream->topic_count == 0) {
		problem(resolver, M112_STREAM, "source.stream", "the stream has no topics");
		return;
	}
	mem_free(source->topics[0]);
	mem_free(source->topics);
	source->topics = mem_zalloc(stream->topic_count, sizeof *source->topics);
	for (source->topic_count = 0; source->topic_count < stream->topic_count; source->topic_count++)
		source->topics[source->topic_count] = mem_strdup(stream->topics[source->topic_count]);
}

/* Outputs go to one topic: where the stream has several, the prefix has to say which. */
static void take_sink_topic(struct resolver *resolver, struct sink_config *sink, const char *path)
{
	const char *prefix = resolver->loader.config->topic_prefix;
	const struct stream *stream = sink->stream ? known(resolver, path, sink->stream) : NULL;
	if (stream == NULL || has_topic(stream, sink->topic))
		return;
	if ((prefix && *prefix) || stream->topic_count != 1) {
		not_its_topic(resolver, path, stream, sink->topic);
		return;
	}
	mem_free(sink->topic);
	sink->topic = mem_strdup(stream->topics[0]);
}

static bool same_fields(const struct key_field *a, size_t a_count, const struct key_field *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i].name, b[i].name) != 0 || strcmp(a[i].path, b[i].path) != 0)
			return false;
	return true;
}

/* The key of lanes and outputs is that of the first sink's stream, unless one is configured. */
static void take_key(struct resolver *resolver)
{
	struct config *config = resolver->loader.config;
	const struct stream *stream =
	        config->sinks[0].stream ? streams_find(&resolver->streams, config->sinks[0].stream) : NULL;
	if (stream == NULL || stream->key_count == 0)
		return;
	if (config_origin_find(config, "key")) {
		const struct sink_config *sink = &config->sinks[0];
		bool own = sink->key_count > 0;
		if (!same_fields(own ? sink->key : config->key, own ? sink->key_count : config->key_count,
		            stream->key, stream->key_count))
			problem(resolver, M136_STREAM_DOUBT, "key",
			        "other fields than message_key_fields of the sink's stream: its consumers "
			        "may find "
			        "the records of one key on several partitions");
		return;
	}
	config->key = mem_zalloc(stream->key_count, sizeof *config->key);
	for (size_t i = 0; i < stream->key_count; i++)
		config->key[i] =
		        (struct key_field){mem_strdup(stream->key[i].name), mem_strdup(stream->key[i].path)};
	config->key_count = stream->key_count;
	config_origin_add(config, "key", "message_key_fields of the sink's stream", NULL, false);
}

static void take(struct resolver *resolver)
{
	struct config *config = resolver->loader.config;
	take_topics(resolver);
	for (size_t i = 0; i < config->sink_count; i++) {
		bool alone = config_origin_find(config, "sink") != NULL;
		char *path = alone ? mem_strdup("sink.stream")
		                   : mem_printf("sinks.%s.stream", config->sinks[i].name);
		take_sink_topic(resolver, &config->sinks[i], path);
		mem_free(path);
	}
	take_key(resolver);
}

/* The cache's folder is that of the group's checkpoints, which may not be there yet; its parent is the store.
 */
static void make_folder(const char *file)
{
	char *folder = mem_strdup(file), *slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		mkdir(folder, 0755);
	}
	mem_free(folder);
}

static enum streams_outcome ask(
        struct resolver *resolver, const char *const *names, size_t count, struct err *err)
{
	struct config *config = resolver->loader.config;
	struct fetch_route *routes = mem_zalloc(config->route_count, sizeof *routes);
	for (size_t i = 0; i < config->route_count; i++)
		routes[i] = (struct fetch_route){config->routes[i].name, config->routes[i].value};
	struct streams_source source = {.uri = config->streams_uri,
	        .cache = config->streams_cache,
	        .fetch = {.user_agent = config->user_agent,
	                .routes = routes,
	                .route_count = config->route_count,
	                .timeout_ms = FETCH_MS,
	                .max_bytes = ANSWER_MAX,
	                .tls = config->streams_tls,
	                .tls_section = "streams.tls"}};
	if (source.cache)
		make_folder(source.cache);
	enum streams_outcome outcome = streams_ask(&source, names, count, &resolver->streams, err);
	mem_free(routes);
	return outcome;
}

enum config_streams config_resolve_streams(struct config *config, struct config_report *report)
{
	const char **names = mem_zalloc(config->sink_count + 1, sizeof *names);
	size_t count = config->streams_uri ? named(config, names) : 0;
	struct err err = {""};
	struct resolver resolver = {
	        .loader = {
	                .config = config, .found = &report->found, .file = config->path, .top = {1, 1, 0}}};
	enum config_streams result = CONFIG_STREAMS_GOOD;
	if (count > 0) {
		enum streams_outcome outcome = ask(&resolver, names, count, &err);
		bool prefixed = config->topic_prefix && *config->topic_prefix;
		if (outcome != STREAMS_UNKNOWN) {
			if (*err.text)
				problem(&resolver, M136_STREAM_DOUBT, "streams.config_uri", err.text);
			take(&resolver);
		} else if (prefixed) {
			char *text = mem_printf(
			        "%.700s; the topics are named by topic_prefix and the streams' names",
			        err.text);
			problem(&resolver, M136_STREAM_DOUBT, "streams.config_uri", text);
			mem_free(text);
		} else {
			problem(&resolver, M112_STREAM, "streams.config_uri", err.text);
			result = CONFIG_STREAMS_AWAY;
		}
	}
	streams_free(&resolver.streams);
	mem_free(names);
	config_finish_report(report, NULL, 0);
	return result == CONFIG_STREAMS_GOOD && report->errors ? CONFIG_STREAMS_BAD : result;
}
