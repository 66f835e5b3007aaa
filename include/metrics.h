/* Counters, gauges and histograms, declared once with type, labels and help, printed as Prometheus text.
 *
 * The tables below are the truth: `/metrics`, `millrace metrics` and the documentation come from them. Names
 * are API. A series exists from its first use until metrics_remove. A label whose values come from outside is
 * capped: what comes beyond is counted under "other". Loop thread only; no locks. */
#ifndef MILLRACE_METRICS_H
#define MILLRACE_METRICS_H

#include "buf.h"
#include "expose.h"

#include <stdbool.h>
#include <stddef.h>

struct metrics_user;

/* clang-format off */
/* X(ID, type, buckets, "name", "label,label", "help") */
#define METRICS(X)                                                                                                    \
	X(BUILD_INFO, METRIC_GAUGE, NONE, "millrace_build_info", "version,revision,luajit,librdkafka,libcurl",        \
		"Always 1; the labels say what runs.")                                                                \
	X(STATE, METRIC_GAUGE, NONE, "millrace_state", "state", "1 for the state the process is in, 0 for the others: "   \
		"starting, running, paused, draining.")                                                               \
	X(LOOP_DELAY, METRIC_HISTOGRAM, TURN, "millrace_event_loop_delay_seconds", "",                                \
		"How long one turn of the event loop kept everything else waiting.")                                  \
	X(SOURCE_RECORDS, METRIC_COUNTER, NONE, "millrace_source_records_total", "topic",                             \
		"Records taken from the source.")                                                                     \
	X(SOURCE_BYTES, METRIC_COUNTER, NONE, "millrace_source_bytes_total", "topic",                                 \
		"Bytes of keys, values and headers taken from the source.")                                           \
	X(SOURCE_SKIPPED, METRIC_COUNTER, NONE, "millrace_source_skipped_records_total", "topic",                     \
		"Records not taken: they were finished before the last restart or rebalance.")                        \
	X(SOURCE_REWOUND, METRIC_COUNTER, NONE, "millrace_source_rewound_records_total", "topic",                     \
		"Messages dropped because they came a second time in one assignment.")                                \
	X(SOURCE_GAP, METRIC_COUNTER, NONE, "millrace_source_gap_records_total", "topic",                             \
		"Records the source had deleted before they could be read.")                                          \
	X(EVENTS, METRIC_COUNTER, NONE, "millrace_events_total", "outcome",                                           \
		"Records that ended, by outcome: enriched, passed, dropped, failed. Each ends in exactly one.")       \
	X(GIVEN_BACK, METRIC_COUNTER, NONE, "millrace_given_back_records_total", "reason",                            \
		"Records given back unfinished: revoked, lost, stopped. Another owner, or the next start, takes them.") \
	X(OPEN_RECORDS, METRIC_GAUGE, NONE, "millrace_open_records", "", "Records taken and not ended.")              \
	X(OPEN_LIMIT, METRIC_GAUGE, NONE, "millrace_open_records_limit", "",                                           \
		"Most records from the oldest open one to the newest.")                                               \
	X(OPEN_SPAN, METRIC_GAUGE, NONE, "millrace_open_records_span", "",                                            \
		"Records taken since the oldest open one, that one included: nothing is taken at the limit.")         \
	X(RECORDS_BY_STATE, METRIC_GAUGE, NONE, "millrace_records", "state", "Open records by their state.")          \
	X(BLOCKED_RECORDS, METRIC_GAUGE, NONE, "millrace_blocked_records", "",                                        \
		"Records that are made and wait for an earlier one of their lane.")                                   \
	X(FAILURES, METRIC_COUNTER, NONE, "millrace_failures_total", "type", "Failed events by error type.")          \
	X(DROPS, METRIC_COUNTER, NONE, "millrace_drops_total", "reason", "Dropped events by the script's reason.")    \
	X(PROCESSING, METRIC_HISTOGRAM, STAY, "millrace_event_processing_seconds", "outcome",                          \
		"From taking a record to its end.")                                                                   \
	X(AGE, METRIC_HISTOGRAM, AGE, "millrace_event_age_seconds", "", "From meta.dt of an event to its end.")       \
	X(FRESHNESS, METRIC_GAUGE, NONE, "millrace_freshness_lag_seconds", "topic,partition",                         \
		"Age of the oldest unfinished event; 0 when caught up.")                                              \
	X(LAG, METRIC_GAUGE, NONE, "millrace_kafka_consumer_lag_records", "topic,partition",                          \
		"High watermark less the committed offset.")                                                          \
	X(ASSIGNED, METRIC_GAUGE, NONE, "millrace_kafka_assigned_partitions", "topic", "Partitions owned now.")       \
	X(REBALANCES, METRIC_COUNTER, NONE, "millrace_kafka_rebalances_total", "type",                          \
		"Changes of the assignment: assign, revoke, lost.")                                                   \
	X(COMMITS, METRIC_COUNTER, NONE, "millrace_kafka_commits_total", "outcome", "Group commits: ok, failed.")     \
	X(LAST_COMMIT, METRIC_GAUGE, NONE, "millrace_kafka_last_commit_timestamp_seconds", "",                        \
		"When the last group commit succeeded.")                                                              \
	X(CHECKPOINT_WRITES, METRIC_COUNTER, NONE, "millrace_checkpoint_writes_total", "outcome",                     \
		"Checkpoint files: ok, failed, late (no answer in time), skipped (the store is away).")               \
	X(LAST_CHECKPOINT, METRIC_GAUGE, NONE, "millrace_checkpoint_last_success_timestamp_seconds", "",             \
		"When a checkpoint file was last written.")                                                           \
	X(KAFKA_ERRORS, METRIC_COUNTER, NONE, "millrace_kafka_errors_total", "client,code",                           \
		"Errors that librdkafka reported, by its name for them.")                                             \
	X(KAFKA_THROTTLED, METRIC_COUNTER, NONE, "millrace_kafka_throttled_seconds_total", "client",                  \
		"Time by which brokers held back answers because of a quota, summed over requests.")                  \
	X(BROKER_CONNECTIONS, METRIC_GAUGE, NONE, "millrace_kafka_broker_connections", "client",                      \
		"Connections to brokers that are up, as of the last second.")                                         \
	X(BROKER_RTT, METRIC_GAUGE, NONE, "millrace_kafka_broker_rtt_seconds", "client,stat",                         \
		"Time until brokers answer, in the last second, of the slowest broker: avg, p99.")                    \
	X(HTTP_REQUESTS, METRIC_COUNTER, NONE, "millrace_http_requests_total", "upstream,code,attempt",               \
		"Calls that ended, by status (or error) and whether it was the first or a retry.")                    \
	X(HTTP_LOOKUPS, METRIC_COUNTER, NONE, "millrace_http_lookups_total", "upstream",                              \
		"Lookups in the calls that ended; one that was asked again counts again.")                            \
	X(HTTP_CALL_LOOKUPS, METRIC_HISTOGRAM, BATCH, "millrace_http_call_lookups", "upstream",                       \
		"Lookups that shared a call.")                                                                        \
	X(HTTP_SPLITS, METRIC_COUNTER, NONE, "millrace_http_splits_total", "upstream,reason",                         \
		"Calls whose lookups are asked again in smaller ones, by reason; partial: some were answered.")       \
	X(HTTP_DURATION, METRIC_HISTOGRAM, HTTP, "millrace_http_request_duration_seconds", "upstream",                \
		"Duration of calls.")                                                                                 \
	X(HTTP_RETRIES, METRIC_COUNTER, NONE, "millrace_http_retries_total", "upstream,reason",                       \
		"Lookups asked again, by reason; no_room: there was no memory for the answer.")                                                                    \
	X(HTTP_IN_FLIGHT, METRIC_GAUGE, NONE, "millrace_http_in_flight", "upstream", "Calls in flight.")              \
	X(HTTP_WAITING, METRIC_GAUGE, NONE, "millrace_http_waiting_lookups", "upstream",                              \
		"Lookups that wait for the limiter, a paused host or the end of a back-off.")                         \
	X(HTTP_LIMIT, METRIC_GAUGE, NONE, "millrace_http_concurrency_limit", "upstream", "Most calls in flight.")     \
	X(HTTP_CIRCUIT, METRIC_GAUGE, NONE, "millrace_http_circuit_state", "upstream,state",                          \
		"1 for the state the upstream's breaker is in, 0 for the others: closed, open, probing.")             \
	X(HTTP_THROTTLED, METRIC_COUNTER, NONE, "millrace_http_throttled_seconds_total", "upstream,reason",           \
		"Time for which hosts were paused (429, retry) or the whole upstream was (breaker).")                                                  \
	X(HTTP_OPEN, METRIC_GAUGE, NONE, "millrace_http_connections", "",                                             \
		"Connections that are open, of all upstreams together: those to one address are shared.")             \
	X(HTTP_CONNECTIONS, METRIC_COUNTER, NONE, "millrace_http_new_connections_total", "", "Connections opened.")   \
	X(HTTP_BYTES, METRIC_COUNTER, NONE, "millrace_http_response_bytes_total", "upstream",                         \
		"Bytes of answers after decompression.")                                                              \
	X(SCRIPT_INFO, METRIC_GAUGE, NONE, "millrace_script_info", "script,sha256",                                   \
		"Always 1; the labels say which script new records begin on.")                                        \
	X(SCRIPT_DURATION, METRIC_HISTOGRAM, HOOK, "millrace_script_duration_seconds", "hook", "CPU time of hooks.")  \
	X(SCRIPT_ERRORS, METRIC_COUNTER, NONE, "millrace_script_errors_total", "hook,kind",                           \
		"Calls into the script that failed by themselves: error, timeout, memory; hook: request, transform, " \
		"or other (splits, decoding).")                                      \
	X(DIFF_DURATION, METRIC_HISTOGRAM, TURN, "millrace_diff_duration_seconds", "", "CPU time of scripts' diffs.") \
	X(DIFFS, METRIC_COUNTER, NONE, "millrace_diffs_total", "outcome",                                             \
		"Diffs that scripts asked for, by outcome: made, too_large, timeout, cancelled (its record was given back).") \
	X(SCRIPT_RELOADS, METRIC_COUNTER, NONE, "millrace_script_reloads_total", "outcome",                           \
		"Reloads asked for or seen by the watch, by outcome: swapped, unchanged, failed, tests_failed, busy, " \
		"refused (it was rolled back before); and rolled_back, which the engine did by itself.")              \
	X(SCRIPT_RELOAD_OK, METRIC_GAUGE, NONE, "millrace_script_last_reload_successful", "",                         \
		"Whether what lies on disk is what runs: 0 after a script that did not load or pass its tests, that " \
		"was rolled back, and while the last good one stands in for it.")                                     \
	X(SCRIPT_RELOAD_TIME, METRIC_GAUGE, NONE, "millrace_script_last_reload_success_timestamp_seconds", "",        \
		"When the script that new records begin on was loaded.")                                              \
	X(SCRIPT_STANDS_IN, METRIC_GAUGE, NONE, "millrace_script_stands_in", "",                                      \
		"1 while the last good script stands in for the one on disk, which was bad when the process began: " \
		"not ready until a good one comes.")                                                                  \
	X(CONFIG_RELOAD_OK, METRIC_GAUGE, NONE, "millrace_config_last_reload_successful", "",                         \
		"Whether the configuration file was good when it was last read.")                                     \
	X(CONFIG_RELOAD_TIME, METRIC_GAUGE, NONE, "millrace_config_last_reload_success_timestamp_seconds", "",        \
		"When the configuration file was last read and good.")                                                \
	X(CONFIG_HASH, METRIC_GAUGE, NONE, "millrace_config_hash_info", "sha256",                                     \
		"Always 1; the label says which configuration file was last read and good.")                          \
	X(SCHEMA_CHECKS, METRIC_COUNTER, NONE, "millrace_schema_checks_total", "schema,side,outcome",                 \
		"Events held against a schema (its title), on the side input or output, by outcome: valid, invalid, " \
		"unknown (no such schema), unchecked (warned of alone, while a repository is away).")                 \
	X(SCHEMA_UNKNOWN_VERSIONS, METRIC_COUNTER, NONE, "millrace_schema_unknown_versions_total", "schema",          \
		"Events of a version that no repository has, checked by the newest one of its title.")                \
	X(SCHEMA_STRIPPED, METRIC_COUNTER, NONE, "millrace_schema_stripped_properties_total", "sink",                 \
		"Properties left out of outputs because the schema does not know them (sink.unknown: strip).")        \
	X(SCHEMA_LOADS, METRIC_COUNTER, NONE, "millrace_schema_loads_total", "outcome",                               \
		"Schemas asked for, by outcome: loaded, absent, broken, away.")                                       \
	X(SCHEMAS_LOADED, METRIC_GAUGE, NONE, "millrace_schemas_loaded", "", "Schemas that are loaded.")              \
	X(LUA_STATES, METRIC_GAUGE, NONE, "millrace_lua_states", "",                                                  \
		"Lua states alive: one, and older ones until their last record ends.")                                \
	X(LUA_RETIRED, METRIC_COUNTER, NONE, "millrace_lua_states_retired_total", "",                                 \
		"Lua states replaced by fresh ones because a hook that was stopped left them unsound.")              \
	X(LUA_MOVED, METRIC_COUNTER, NONE, "millrace_lua_records_moved_total", "",                                    \
		"Records that began again on another Lua state, with their answers, because theirs was given up.")   \
	X(LUA_MEMORY, METRIC_GAUGE, NONE, "millrace_lua_memory_bytes", "", "Heap of the live Lua states.")            \
	X(LUA_GC, METRIC_COUNTER, NONE, "millrace_lua_gc_seconds_total", "",                                          \
		"Time of collections of Lua's heap between hooks; those within a hook are in its duration.")          \
	X(SINK_EVENTS, METRIC_COUNTER, NONE, "millrace_sink_events_total", "topic", "Outputs acknowledged.")          \
	X(SINK_BYTES, METRIC_COUNTER, NONE, "millrace_sink_bytes_total", "topic", "Bytes of outputs acknowledged.")   \
	X(SINK_ERRORS, METRIC_COUNTER, NONE, "millrace_sink_errors_total", "topic,code",                              \
		"Outputs not delivered, by librdkafka's name for the error.")                                         \
	X(SINK_DELIVERY, METRIC_HISTOGRAM, STAY, "millrace_sink_delivery_seconds", "",                                 \
		"From handing an output to the producer to its acknowledgement.")                                     \
	X(PRODUCER_MESSAGES, METRIC_GAUGE, NONE, "millrace_kafka_producer_queue_messages", "topic",                   \
		"Outputs with the producer.")                                                                         \
	X(PRODUCER_BYTES, METRIC_GAUGE, NONE, "millrace_kafka_producer_queue_bytes", "topic",                         \
		"Bytes of outputs with the producer.")                                                                \
	X(BACKFILL, METRIC_GAUGE, NONE, "millrace_backfill", "",                                                      \
		"1 while there is a backlog, or the run is bounded: the limits of `backfill` hold.")                  \
	X(PAUSED, METRIC_COUNTER, NONE, "millrace_paused_seconds_total", "reason",                                    \
		"Time for which intake stood still although there was room: operator, sink, upstream, schema, source, store.")             \
	X(STAGE_BUSY, METRIC_COUNTER, NONE, "millrace_stage_busy_seconds_total", "stage",                             \
		"Time for which a stage worked. request, transform: CPU time of the hook; http: time, by the share " \
		"of the concurrency limit that was in flight.")                                                       \
	X(STAGE_BLOCKED, METRIC_COUNTER, NONE, "millrace_stage_blocked_seconds_total", "stage",                       \
		"Time for which a stage stood still. source: more was there to take, and no room; http: lookups "     \
		"waited and none was in flight (pauses, back-offs, breaker); sink: the brokers took nothing.")        \
	X(MEMORY, METRIC_GAUGE, NONE, "millrace_memory_bytes", "kind",                                                \
		"Bytes charged to limits.memory, by kind.")                                                           \
	X(MEMORY_LIMIT, METRIC_GAUGE, NONE, "millrace_memory_limit_bytes", "",                                       \
		"Most bytes that may be charged: limits.memory.")                                                     \
	X(LOG_LINES, METRIC_COUNTER, NONE, "millrace_log_messages_total", "level", "Log lines written.")              \
	X(LOG_SUPPRESSED, METRIC_COUNTER, NONE, "millrace_log_suppressed_total", "", "Log lines throttled away.")     \
	X(USER_DROPPED, METRIC_COUNTER, NONE, "millrace_user_series_dropped_total", "",                               \
		"Times that a script counted for label values beyond the cap of its counters: lost.")                 \
	X(PROCESS_CPU, METRIC_COUNTER, NONE, "process_cpu_seconds_total", "", "User and system CPU time.")            \
	X(PROCESS_RSS, METRIC_GAUGE, NONE, "process_resident_memory_bytes", "", "Resident memory.")                   \
	X(PROCESS_VIRTUAL, METRIC_GAUGE, NONE, "process_virtual_memory_bytes", "", "Virtual memory.")                 \
	X(PROCESS_FDS, METRIC_GAUGE, NONE, "process_open_fds", "", "Open file descriptors.")                          \
	X(PROCESS_MAX_FDS, METRIC_GAUGE, NONE, "process_max_fds", "", "Most file descriptors.")                       \
	X(PROCESS_START, METRIC_GAUGE, NONE, "process_start_time_seconds", "", "When the process started.")

/* X(ID, label, count): so many series with values of their own in that label; what more values come are
 * "other" there, and keep the metric's other labels. Labels not named here have few values, all of them ours
 * or the configuration's. */
#define METRIC_CAPS(X)                                                                                                \
	X(FAILURES, "type", 40)                                                                                       \
	X(DROPS, "reason", 40)                                                                                        \
	X(KAFKA_ERRORS, "code", 20)                                                                                   \
	X(SINK_ERRORS, "code", 12)                                                                                    \
	X(HTTP_REQUESTS, "code", 40)                                                                                  \
	X(HTTP_RETRIES, "reason", 24)                                                                                 \
	X(HTTP_SPLITS, "reason", 16)                                                                                  \
	X(SCHEMA_CHECKS, "schema", 16)                                                                                \
	X(SCHEMA_UNKNOWN_VERSIONS, "schema", 8)

/* clang-format on */

enum metric {
#define X(id, type, buckets, name, labels, help) METRIC_##id,
	METRICS(X)
#undef X
	        METRIC_COUNT
};

enum { METRIC_LABELS_MAX = 5 };

struct metrics;
struct histogram;

struct metrics *metrics_open(void);
void metrics_close(struct metrics *metrics);
/* The place of a series' value, made at 0 on first use; stays valid until metrics_remove. Label values are
 * given in the table's order, as many as it names (`metrics_value(m, METRIC_EVENTS, "enriched")`); NULL
 * metrics gives a place that nobody reads. */
double *metrics_value_at(struct metrics *metrics, enum metric metric, const char *const *labels);
struct histogram *metrics_histogram_at(
        struct metrics *metrics, enum metric metric, const char *const *labels);
#define metrics_value(metrics, metric, ...)                                                                  \
	metrics_value_at(metrics, metric, (const char *const[]){__VA_ARGS__, NULL})
#define metrics_histogram(metrics, metric, ...)                                                              \
	metrics_histogram_at(metrics, metric, (const char *const[]){__VA_ARGS__, NULL})
/* For metrics without labels: pass NULL as the only label value. */
void metrics_observe(struct histogram *histogram, double value); /* seconds */
void metrics_remove(struct metrics *metrics, enum metric metric, const char *const *labels);
/* Every series of a counter or gauge with one label, in the order of their first use. */
void metrics_each(const struct metrics *metrics, enum metric metric,
        void (*each)(void *context, const char *label, double value), void *context);
/* Prometheus text 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), or OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/). Bounds of buckets are spelled alike in both,
 * "1.0": a scraper that goes from one to the other goes on with the same series. */
void metrics_print(struct metrics *metrics, enum metrics_form form, struct buf *out);
/* The declaration, for `millrace metrics`, the docs and tests. */
struct metric_declaration {
	const char *name, *labels, *help;
	enum metric_type type;
};
const struct metric_declaration *metrics_declaration(enum metric metric);
/* How many series it has before "other", and in which label; 0 = it is not capped. */
size_t metrics_cap(enum metric metric, const char **label);
/* Lines of one series on the page: of a histogram its buckets, sum and count. */
size_t metrics_lines(enum metric metric);
/* What scripts count (metrics_user.h); metrics owns it. */
struct metrics_user *metrics_user_of(struct metrics *metrics);
/* Fills the process_* metrics from /proc and the log counters. Call before printing. */
void metrics_process(struct metrics *metrics);

#endif
