/* One worker: builds the parts in order, runs the loop, drains, and closes in reverse. */
#include "worker.h"
#include "admin.h"
#include "admin_limits.h"
#include "admin_page.h"
#include "admin_tap.h"
#include "checkpoint.h"
#include "clock.h"
#include "differ.h"
#include "helper.h"
#include "hookpage.h"
#include "http.h"
#include "governor.h"
#include "inspect.h"
#include "log.h"
#include "loudness.h"
#include "mem.h"
#include "metrics.h"
#include "metrics_user.h"
#include "notify.h"
#include "reload.h"
#include "tap.h"
#include "text.h"
#include "versions.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	STACK_BYTES =
	        256 << 20, /* lazily committed; what recursion through C can use before its limit ends it */
	TICK_MS = 1000,    /* the loop turns at least this often, whatever happens */
	CLOSE_MS = 5000,   /* for the final commit and leaving the group */
	RETRY_MS = 20,     /* between two looks at something that ends by itself */
};

enum worker_state { WORKER_STARTING, WORKER_RUNNING, WORKER_PAUSED, WORKER_DRAINING, WORKER_STATES };

static const char *const state_names[WORKER_STATES] = {
        [WORKER_STARTING] = "starting",
        [WORKER_RUNNING] = "running",
        [WORKER_PAUSED] = "paused",
        [WORKER_DRAINING] = "draining",
};

struct worker {
	struct worker_config config;
	pthread_t thread;
	int stop_fd;   /* written by worker_stop */
	int reload_fd; /* written by worker_reload */
	int dump_fd, debug_fd;
	const char *volatile stop_reason;
	int exit_code;
	/* the loop's own from here */
	struct event_base *base;
	struct event *stop_event, *reload_event, *dump_event, *debug_event, *tick;
	struct loudness loudness;
	char failure[300]; /* why it cannot go on */
	struct metrics *metrics;
	struct ledger ledger;
	struct script_world world;
	struct reload *reload;
	struct http *http;
	struct schemas *schemas; /* NULL = events are not held against any */
	struct conform *conform;
	struct differ *differ;
	struct hookpage *hookpage; /* NULL = no checkpoint folder, or files */
	struct pipeline *pipeline;
	struct governor *governor; /* NULL = files are read */
	struct helper *helper;
	struct checkpoint *checkpoint; /* NULL = none is configured */
	struct sink **sinks;
	struct sink_config *sink_configs; /* the configured ones and the error stream; shallow copies */
	size_t sink_count, sinks_opened;
	struct source_config source_config;
	struct source *source;
	struct source_errors *errors; /* between the source and the pipeline; NULL = nothing is */
	struct admin *admin;
	struct tap *tap;
	struct admin_page page;
	struct lately lately; /* filled where there is an admin port */
	bool stopping, draining, failed;
	int64_t commit_at;
	struct worker_end end; /* read by others after the thread has ended */
	/* shared with other threads */
	pthread_mutex_t mutex;
	struct pipeline_counts counts;
	struct worker_progress progress;
	bool counted;
	int admin_port;
	bool ended;
};

/* ---- asked from outside ---- */

static void ask(int fd)
{
	uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof one);
	(void)written; /* full means asked already */
}

/* What was asked by ask(), however often, is answered once. */
static void hear(int fd)
{
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof count);
	(void)got;
}

void worker_stop_by(struct worker *worker, const char *reason)
{
	worker->stop_reason = reason;
	ask(worker->stop_fd);
}

void worker_stop(struct worker *worker)
{
	worker_stop_by(worker, "it was asked to");
}

void worker_reload(struct worker *worker)
{
	ask(worker->reload_fd);
}

void worker_dump(struct worker *worker)
{
	ask(worker->dump_fd);
}

void worker_debug(struct worker *worker)
{
	ask(worker->debug_fd);
}

bool worker_counts(struct worker *worker, struct pipeline_counts *counts)
{
	pthread_mutex_lock(&worker->mutex);
	*counts = worker->counts;
	bool counted = worker->counted;
	pthread_mutex_unlock(&worker->mutex);
	return counted;
}

int worker_admin_port(struct worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	int port = worker->admin_port;
	pthread_mutex_unlock(&worker->mutex);
	return port;
}

struct worker_progress worker_progress(struct worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	struct worker_progress progress = worker->progress;
	pthread_mutex_unlock(&worker->mutex);
	return progress;
}

const struct worker_end *worker_end(const struct worker *worker)
{
	return &worker->end;
}

bool worker_ended(struct worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	bool ended = worker->ended;
	pthread_mutex_unlock(&worker->mutex);
	return ended;
}

static bool bounded(const struct worker *worker)
{
	return worker->config.config->source.until != NULL && worker->config.files == NULL;
}

static uint64_t left_of(const struct partition *partition)
{
	uint64_t left = offsets_open_count(partition->offsets);
	int64_t next = offsets_next(partition->offsets);
	if (!partition->reached && partition->until > next)
		left += (uint64_t)(partition->until - next);
	return left;
}

static void look_ahead(struct worker *worker, struct worker_progress *progress)
{
	*progress = (struct worker_progress){.known = worker->source->verbs->ready(worker->source)};
	for (int i = 0; i < OUTCOMES; i++)
		progress->done += worker->counts.outcomes[i];
	list_each (&worker->source->partitions, node, after) {
		const struct partition *partition = container_of(node, struct partition, node);
		progress->partitions.all++;
		if (partition->offsets == NULL)
			continue;
		progress->left += left_of(partition);
		progress->partitions.done +=
		        partition->reached && offsets_open_count(partition->offsets) == 0;
	}
}

static void publish_counts(struct worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	pipeline_counts(worker->pipeline, &worker->counts);
	if (bounded(worker))
		look_ahead(worker, &worker->progress);
	worker->counted = true;
	pthread_mutex_unlock(&worker->mutex);
}

/* ---- health and numbers ---- */

static enum worker_state state_of(const struct worker *worker)
{
	if (worker->draining)
		return WORKER_DRAINING;
	if (pipeline_paused(worker->pipeline))
		return WORKER_PAUSED;
	return worker->source->verbs->ready(worker->source) ? WORKER_RUNNING : WORKER_STARTING;
}

static void refresh(void *context)
{
	struct worker *worker = context;
	enum worker_state state = state_of(worker);
	for (int i = 0; i < WORKER_STATES; i++)
		*metrics_value(worker->metrics, METRIC_STATE, state_names[i]) = i == (int)state;
	*metrics_value_at(worker->metrics, METRIC_HTTP_CONNECTIONS, NULL) =
	        (double)http_connections_opened(worker->http);
	*metrics_value_at(worker->metrics, METRIC_HTTP_OPEN, NULL) = (double)http_connections(worker->http);
	pipeline_refresh(worker->pipeline, clock_wall());
}

/* Whoever gets an answer has seen the loop turn: brokers and upstreams have no say in liveness. */
static bool live(void *context, struct buf *why)
{
	(void)context;
	return admin_check(why, "loop", true, NULL);
}

static bool sink_ready(const struct sink *sink, struct buf *why)
{
	const char *trouble = sink->verbs->trouble ? sink->verbs->trouble(sink) : "";
	char reason[400];
	snprintf(reason, sizeof reason, "no broker has answered it yet%s%s", *trouble ? ": " : "", trouble);
	return admin_check(why, sink->config->name, sink->verbs->ready(sink), reason);
}

/* Once ready stays ready while brokers are away: a restart would not bring them back. */
static bool ready(void *context, struct buf *why)
{
	struct worker *worker = context;
	bool all = admin_check(why, "source", worker->source->verbs->ready(worker->source),
	        "has not joined its group yet, or does not know yet where to start");
	const char *trouble = reload_trouble(worker->reload);
	all &= admin_check(why, "script", trouble == NULL, trouble);
	for (size_t i = 0; (trouble = worker->source->verbs->trouble(worker->source, i)) != NULL; i++)
		all = admin_check(why, "source", false, trouble);
	for (size_t i = 0; i < worker->sink_count; i++)
		all &= sink_ready(worker->sinks[i], why);
	return admin_check(why, "not draining", !worker->draining, "a stop was asked for") && all;
}

static void describe_upstreams(const struct config *config, struct buf *text)
{
	buf_init(text, 0);
	for (size_t i = 0; i < config->upstream_count; i++)
		buf_printf(text, "%s%s %u calls", i ? ", " : "", config->upstreams[i].name,
		        config->upstreams[i].concurrency);
	buf_append_byte(text, '\0');
}

/* What it runs with, once: versions, then the limits that came of configuration and machine. */
static void describe_limits(const struct worker *worker)
{
	const struct config *config = worker->config.config;
	struct buf upstreams;
	describe_upstreams(config, &upstreams);
	log_info("worker",
	        "limits: %zu records; memory %zu MiB, of it %zu for records, %zu for a Lua state, %zu for "
	        "prefetch; at once %s; budget of a hook %lld ms, drain %lld ms, checkpoints every %lld ms",
	        config->limit_records, config->limit_memory >> 20, config->budget.records >> 20,
	        config->budget.script >> 20, config->budget.prefetch >> 20, upstreams.data,
	        (long long)config->script.budget_ms, (long long)config->drain_ms,
	        (long long)config->checkpoint_interval_ms);
	buf_free(&upstreams);
}

static void log_state(const struct worker *worker)
{
	struct pipeline_counts counts;
	const char *paused = pipeline_paused(worker->pipeline);
	pipeline_counts(worker->pipeline, &counts);
	log_info("state",
	        "%s%s%s: %llu taken, %llu enriched, %llu passed, %llu dropped, %llu failed, %llu given back, "
	        "%llu open; %zu calls in flight, %zu lookups wait; %zu of %zu MiB charged; script %.12s",
	        state_names[state_of(worker)], paused ? " by " : "", paused ? paused : "",
	        (unsigned long long)counts.taken, (unsigned long long)counts.outcomes[OUTCOME_ENRICHED],
	        (unsigned long long)counts.outcomes[OUTCOME_PASSED],
	        (unsigned long long)counts.outcomes[OUTCOME_DROPPED],
	        (unsigned long long)counts.outcomes[OUTCOME_FAILED], (unsigned long long)counts.given_back,
	        (unsigned long long)counts.open, dispatch_in_flight(pipeline_dispatch(worker->pipeline)),
	        dispatch_waiting(pipeline_dispatch(worker->pipeline)), worker->ledger.total >> 20,
	        worker->ledger.limit >> 20, reload_sha256(worker->reload));
	inspect_log(&(struct inspect){.pipeline = worker->pipeline,
	        .source = worker->source,
	        .lately = &worker->lately,
	        .upstreams = worker->config.config->upstreams,
	        .now = clock_now(),
	        .wall = clock_wall()});
}

static void describe(struct worker *worker)
{
	struct versions versions;
	versions_read(&versions);
	*metrics_value(worker->metrics, METRIC_BUILD_INFO, versions.millrace, versions.revision,
	        versions.luajit, versions.librdkafka, versions.libcurl) = 1;
	if (worker->config.files == NULL)
		log_info("worker",
		        "millrace %s (%s): %s, librdkafka %s, libcurl %s; script %s (%.12s), at most %zu "
		        "records and "
		        "%zu MiB",
		        versions.millrace, versions.revision, versions.luajit, versions.librdkafka,
		        versions.libcurl, worker->config.config->script.path, reload_sha256(worker->reload),
		        worker->config.config->limit_records, worker->config.config->limit_memory >> 20);
	if (worker->config.files == NULL)
		describe_limits(worker);
}

/* ---- building, in order ---- */

static void source_failed(void *context, const char *why)
{
	struct worker *worker = context;
	log_error("source", "cannot go on: %s", why);
	snprintf(worker->failure, sizeof worker->failure, "the source cannot go on: %s", why);
	worker->failed = worker->stopping = true;
}

static void sink_failed(void *context, const char *why)
{
	struct worker *worker = context;
	log_error("sink", "cannot go on: %s", why);
	snprintf(worker->failure, sizeof worker->failure, "a sink cannot go on: %s", why);
	worker->failed = worker->stopping = true;
}

static void on_stop(evutil_socket_t fd, short what, void *context)
{
	struct worker *worker = context;
	hear(fd);
	(void)what;
	worker->stopping = true;
}

static void configured(void *context, bool asked)
{
	const struct worker *worker = context;
	if (worker->governor)
		governor_configured(worker->governor, asked);
}

static bool may_reload(const struct worker *worker)
{
	return worker->config.live && worker->config.config->script_reload != SCRIPT_RELOAD_OFF;
}

/* Repositories may have new versions by now, or corrected ones. */
static void refresh_schemas(struct worker *worker)
{
	if (worker->schemas)
		schemas_refresh(worker->schemas, clock_now());
}

static void on_reload(evutil_socket_t fd, short what, void *context)
{
	struct worker *worker = context;
	hear(fd);
	(void)what;
	refresh_schemas(worker);
	if (!may_reload(worker))
		log_warn("reload", "asked by a signal, but script.reload is off; a restart loads the script");
	else
		reload_ask(worker->reload, "signal", NULL, NULL);
}

/* ---- what the log says while it runs ---- */

static void on_dump(evutil_socket_t fd, short what, void *context)
{
	struct worker *worker = context;
	hear(fd);
	(void)what;
	log_state(worker);
}

static void say_level(enum log_level level, const char *by)
{
	enum log_level before = log_level();
	if (level == before)
		return;
	log_set_level(LOG_INFO); /* this line is seen whatever the levels are */
	log_info("log", "level %s, by %s; it was %s", log_level_name(level), by, log_level_name(before));
	log_set_level(level);
}

static void on_debug(evutil_socket_t fd, short what, void *context)
{
	struct worker *worker = context;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof count);
	(void)what;
	for (uint64_t i = 0; got == sizeof count && i < count % 2; i++)
		say_level(loudness_toggle(&worker->loudness, log_level(), clock_now()),
		        "SIGUSR2, for 5 minutes");
}

static void answer_log(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct worker *worker = context;
	enum log_level level;
	char text[16];
	if (!admin_value(request, "level", text, sizeof text) || !log_level_parse(text, &level)) {
		answer->status = 400;
		buf_append_text(
		        &answer->body, "level must be debug, info, warn or error: POST /-/log?level=debug\n");
		return;
	}
	loudness_set(&worker->loudness);
	say_level(level, "the admin port");
	answer->type = "application/json";
	buf_printf(&answer->body, "{\"level\":\"%s\"}\n", log_level_name(level));
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd; /* waking the loop is all there is to do */
	(void)what;
	(void)context;
}

static bool open_loop(struct worker *worker)
{
	evthread_use_pthreads();
	worker->base = event_base_new();
	if (worker->base == NULL)
		return false;
	worker->stop_event = event_new(worker->base, worker->stop_fd, EV_READ | EV_PERSIST, on_stop, worker);
	worker->tick = event_new(worker->base, -1, 0, on_tick, worker);
	worker->reload_event =
	        event_new(worker->base, worker->reload_fd, EV_READ | EV_PERSIST, on_reload, worker);
	worker->dump_event = event_new(worker->base, worker->dump_fd, EV_READ | EV_PERSIST, on_dump, worker);
	worker->debug_event =
	        event_new(worker->base, worker->debug_fd, EV_READ | EV_PERSIST, on_debug, worker);
	return worker->stop_event && worker->tick && worker->reload_event && worker->dump_event &&
	       worker->debug_event && event_add(worker->stop_event, NULL) == 0;
}

static void schemas_changed(void *context)
{
	const struct worker *worker = context;
	if (worker->pipeline)
		pipeline_schemas_changed(worker->pipeline);
}

/* Those that sinks pin are asked for right away: the first outputs find them there. */
static bool open_schemas(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	bool none = config->schema_input == SCHEMAS_OFF && config->schema_output == SCHEMAS_OFF;
	struct schemas_config schemas = {.changed = schemas_changed, .context = worker};
	struct schemas_answer answer;
	if (config->schema_uri_count == 0 || none)
		return true;
	config_schemarepo(config, &schemas.repo);
	worker->schemas = schemas_open(worker->base, &schemas, worker->metrics, err);
	mem_free((void *)(size_t)schemas.repo.fetch.routes);
	if (worker->schemas == NULL)
		return false;
	for (size_t i = 0; config->schema_output != SCHEMAS_OFF && i < config->sink_count; i++)
		if (config->sinks[i].schema)
			schemas_get(worker->schemas, config->sinks[i].schema, clock_now(), &answer);
	struct conform_config conform = {.schemas = worker->schemas,
	        .input = config->schema_input,
	        .output = config->schema_output,
	        .sinks = config->sinks,
	        .sink_count = config->sink_count,
	        .max_depth = config->script.max_depth};
	worker->conform = conform_open(&conform, worker->metrics);
	return true;
}

static void record_ended(void *context, const struct record *record, const char *message)
{
	struct worker *worker = context;
	if (record->outcome == OUTCOME_FAILED && worker->config.config->admin_listen)
		lately_add(&worker->lately, record, message, clock_wall());
	if (worker->config.ended)
		worker->config.ended(worker->config.context, record, message);
}

static bool open_hookpage(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	if (config->checkpoint_dir == NULL || worker->config.files)
		return true;
	worker->hookpage = hookpage_open(worker->base, config->checkpoint_dir, config->source.group, err);
	return worker->hookpage != NULL;
}

static bool open_pipeline(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	struct http_config http = {.user_agent = config->user_agent, .player = worker->config.player};
	worker->http = http_open(worker->base, &http, err);
	worker->differ = differ_open(worker->base, worker->metrics, err);
	if (worker->http == NULL || worker->differ == NULL)
		return false;
	worker->sink_count = config->sink_count + 1;
	worker->sink_configs = mem_zalloc(worker->sink_count, sizeof *worker->sink_configs);
	memcpy(worker->sink_configs, config->sinks, config->sink_count * sizeof *config->sinks);
	worker->sink_configs[config->sink_count] = config->errors;
	struct pipeline_config pipeline = {
	        .order = config->order == ORDER_KEY         ? PIPELINE_ORDER_KEY
	                 : config->order == ORDER_PARTITION ? PIPELINE_ORDER_PARTITION
	                                                    : PIPELINE_ORDER_NONE,
	        .key_from_event = config->key_count > 0,
	        .limit_records = config->limit_records,
	        .limit_bytes = config->budget.records,
	        .limit_resident = worker->config.files ? 0 : config->limit_memory,
	        .upstreams = config->upstreams,
	        .upstream_count = config->upstream_count,
	        .retry_deadline_ms = config->retry.deadline_ms,
	        .sinks = worker->sink_configs,
	        .sink_count = worker->sink_count,
	        .emitter_id = config->emitter_id,
	        .differ = worker->differ,
	        .conform = worker->conform,
	        .hookpage = worker->hookpage,
	        .ended = record_ended,
	        .ended_context = worker,
	        .decided = worker->config.files ? NULL : reload_decided,
	        .decided_context = worker->reload,
	        .renew = reload_renew,
	        .renew_context = worker->reload,
	        .observe = worker->config.observe,
	        .files = worker->config.files != NULL,
	        .clock = clock_now,
	};
	worker->pipeline = pipeline_open(&pipeline, worker->http, worker->metrics, &worker->ledger);
	reload_attach(worker->reload, worker->pipeline);
	if (worker->config.files == NULL)
		worker->governor = governor_open(config, worker->pipeline, worker->http, worker->metrics);
	return true;
}

static bool open_sinks(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	const struct worker_files *files = worker->config.files;
	struct sink_handlers handlers;
	pipeline_sink_handlers(worker->pipeline, &handlers);
	handlers.failed = sink_failed;
	handlers.failed_context = worker;
	worker->sinks = mem_zalloc(worker->sink_count, sizeof(struct sink *));
	for (size_t i = 0; i < worker->sink_count; i++) {
		const struct sink_config *sink = &worker->sink_configs[i];
		bool errors = i == worker->sink_count - 1;
		worker->sinks[i] =
		        files ? sink_file_open(errors ? files->errors : files->out, sink, &handlers)
		              : sink_kafka_open(worker->base, sink, config->name, &handlers, worker->metrics,
		                        config->budget.produce_queue, err);
		if (worker->sinks[i] == NULL)
			return false;
		if (files)
			sink_file_wake(worker->sinks[i], worker->base);
		worker->sinks_opened++;
	}
	return true;
}

static bool open_checkpoint(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	struct checkpoint_config checkpoint = {.dir = config->checkpoint_dir,
	        .group = config->source.group,
	        .keep = config->checkpoint_keep};
	if (config->checkpoint_dir == NULL)
		return true;
	worker->checkpoint = checkpoint_open(worker->base, &checkpoint, worker->metrics, err);
	if (worker->checkpoint == NULL)
		return false;
	worker->source_config.checkpoints = checkpoint_verbs(worker->checkpoint);
	return true;
}

static bool open_source(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	const struct worker_files *files = worker->config.files;
	struct source_handlers handlers;
	worker->source_config = config->source;
	worker->source_config.script_sha256 = reload_sha256(worker->reload);
	pipeline_source_handlers(worker->pipeline, &handlers);
	handlers.failed = source_failed;
	handlers.failed_context = worker;
	if (files) {
		worker->source =
		        source_file_open(worker->base, files->in, files->in_name, files->max_line, &handlers);
	} else {
		worker->helper = helper_open(worker->base, err);
		if (worker->helper == NULL || !open_checkpoint(worker, err))
			return false;
		ledger_set(&worker->ledger, LEDGER_SOURCE, config->budget.prefetch);
		if (worker->config.errors) {
			worker->errors = source_errors_open(
			        worker->base, worker->config.errors, worker->helper, &handlers);
			source_errors_handlers(worker->errors, &handlers);
		}
		worker->source = source_kafka_open(worker->base, &worker->source_config, config->name,
		        worker->helper, &handlers, worker->metrics, err);
	}
	if (worker->source == NULL)
		return false;
	pipeline_attach(worker->pipeline, worker->source, worker->sinks);
	return true;
}

static void fill_reload(struct buf *out, enum reload_outcome outcome, const char *message)
{
	buf_printf(out, "{\"outcome\":\"%s\",\"message\":", reload_outcome_name(outcome));
	text_json_string(out, message, strlen(message));
	buf_append_text(out, "}\n");
}

static void reload_told_late(void *context, enum reload_outcome outcome, const char *message)
{
	struct buf body;
	bool good = outcome == RELOAD_SWAPPED || outcome == RELOAD_UNCHANGED;
	buf_init(&body, 0);
	fill_reload(&body, outcome, message);
	admin_answer_late(context,
	        good                     ? 200
	        : outcome == RELOAD_BUSY ? 409
	                                 : 422,
	        "application/json", &body);
}

/* Answered when the outcome is known: its data tests may take a while. */
static void answer_reload(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct worker *worker = context;
	(void)request;
	refresh_schemas(worker);
	if (may_reload(worker)) {
		reload_ask(worker->reload, "api", reload_told_late, admin_later(answer));
		return;
	}
	answer->status = 422;
	answer->type = "application/json";
	fill_reload(&answer->body, RELOAD_FAILED, "script.reload is off; a restart loads the script");
}

static void answer_status(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct worker *worker = context;
	struct pipeline_counts c;
	(void)request;
	pipeline_counts(worker->pipeline, &c);
	answer->type = "application/json";
	buf_append_text(&answer->body, "{\"name\":");
	text_json_string(&answer->body, worker->config.config->name, strlen(worker->config.config->name));
	buf_append_text(&answer->body, ",\"group\":");
	text_json_string(&answer->body, worker->config.config->source.group,
	        strlen(worker->config.config->source.group));
	buf_printf(&answer->body,
	        ",\"version\":\"%s\",\"state\":\"%s\",\"records\":{\"taken\":%llu,\"enriched\":%llu,"
	        "\"passed\":%llu,"
	        "\"dropped\":%llu,\"failed\":%llu,\"given_back\":%llu,\"open\":%llu},\"script\":",
	        MILLRACE_VERSION, state_names[state_of(worker)], (unsigned long long)c.taken,
	        (unsigned long long)c.outcomes[OUTCOME_ENRICHED],
	        (unsigned long long)c.outcomes[OUTCOME_PASSED],
	        (unsigned long long)c.outcomes[OUTCOME_DROPPED],
	        (unsigned long long)c.outcomes[OUTCOME_FAILED], (unsigned long long)c.given_back,
	        (unsigned long long)c.open);
	reload_status(worker->reload, &answer->body);
	buf_append_text(&answer->body, ",\"limits\":");
	governor_print(worker->governor, &answer->body);
	buf_printf(&answer->body, ",\"taps\":%zu}\n", tap_readers(worker->tap));
}

static void watch(void *context, const struct observe *observe)
{
	const struct worker *worker = context;
	pipeline_observe(worker->pipeline, observe);
}

static void open_tap(struct worker *worker)
{
	const struct config *config = worker->config.config;
	struct tap_config tap = {.sinks = worker->sink_configs,
	        .sink_count = worker->sink_count,
	        .upstreams = config->upstreams,
	        .upstream_count = config->upstream_count,
	        .script_sha256 = reload_sha256(worker->reload),
	        .name = config->name,
	        .ledger = &worker->ledger,
	        .watch = watch,
	        .context = worker};
	worker->tap = tap_open(&tap);
	admin_tap_route(worker->admin, worker->tap);
}

static void open_page(struct worker *worker)
{
	const struct config *config = worker->config.config;
	worker->page = (struct admin_page){.name = config->name,
	        .pipeline = worker->pipeline,
	        .source = worker->source,
	        .lately = &worker->lately,
	        .upstreams = config->upstreams};
	admin_page_route(worker->admin, &worker->page);
}

static bool open_admin(struct worker *worker, struct err *err)
{
	const struct config *config = worker->config.config;
	if (config->admin_listen == NULL)
		return true;
	struct admin_config admin = {.listen = config->admin_listen,
	        .token = config->admin_token,
	        .hosts = config->admin_hosts,
	        .host_count = config->admin_host_count};
	struct admin_hooks hooks = {.context = worker, .refresh = refresh, .live = live, .ready = ready};
	struct admin_route status = {"GET", "/api/v1/status", "what it does, as JSON", answer_status, worker};
	struct admin_route reload = {"POST", "/-/reload", "load the script again", answer_reload, worker};
	struct admin_route log = {
	        "POST", "/-/log", "what the log says: ?level=debug|info|warn|error", answer_log, worker};
	worker->admin = admin_open(worker->base, &admin, &hooks, worker->metrics, err);
	if (worker->admin == NULL)
		return false;
	admin_route(worker->admin, &status);
	admin_route(worker->admin, &reload);
	admin_route(worker->admin, &log);
	admin_limits_route(worker->admin, worker->governor);
	open_tap(worker);
	open_page(worker);
	pthread_mutex_lock(&worker->mutex);
	worker->admin_port = admin_port(worker->admin);
	pthread_mutex_unlock(&worker->mutex);
	return true;
}

/* 0, or the exit code with its reason logged. */
static int build(struct worker *worker)
{
	const struct config *config = worker->config.config;
	struct err err = {""};
	int code = 1;
	if (!open_loop(worker)) {
		err_set(&err, "the event loop could not be made");
	} else {
		worker->metrics = metrics_open();
		ledger_init(&worker->ledger, config->limit_memory);
		ledger_set(&worker->ledger, LEDGER_ENGINE, config->budget.engine);
		worker->ledger.script = config->budget.script;
		lately_init(&worker->lately, config->admin_token != NULL);
		config_world(config, &worker->world);
		worker->world.counters = metrics_user_of(worker->metrics);
		struct reload_config reload = {.config = config,
		        .live = worker->config.live,
		        .world = &worker->world,
		        .metrics = worker->metrics,
		        .configured = configured,
		        .configured_context = worker,
		        .keeps = worker->config.files == NULL};
		worker->reload = reload_open(worker->base, &reload, &err);
		code = worker->reload ? 1 : 78;
	}
	if (worker->reload && open_schemas(worker, &err) && open_hookpage(worker, &err) &&
	        open_pipeline(worker, &err) && open_sinks(worker, &err) && open_source(worker, &err) &&
	        open_admin(worker, &err)) {
		event_add(worker->reload_event, NULL);
		event_add(worker->dump_event, NULL);
		event_add(worker->debug_event, NULL);
		describe(worker);
		return 0;
	}
	log_error("worker", "%s", err.text);
	return code;
}

/* ---- the turn ---- */

static void arm(struct worker *worker, int64_t next, int64_t now)
{
	int64_t wait = next < 0 ? TICK_MS : next - now;
	wait = wait < 0 ? 0 : wait > TICK_MS ? TICK_MS : wait;
	struct timeval after = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
	event_add(worker->tick, &after);
}

/* Where time is invented it goes on by itself to what is due next, once nothing else is to be done: a diff
 * that is being made takes no time. */
static void skip_to(int64_t next, int64_t now)
{
	if (next > now)
		clock_skip(next - now);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Sources pump while the door has room; what they took is walked; what moved is committed when due. */
static bool turn(struct worker *worker, bool more)
{
	event_base_loop(worker->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0));
	int64_t began = clock_now_ns();
	if (worker->governor)
		governor_turn(worker->governor, clock_now());
	more = worker->source->verbs->pump(worker->source);
	int64_t now = clock_now();
	int64_t next = pipeline_turn(worker->pipeline, now);
	next = sooner(next, worker->schemas ? schemas_turn(worker->schemas, now) : -1);
	next = sooner(next, http_next(worker->http));
	if (clock_invented() && !more && !differ_busy(worker->differ))
		skip_to(next, now);
	if (worker->admin)
		admin_turn(worker->admin);
	if (now >= worker->commit_at) {
		if (worker->checkpoint)
			checkpoint_use_script(worker->checkpoint, reload_sha256(worker->reload));
		worker->source->verbs->commit(worker->source, false);
		worker->commit_at = now + worker->config.config->checkpoint_interval_ms;
	}
	publish_counts(worker);
	arm(worker, next, clock_now());
	notify_alive(now);
	say_level(loudness_turn(&worker->loudness, log_level(), now), "time: debug's 5 minutes are over");
	metrics_observe(metrics_histogram_at(worker->metrics, METRIC_LOOP_DELAY, NULL),
	        (double)(clock_now_ns() - began) / 1e9);
	return more;
}

static void run(struct worker *worker)
{
	bool more = true;
	while (!worker->stopping) {
		more = turn(worker, more);
		if (worker->config.files && pipeline_delivery_failed(worker->pipeline)) {
			log_error("worker",
			        "the output cannot be written any more (closed pipe or full disk?)");
			worker->failed = true;
			return;
		}
		worker->end.finished = worker->source->verbs->finished(worker->source) &&
		                       (worker->errors == NULL || source_errors_idle(worker->errors)) &&
		                       pipeline_drained(worker->pipeline);
		if (worker->end.finished)
			return;
	}
}

/* What is in the air may end; what only waits goes back. Answers how many records were left unfinished. */
static uint64_t drain(struct worker *worker)
{
	int64_t deadline = clock_now() + worker->config.config->drain_ms;
	struct pipeline_counts counts;
	worker->draining = true;
	notify_say("STOPPING=1\nSTATUS=draining");
	worker->source->verbs->stop(worker->source);
	pipeline_drain(worker->pipeline, clock_now());
	pipeline_counts(worker->pipeline, &counts);
	if (counts.open)
		log_info("worker", "draining: %llu records are in the air, %llu were given back",
		        (unsigned long long)counts.open, (unsigned long long)counts.given_back);
	while (!worker->failed && !pipeline_drained(worker->pipeline) && clock_now() < deadline)
		turn(worker, false);
	pipeline_counts(worker->pipeline, &counts);
	pipeline_give_back(worker->pipeline, "stopped");
	return counts.open;
}

static void leave(struct worker *worker)
{
	int64_t deadline = clock_now() + CLOSE_MS;
	while (!worker->source->verbs->close(worker->source) && clock_now() < deadline) {
		arm(worker, clock_now() + RETRY_MS, clock_now());
		event_base_loop(worker->base, EVLOOP_ONCE);
		for (size_t i = 0; i < worker->sinks_opened; i++)
			worker->sinks[i]->verbs->serve(worker->sinks[i]);
	}
}

/* ---- closing, in reverse ---- */

static void tear_down(struct worker *worker)
{
	if (worker->admin)
		admin_close(worker->admin);
	tap_close(worker->tap);
	for (size_t i = 0; i < worker->sinks_opened; i++)
		worker->sinks[i]->verbs->close(worker->sinks[i]);
	differ_close(worker->differ, CLOSE_MS);
	governor_close(worker->governor);
	if (worker->pipeline)
		pipeline_close(worker->pipeline);
	lately_free(&worker->lately);
	hookpage_close(worker->hookpage);
	schemas_close(worker->schemas, CLOSE_MS);
	conform_close(worker->conform);
	if (worker->source)
		worker->source->verbs->destroy(worker->source);
	if (worker->helper)
		helper_close(worker->helper, CLOSE_MS);
	source_errors_close(worker->errors);
	checkpoint_close(worker->checkpoint);
	if (worker->http)
		http_close(worker->http);
	reload_close(worker->reload);
	if (worker->metrics)
		metrics_close(worker->metrics);
	if (worker->stop_event)
		event_free(worker->stop_event);
	if (worker->reload_event)
		event_free(worker->reload_event);
	if (worker->dump_event)
		event_free(worker->dump_event);
	if (worker->debug_event)
		event_free(worker->debug_event);
	if (worker->tick)
		event_free(worker->tick);
	if (worker->base)
		event_base_free(worker->base);
	mem_free(worker->sinks);
	mem_free(worker->sink_configs);
	mem_free((void *)worker->world.sinks);
}

static void add_reason(struct worker *worker, enum outcome outcome, const char *name, double count)
{
	struct worker_end *end = &worker->end;
	end->reasons = mem_realloc(end->reasons, (end->reason_count + 1) * sizeof *end->reasons);
	end->reasons[end->reason_count++] =
	        (struct worker_reason){outcome, mem_strdup(name), (uint64_t)count};
}

static void add_drop(void *context, const char *label, double value)
{
	add_reason(context, OUTCOME_DROPPED, label, value);
}

static void add_failure(void *context, const char *label, double value)
{
	add_reason(context, OUTCOME_FAILED, label, value);
}

static int by_count(const void *a, const void *b)
{
	const struct worker_reason *x = a, *y = b;
	return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->name, y->name);
}

static void note_end(struct worker *worker)
{
	struct worker_end *end = &worker->end;
	pipeline_counts(worker->pipeline, &end->counts);
	if (worker->errors)
		end->errors = source_errors_counts(worker->errors);
	metrics_each(worker->metrics, METRIC_DROPS, add_drop, worker);
	metrics_each(worker->metrics, METRIC_FAILURES, add_failure, worker);
	if (end->reason_count)
		qsort(end->reasons, end->reason_count, sizeof *end->reasons, by_count);
}

static const char *end_reason(const struct worker *worker)
{
	if (worker->failed)
		return worker->failure[0] ? worker->failure : "it failed";
	if (worker->end.finished)
		return "nothing is left to read";
	return worker->stop_reason ? worker->stop_reason : "it was asked to";
}

static void add_up(void *context, const char *label, double value)
{
	(void)label;
	*(double *)context += value;
}

static void report(struct worker *worker, uint64_t unfinished)
{
	struct pipeline_counts counts;
	publish_counts(worker);
	note_end(worker);
	counts = worker->end.counts;
	if (worker->config.files)
		return;
	double unsent = 0;
	metrics_each(worker->metrics, METRIC_PRODUCER_MESSAGES, add_up, &unsent);
	char cut[96] = "";
	if (unfinished)
		snprintf(cut, sizeof cut, ", of them %llu still in the air when the drain's time was up",
		        (unsigned long long)unfinished);
	log_info("worker",
	        "stopped because %s: %llu taken, %llu enriched, %llu passed, %llu dropped, %llu failed, %llu "
	        "given "
	        "back%s; %.0f outputs left with the producers",
	        end_reason(worker), (unsigned long long)counts.taken,
	        (unsigned long long)counts.outcomes[OUTCOME_ENRICHED],
	        (unsigned long long)counts.outcomes[OUTCOME_PASSED],
	        (unsigned long long)counts.outcomes[OUTCOME_DROPPED],
	        (unsigned long long)counts.outcomes[OUTCOME_FAILED], (unsigned long long)counts.given_back,
	        cut, unsent);
}

static void *worker_main(void *context)
{
	struct worker *worker = context;
	worker->exit_code = build(worker);
	if (worker->exit_code == 0) {
		worker->end.ran = true;
		notify_say("READY=1\nSTATUS=running");
		run(worker);
		uint64_t unfinished = drain(worker);
		leave(worker);
		report(worker, unfinished);
		worker->exit_code = worker->failed                              ? 1
		                    : unfinished && worker->config.strict_drain ? 75
		                    : bounded(worker) && !worker->end.finished  ? 1
		                                                                : 0;
	}
	tear_down(worker);
	pthread_mutex_lock(&worker->mutex);
	worker->ended = true;
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

struct worker *worker_start(const struct worker_config *config)
{
	struct worker *worker = mem_zalloc(1, sizeof *worker);
	pthread_attr_t attributes;
	sigset_t all, before;
	worker->config = *config;
	worker->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	worker->reload_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	worker->dump_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	worker->debug_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* Signals go to the thread that started us; the watchdog's reaches the loop by pthread_kill alone. */
	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failure = pthread_create(&worker->thread, &attributes, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (failure) {
		log_error("worker", "the loop's thread could not be started: %s", strerror(failure));
		worker_free(worker);
		return NULL;
	}
	return worker;
}

int worker_join(struct worker *worker, struct pipeline_counts *counts)
{
	pthread_join(worker->thread, NULL);
	if (counts)
		*counts = worker->counts;
	return worker->exit_code;
}

void worker_free(struct worker *worker)
{
	for (size_t i = 0; i < worker->end.reason_count; i++)
		mem_free(worker->end.reasons[i].name);
	mem_free(worker->end.reasons);
	close(worker->stop_fd);
	close(worker->reload_fd);
	close(worker->dump_fd);
	close(worker->debug_fd);
	pthread_mutex_destroy(&worker->mutex);
	mem_free(worker);
}
