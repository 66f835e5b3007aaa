/* The one table of all configuration keys: parser, show, schema, defaults and reference come from it. */
#include "config_table.h"

#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define COUNTED(type, member, counter) AT(type, member), .count = offsetof(type, counter)
/* A key of a section whose value stands behind the section's struct. */
#define BESIDE(type, section, member)                                                                        \
	.offset = offsetof(type, member) - offsetof(type, section), .size = sizeof(((type *)0)->member)
#define KEYS(array) array, sizeof(array) / sizeof *(array)
#define KIB 1024.0
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECOND 1000.0
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct config_choice orders[] = {
        {"key", ORDER_KEY}, {"partition", ORDER_PARTITION}, {"none", ORDER_NONE}, {NULL, 0}};
static const struct config_choice reloads[] = {{"watch", SCRIPT_RELOAD_WATCH},
        {"signal", SCRIPT_RELOAD_SIGNAL}, {"off", SCRIPT_RELOAD_OFF}, {NULL, 0}};
static const struct config_choice levels[] = {
        {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {NULL, 0}};
static const struct config_choice formats[] = {
        {"auto", LOG_AUTO}, {"text", LOG_TEXT}, {"json", LOG_JSON}, {"logfmt", LOG_LOGFMT}, {NULL, 0}};

static const struct config_choice modes[] = {
        {"off", SCHEMAS_OFF}, {"warn", SCHEMAS_WARN}, {"enforce", SCHEMAS_ENFORCE}, {NULL, 0}};
static const struct config_choice unknowns[] = {
        {"fail", SINK_UNKNOWN_FAIL}, {"strip", SINK_UNKNOWN_STRIP}, {NULL, 0}};

static const struct config_key source_keys[] = {
        {"topics", CONFIG_TEXTS, COUNTED(struct source_config, topics, topic_count), .required = true,
                .example = "[my.input.v1]", .prose = "Topics to read, by their full names."},
        {"stream", CONFIG_TEXT, AT(struct source_config, stream), .instead = "topics",
                .example = "my.input.v1",
                .prose = "The stream to read: its topics are what `streams.config_uri` says, with "
                         "`topic_prefix` the one that begins with it; without an answer `topic_prefix` and "
                         "this name."},
        {"group", CONFIG_TEXT, AT(struct source_config, group), .derived = "the value of `name`",
                .example = "my-group", .prose = "Consumer group, where positions are kept."},
        {"start", CONFIG_TEXT, AT(struct source_config, start), .fallback = "earliest",
                .prose = "Where to begin when the group has no position yet: `earliest`, `latest` or a time "
                         "such as "
                         "`2025-11-01T00:00:00Z`."},
        {"kafka", CONFIG_PROPERTIES, COUNTED(struct source_config, kafka, kafka_count), .required = true,
                .example = "{bootstrap.servers: \"localhost:9092\"}",
                .prose =
                        "Properties of the consumer, passed to librdkafka; `bootstrap.servers` is required."},
};
static const struct config_section source_section = {KEYS(source_keys), 0};

static const struct config_key rollback_keys[] = {
        {"share", CONFIG_SHARE, AT(struct rollback_config, share), .reloadable = true, .fallback = "0.5",
                .min = 0.01, .max = 1, .nothing = "off",
                .prose = "The share of records that fail by errors of the script itself, from which on it is "
                         "rolled back; `off` for never. At least 20 records must have ended on it."},
        {"records", CONFIG_INTEGER, AT(struct rollback_config, records), .reloadable = true,
                .fallback = "200", .min = 1, .max = 1e6,
                .prose = "After how many records a script has proved itself."},
        {"time", CONFIG_DURATION, AT(struct rollback_config, time_ms), .reloadable = true, .fallback = "60s",
                .min = SECOND, .max = DAY, .prose = "The same by time, whichever comes first."},
};
static const struct config_section rollback_section = {KEYS(rollback_keys), 0};

static const struct config_key script_keys[] = {
        {"path", CONFIG_FILE, AT(struct script_config, path), .required = true, .reloadable = true,
                .example = "enrich.lua",
                .prose = "The Lua script; relative to this file's folder, else to the working directory."},
        {"params", CONFIG_PARAMS, AT(struct script_config, params_json), .reloadable = true,
                .example = "{language: en}",
                .prose = "Any values for the script, which reads them as `millrace.params`."},
        {"params_file", CONFIG_FILE, BESIDE(struct config, script, script_params_file), .reloadable = true,
                .example = "params.yaml",
                .prose = "A YAML or JSON file of more `params`, to keep beside the script; they win over "
                         "those above."},
        {"reload", CONFIG_CHOICE, BESIDE(struct config, script, script_reload), .choices = reloads,
                .fallback = "watch",
                .prose = "What makes a changed script, and what else takes effect without a restart, take "
                         "over: `watch` the folder (and what `signal` says), `signal` (HUP and "
                         "`POST /-/reload`), or nothing: `off`."},
        {"tests", CONFIG_BOOL, BESIDE(struct config, script, script_tests), .reloadable = true,
                .fallback = "true",
                .prose =
                        "Whether the data tests beside the script (`x_test.yaml` of `x.lua`) are run before "
                        "a changed one takes over; one that fails leaves the old script in place. Not run at "
                        "the start."},
        {"rollback", CONFIG_SECTION,
                .offset = offsetof(struct config, rollback) - offsetof(struct config, script),
                .section = &rollback_section,
                .prose = "When a script that has just taken over gives way to the one before it."},
        {"memory", CONFIG_BYTES, AT(struct script_config, memory), .fallback = "128MiB", .min = 8 * MIB,
                .max = 4 * GIB, .prose = "Most memory that the script's values may take."},
        {"budget", CONFIG_DURATION, AT(struct script_config, budget_ms), .fallback = "1s", .min = 10,
                .max = MINUTE, .reloadable = true,
                .prose = "Most CPU time of one call of a hook; beyond it the record fails."},
};
static const struct config_section script_section = {KEYS(script_keys), 0};

static const struct config_key retry_keys[] = {
        {"attempts", CONFIG_INTEGER, AT(struct retry_config, attempts), .reloadable = true, .fallback = "8",
                .min = 1, .max = 100, .prose = "Most calls for one lookup, the first included."},
        {"base", CONFIG_DURATION, AT(struct retry_config, base_ms), .reloadable = true, .fallback = "500ms",
                .min = 1, .max = HOUR,
                .prose = "Longest wait after the first failure; it doubles each time, and the wait is a "
                         "random part "
                         "of it."},
        {"cap", CONFIG_DURATION, AT(struct retry_config, cap_ms), .reloadable = true, .fallback = "30s",
                .min = 1, .max = HOUR, .prose = "Longest wait of all."},
        {"deadline", CONFIG_DURATION, AT(struct retry_config, deadline_ms), .reloadable = true,
                .fallback = "10m", .min = 0, .max = 7 * DAY,
                .prose = "When a lookup is given up, counted from its beginning; `0` for never."},
        {"on", CONFIG_STATUSES, COUNTED(struct retry_config, on, on_count), .reloadable = true,
                .derived = "408, 425, 429 and all 5xx", .example = "[429, 502, 503, 504]",
                .prose = "The statuses that are asked again."},
};
static const struct config_section retry_section = {KEYS(retry_keys), sizeof(struct retry_config)};

static const struct config_key tls_keys[] = {
        {"ca", CONFIG_FILE, AT(struct tls_config, ca), .derived = "the system's",
                .example = "/etc/ssl/certs/ca-certificates.crt",
                .prose = "File of the certificates that are trusted, and no others (PEM)."},
        {"cert", CONFIG_FILE, AT(struct tls_config, cert), .example = "client.pem",
                .prose = "File of the client certificate (PEM)."},
        {"key", CONFIG_FILE, AT(struct tls_config, key), .example = "client.key",
                .prose = "File of the client certificate's key (PEM)."},
};
static const struct config_section tls_section = {KEYS(tls_keys), sizeof(struct tls_config)};

static const struct config_key upstream_backfill_keys[] = {
        {"rate", CONFIG_RATE, AT(struct upstream_config, backfill.rate), .reloadable = true, .max = 1e6,
                .inherits = "backfill.rate", .inherits_from = offsetof(struct config, backfill_limits.rate),
                .derived = "the value of `backfill.rate`", .example = "50/s",
                .prose = "Most lookups in a time while there is a backlog; `none`: as many as else."},
        {"concurrency", CONFIG_INTEGER, AT(struct upstream_config, backfill.concurrency), .reloadable = true,
                .min = 1, .max = 4096, .nothing = "live", .inherits = "backfill.concurrency",
                .inherits_from = offsetof(struct config, backfill_limits.concurrency),
                .derived = "the value of `backfill.concurrency`", .example = "8",
                .prose = "Most calls in flight while there is a backlog; `live`: as many as else."},
};
static const struct config_section upstream_backfill_section = {KEYS(upstream_backfill_keys), 0};

static const struct config_key upstream_keys[] = {
        {"url", CONFIG_TEXT, AT(struct upstream_config, url), .required = true,
                .example = "\"http://localhost:8080/w/api.php\"",
                .prose = "Address, http or https; a request's path is appended. `{host}` in it is replaced "
                         "by the "
                         "request's host, and demands `hosts`."},
        {"hosts", CONFIG_TEXTS, COUNTED(struct upstream_config, hosts, host_count),
                .example = "[\"*.example.org\", www.example.net]",
                .prose = "Hosts that a request may name: exact, `*.` and a domain, or `*` for any. Without "
                         "it any, "
                         "too, sent in the Host header."},
        {"timeout", CONFIG_DURATION, AT(struct upstream_config, timeout_ms), .reloadable = true,
                .fallback = "60s", .min = 1, .max = HOUR,
                .prose = "Longest time of one call, from its start to the last byte."},
        {"connect_timeout", CONFIG_DURATION, AT(struct upstream_config, connect_timeout_ms),
                .reloadable = true, .fallback = "5s", .min = 1, .max = HOUR,
                .prose = "Longest time to open a connection."},
        {"concurrency", CONFIG_INTEGER, AT(struct upstream_config, concurrency), .reloadable = true,
                .fallback = "64", .min = 1, .max = 4096, .nothing = "auto",
                .prose = "Most calls in flight. `auto` looks for it: up by one for each round of good "
                         "answers, "
                         "down by half on 429, 503 and timeouts."},
        {"host_concurrency", CONFIG_INTEGER, AT(struct upstream_config, host_concurrency), .reloadable = true,
                .fallback = "auto", .min = 1, .max = 4096, .nothing = "auto",
                .prose =
                        "Most calls in flight to one host. `auto`: half of `concurrency`, or all of it while "
                        "no other host is asked."},
        {"rate", CONFIG_RATE, AT(struct upstream_config, rate), .reloadable = true, .max = 1e6,
                .inherits = "http.rate", .inherits_from = offsetof(struct config, rate),
                .derived = "the value of `http.rate`", .example = "200/s",
                .prose = "Most lookups in a time, such as `200/s`; `none` for no limit."},
        {"backfill", CONFIG_SECTION, .section = &upstream_backfill_section,
                .prose = "Its limits while there is a backlog, where they differ from those of `backfill`."},
        {"max_body", CONFIG_BYTES, AT(struct upstream_config, max_body), .fallback = "56MiB", .min = KIB,
                .max = GIB, .prose = "Largest answer, counted after decompression."},
        {"max_idle", CONFIG_DURATION, AT(struct upstream_config, max_idle_ms), .fallback = "3s", .min = 0,
                .max = HOUR,
                .prose = "A connection idle for longer is not used again; keep it below the server's."},
        {"http2", CONFIG_BOOL, AT(struct upstream_config, http2), .fallback = "false",
                .prose = "Speak HTTP/2 where the server does, else HTTP/1.1. To an `http://` URL the "
                         "server must speak it, and libcurl be 8.0 or later; with an older one it is "
                         "HTTP/1.1."},
        {"merge", CONFIG_BOOL, AT(struct upstream_config, merge), .fallback = "true",
                .prose = "Whether lookups may share a call where the script says how (`merge`)."},
        {"per_record_headers", CONFIG_TEXTS,
                COUNTED(struct upstream_config, per_record_headers, per_record_header_count),
                .fallback = "[X-Request-Id, traceparent, tracestate]",
                .prose = "Headers in which lookups may differ and still share one call, which sends its "
                         "oldest "
                         "lookup's."},
        {"retry", CONFIG_SECTION, .offset = offsetof(struct upstream_config, retry),
                .section = &retry_section, .inherits = "http.retry",
                .inherits_from = offsetof(struct config, retry), .example = "{attempts: 3}",
                .prose = "When this upstream is asked again, where it differs from `http.retry`."},
        {"tls", CONFIG_SECTION, .offset = offsetof(struct upstream_config, tls), .section = &tls_section,
                .prose = "Certificates, for https."},
};
static const struct config_section upstream_section = {KEYS(upstream_keys), sizeof(struct upstream_config)};

static const struct config_key backfill_keys[] = {
        {"records", CONFIG_INTEGER, AT(struct config, backfill.records), .reloadable = true,
                .fallback = "off", .min = 1, .max = 1e12, .nothing = "off",
                .prose = "There is a backlog while more records than this are unread or open, in all "
                         "partitions of this process, and until they have been at most half of it for 5 s. "
                         "Bounded runs (`run --until`) are one from their beginning to their end."},
        {"freshness", CONFIG_DURATION, AT(struct config, backfill.freshness_ms), .reloadable = true,
                .fallback = "0", .min = 0, .max = 365 * DAY,
                .prose =
                        "The same by the age of the events that are asked about next, such as `10m`; `0` for "
                        "whatever it is."},
        {"rate", CONFIG_RATE, AT(struct config, backfill_limits.rate), .reloadable = true, .fallback = "none",
                .max = 1e6,
                .prose = "Most lookups in a time to each upstream while there is a backlog, in place of its "
                         "`rate`; `none`: as many as else."},
        {"concurrency", CONFIG_INTEGER, AT(struct config, backfill_limits.concurrency), .reloadable = true,
                .fallback = "live", .min = 1, .max = 4096, .nothing = "live",
                .prose = "Most calls in flight to each upstream while there is a backlog; `live`: as many as "
                         "else."},
        {"user_agent", CONFIG_TEXT, AT(struct config, backfill.user_agent), .reloadable = true,
                .derived = "the value of `http.user_agent`",
                .example = "\"my-job-backfill/1.0 (team@example.org)\"",
                .prose = "The User-Agent header while there is a backlog, so that who runs the API can tell "
                         "it from live work."},
};
static const struct config_section backfill_section = {KEYS(backfill_keys), 0};

static const struct config_key http_keys[] = {
        {"user_agent", CONFIG_TEXT, AT(struct config, user_agent), .reloadable = true,
                .fallback = "millrace/1.0 (no contact given)",
                .prose = "The User-Agent header; say how to reach you."},
        {"retry", CONFIG_SECTION, .offset = offsetof(struct config, retry), .section = &retry_section,
                .prose = "When a refused or failed call is asked again."},
        {"rate", CONFIG_RATE, AT(struct config, rate), .reloadable = true, .fallback = "none", .max = 1e6,
                .prose = "Most lookups in a time, such as `200/s`, to each upstream that sets no `rate` of "
                         "its own; `none` for no limit."},
        {"upstreams", CONFIG_NAMED, COUNTED(struct config, upstreams, upstream_count),
                .section = &upstream_section, .example = "api",
                .prose = "The HTTP services, by name. The first is the default, a request may name another. "
                         "Without any nothing can be asked."},
        {"endpoint", CONFIG_TEXT, AT(struct config, endpoint), .instead = "upstreams",
                .example = "\"http://localhost:8080/w/api.php\"",
                .prose = "The address alone: short for one upstream named `default`."},
};
static const struct config_section http_section = {KEYS(http_keys), 0};

#define TOPIC_KEYS(type, at)                                                                                 \
	{                                                                                                    \
		"topic", CONFIG_TEXT, AT(type, at topic),                                                    \
		        .instead = "stream", .example = "my.topic",                                          \
		        .prose = "A topic by its full name: no prefix, and events are not stamped."          \
	}
#define MAX_BYTES_KEY(type, at)                                                                              \
	{                                                                                                    \
		"max_bytes", CONFIG_BYTES, AT(type, at max_bytes),                                           \
		        .fallback = "10MiB", .min = KIB, .max = 900 * MIB,                                   \
		        .prose = "Largest message, before compression; the producer's `message.max.bytes`."  \
	}

static const struct config_key sink_keys[] = {
        {"stream", CONFIG_TEXT, AT(struct sink_config, stream), .required = true, .example = "my.output.v1",
                .prose = "The stream: its topic is `topic_prefix` and this name, and events are stamped with "
                         "it."},
        TOPIC_KEYS(struct sink_config, ),
        {"schema", CONFIG_TEXT, AT(struct sink_config, schema), .fallback = "keep", .nothing = "keep",
                .prose = "`keep` the input's `$schema`, or the one to write, such as `/my/output/1.0.0`."},
        {"unknown", CONFIG_CHOICE, AT(struct sink_config, unknown), .choices = unknowns, .fallback = "fail",
                .prose = "What becomes of an output's properties that its schema forbids because it does not "
                         "know them: the event fails, or, by `strip`, they are left out and counted."},
        {"key", CONFIG_KEY_FIELDS, COUNTED(struct sink_config, key, key_count),
                .derived = "the top-level `key`", .example = "{page_id: page.page_id}",
                .prose = "The key of this sink's messages, where it is not that of the lane."},
        MAX_BYTES_KEY(struct sink_config, ),
        {"kafka", CONFIG_PROPERTIES, COUNTED(struct sink_config, kafka, kafka_count), .required = true,
                .example = "{bootstrap.servers: \"localhost:9092\"}",
                .prose =
                        "Properties of the producer, passed to librdkafka; `bootstrap.servers` is required."},
};
static const struct config_section sink_section = {KEYS(sink_keys), sizeof(struct sink_config)};

static const struct config_key errors_keys[] = {
        {"stream", CONFIG_TEXT, AT(struct config, errors.stream),
                .derived = "`name` with `_` for `-`, and `.error`", .example = "my_job.error",
                .prose = "The stream of error events."},
        TOPIC_KEYS(struct config, errors.),
        {"emitter_id", CONFIG_TEXT, AT(struct config, emitter_id), .derived = "`name` with `_` for `-`",
                .example = "my_job", .prose = "Who says so: `emitter_id` of the error events."},
        MAX_BYTES_KEY(struct config, errors.),
        {"kafka", CONFIG_PROPERTIES, COUNTED(struct config, errors.kafka, errors.kafka_count),
                .derived = "those of the first sink", .example = "{bootstrap.servers: \"localhost:9092\"}",
                .prose = "Properties of the error stream's producer."},
};
static const struct config_section errors_section = {KEYS(errors_keys), 0};

static const struct config_key streams_keys[] = {
        {"config_uri", CONFIG_TEXT, AT(struct config, streams_uri),
                .example = "\"https://meta.wikimedia.org/w/api.php\"",
                .prose = "MediaWiki's EventStreamConfig API, which knows the topics and the key fields of "
                         "each "
                         "`stream`. Asked once, at the start."},
        {"cache", CONFIG_TEXT, AT(struct config, streams_cache),
                .derived = "`streams.json` in the group's folder of `checkpoint.dir`",
                .example = "/var/cache/millrace/streams.json",
                .prose = "File in which the last answer is kept, for a start while the API is away."},
        {"tls", CONFIG_SECTION, .offset = offsetof(struct config, streams_tls), .section = &tls_section,
                .prose = "Certificates, for https."},
};
static const struct config_section streams_section = {KEYS(streams_keys), 0};

static const struct config_key schemas_keys[] = {
        {"uris", CONFIG_TEXTS, COUNTED(struct config, schema_uris, schema_uri_count),
                .example = "[\"file:///srv/schemas/jsonschema\"]",
                .prose = "Schema repositories, tried in this order: `file://` or `http(s)://`, up to what a "
                         "`$schema` is put behind. Without any, events are not checked."},
        {"input", CONFIG_CHOICE, AT(struct config, schema_input), .choices = modes, .fallback = "off",
                .prose = "Events that are not what their `$schema` says, before the script sees them: nobody "
                         "looks, it is told (`warn`), or they fail (`enforce`)."},
        {"output", CONFIG_CHOICE, AT(struct config, schema_output), .choices = modes, .fallback = "enforce",
                .prose = "The same of outputs to sinks with a `stream`, before any of a record's is sent."},
        {"tls", CONFIG_SECTION, .offset = offsetof(struct config, schema_tls), .section = &tls_section,
                .prose = "Certificates, for https."},
};
static const struct config_section schemas_section = {KEYS(schemas_keys), 0};

static const struct config_key limits_keys[] = {
        {"records", CONFIG_INTEGER, AT(struct config, limit_records), .fallback = "10000", .min = 1,
                .max = 1e6,
                .prose = "Most records from the oldest unfinished one to the newest, over all partitions."},
        {"memory", CONFIG_MEMORY, AT(struct config, limit_memory), .fallback = "auto", .min = MIB,
                .max = 1024 * GIB,
                .prose = "Memory for records, answers, Lua and the Kafka queues together; see Memory. "
                         "`auto`: 70 % of the "
                         "container's limit; without one a quarter of the machine's memory, at most 2 GiB."},
};
static const struct config_section limits_section = {KEYS(limits_keys), 0};

static const struct config_key checkpoint_keys[] = {
        {"interval", CONFIG_DURATION, AT(struct config, checkpoint_interval_ms), .reloadable = true,
                .fallback = "1s", .min = 100, .max = 5 * MINUTE,
                .prose = "How often positions are written and committed."},
        {"dir", CONFIG_TEXT, AT(struct config, checkpoint_dir), .fallback = "none", .nothing = "none",
                .prose = "Folder in which positions are kept as files, too, beside the consumer group; it "
                         "must be "
                         "there. `none` for the group alone."},
        {"keep", CONFIG_INTEGER, AT(struct config, checkpoint_keep), .fallback = "10", .min = 1, .max = 1000,
                .prose = "How many files of each partition are kept, the newest."},
};
static const struct config_section checkpoint_section = {KEYS(checkpoint_keys), 0};

static const struct config_key admin_keys[] = {
        {"listen", CONFIG_TEXT, AT(struct config, admin_listen), .fallback = "127.0.0.1:9464",
                .nothing = "off", .prose = "Address and port of metrics, health and status; `off` for none."},
        {"token", CONFIG_TEXT, AT(struct config, admin_token), .secret = true,
                .example = "{file: /run/secrets/token}",
                .prose = "What a caller from elsewhere must send as a bearer token to change anything."},
        {"hosts", CONFIG_TEXTS, COUNTED(struct config, admin_hosts, admin_host_count),
                .example = "[millrace.example.org]",
                .prose = "Names by which callers on this machine may call it, such as those of a proxy here; "
                         "`localhost` and addresses always are. A web page could have any other name point "
                         "here."},
};
static const struct config_section admin_section = {KEYS(admin_keys), 0};

static const struct config_key log_keys[] = {
        {"level", CONFIG_CHOICE, AT(struct config, log_level), .reloadable = true, .choices = levels,
                .fallback = "info", .prose = "The least that is worth a line."},
        {"format", CONFIG_CHOICE, AT(struct config, log_format), .choices = formats, .fallback = "auto",
                .prose = "`auto`: text on a terminal, else JSON."},
};
static const struct config_section log_section = {KEYS(log_keys), 0};

static const struct config_key root_keys[] = {
        {"name", CONFIG_TEXT, AT(struct config, name), .required = true, .example = "my-job",
                .prose = "Name of the job: consumer group, client id and the metrics' label unless they are "
                         "given."},
        {"topic_prefix", CONFIG_TEXT, AT(struct config, topic_prefix), .fallback = "",
                .prose = "Put before a stream's name to make its topic, such as `eqiad.`."},
        {"source", CONFIG_SECTION, .offset = offsetof(struct config, source), .section = &source_section,
                .required = true, .prose = "Where records come from."},
        {"script", CONFIG_SECTION, .offset = offsetof(struct config, script), .section = &script_section,
                .required = true,
                .prose = "The Lua script that decides what to ask and what to make of the answer."},
        {"backfill", CONFIG_SECTION, .section = &backfill_section,
                .prose = "What is asked more gently, and by another name, while there is a backlog."},
        {"http", CONFIG_SECTION, .section = &http_section,
                .prose = "What is asked; not needed where the script asks nothing."},
        {"key", CONFIG_KEY_FIELDS, COUNTED(struct config, key, key_count), .fallback = "record",
                .prose = "What must stay in order, and the key of outputs: names and paths in the event, "
                         "such as "
                         "`{page_id: page.page_id}`, made into a JSON object in this order; or `record`, the "
                         "record's "
                         "own key."},
        {"order", CONFIG_CHOICE, AT(struct config, order), .choices = orders, .fallback = "key",
                .prose =
                        "Outputs leave in the order of their inputs by `key`, by `partition`, or by `none`."},
        {"sink", CONFIG_ONE, COUNTED(struct config, sinks, sink_count), .section = &sink_section,
                .required = true, .prose = "Where enriched events go."},
        {"sinks", CONFIG_NAMED, COUNTED(struct config, sinks, sink_count), .section = &sink_section,
                .instead = "sink", .example = "content",
                .prose = "Several sinks by name, each with the keys of `sink`. The first is the default, an "
                         "output may "
                         "name another."},
        {"errors", CONFIG_SECTION, .section = &errors_section, .prose = "Where the events that failed go."},
        {"limits", CONFIG_SECTION, .section = &limits_section, .prose = "What one process may hold."},
        {"checkpoint", CONFIG_SECTION, .section = &checkpoint_section, .prose = "How positions are kept."},
        {"streams", CONFIG_SECTION, .section = &streams_section,
                .prose = "Where a stream's topics and key fields are known."},
        {"routes", CONFIG_PROPERTIES, COUNTED(struct config, routes, route_count),
                .example = "{\"https://meta.wikimedia.org\": \"http://localhost:6500\"}",
                .prose =
                        "Where the engine's own questions (`streams.config_uri`, `schemas.uris`) go "
                        "instead, by the "
                        "beginning of "
                        "their URL: the Host header stays what it was, as a proxy on this machine wants it."},
        {"schemas", CONFIG_SECTION, .section = &schemas_section,
                .prose = "Where schemas are found, and which events are held against them."},
        {"drain", CONFIG_DURATION, AT(struct config, drain_ms), .reloadable = true, .fallback = "25s",
                .min = 0, .max = HOUR,
                .prose = "How long a stop waits for what is open; keep it below the grace period of what "
                         "stops it."},
        {"admin", CONFIG_SECTION, .section = &admin_section,
                .prose = "Metrics, health and status over HTTP."},
        {"log", CONFIG_SECTION, .section = &log_section, .prose = "What is told on standard error."},
};
const struct config_section config_root = {KEYS(root_keys), sizeof(struct config)};
