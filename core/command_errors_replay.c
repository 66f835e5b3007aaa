/* `millrace errors replay`: what failed, through the present script to the job's sinks; or, with --dry-run,
 * what that would be. */
#include "clock.h"
#include "command_bounded.h"
#include "command_errors.h"
#include "command_group.h"
#include "kafka_ask.h"
#include "mem.h"
#include "script.h"
#include "signals.h"
#include "text.h"
#include "worker.h"

#include <stdio.h>
#include <string.h>

enum { FETCH_MS = 15000, CLUSTER_MS = 10000, KEY_SHOWN = 60 };

/* ---- what both say ---- */

/* "; 2 repeated, ..." for what was read and is not replayed. */
static void say_left_out(struct buf *out, const uint64_t picks[ERRORPICKS])
{
	static const char *const words[ERRORPICKS] = {
	        [ERRORPICK_FILTERED] = "not meant",
	        [ERRORPICK_FOREIGN] = "of another source",
	        [ERRORPICK_REPEATED] = "of the same records",
	        [ERRORPICK_UNREADABLE] = "no error events",
	};
	for (int i = 0; i < ERRORPICKS; i++)
		if (words[i] && picks[i])
			buf_printf(out, "; %llu %s", (unsigned long long)picks[i], words[i]);
}

static void json_left_out(struct buf *out, const uint64_t picks[ERRORPICKS])
{
	buf_printf(out, ",\"filtered\":%llu,\"foreign\":%llu,\"repeated\":%llu,\"unreadable\":%llu",
	        (unsigned long long)picks[ERRORPICK_FILTERED], (unsigned long long)picks[ERRORPICK_FOREIGN],
	        (unsigned long long)picks[ERRORPICK_REPEATED],
	        (unsigned long long)picks[ERRORPICK_UNREADABLE]);
}

/* ---- what would be replayed ---- */

struct rehearsal {
	const struct errors_job *job;
	const struct errors_plan *plan;
	struct errorpicker picker;
	struct script *script;
	struct rd_kafka_s *source; /* NULL = not opened yet */
	uint64_t count, gone;
	struct err err; /* why it cannot go on */
	int code;
};

/* A record's bytes, borrowed. */
struct original {
	struct bytes key, value;
	const struct output_header *headers;
	size_t header_count;
	int64_t timestamp;
};

struct telling {
	struct rehearsal *rehearsal;
	const struct topicreader_message *message;
	const struct errorevent *event;
	const char *topic;
	bool again, told;
};

/* The key of its outputs, unless the script or the sink gives another; NULL: of no lane. */
static char *key_of(struct telling *telling, const struct original *original, char **fault)
{
	const struct origin *origin = &telling->event->origin;
	struct script *script = telling->rehearsal->script;
	struct script_input input = {.topic = telling->topic,
	        .partition = origin->partition,
	        .offset = origin->offset,
	        .timestamp = original->timestamp,
	        .key = original->key,
	        .value = original->value,
	        .headers = original->headers,
	        .header_count = original->header_count};
	struct script_event event = {0};
	struct script_result result = {0};
	char *key = NULL;
	if (original->value.data == NULL)
		return mem_dup(original->key.data, original->key.size);
	if (script_decode(&event, script, &input, &result))
		key = event.lane_key ? mem_dup(event.lane_key, event.lane_key_size)
		                     : mem_dup(original->key.data, original->key.size);
	else
		*fault = mem_strdup(result.type);
	script_result_free(&result);
	script_forget(&event);
	script_collect(script);
	return key;
}

static void tell(struct telling *telling, const struct original *original)
{
	const struct errorevent *event = telling->event;
	const struct bytes *type = &event->texts[ERROREVENT_TYPE];
	char time[CLOCK_TEXT], *fault = NULL, *key = key_of(telling, original, &fault);
	struct buf out;
	buf_init(&out, 0);
	clock_format(telling->message->timestamp, time);
	telling->told = true;
	if (telling->rehearsal->job->options->json) {
		buf_printf(&out, "{\"time\":\"%s\",\"type\":", time);
		text_json_string(&out, type->data ? type->data : "", type->size);
		buf_printf(&out, ",\"partition\":%d,\"offset\":%lld", (int)event->origin.partition,
		        (long long)event->origin.offset);
		text_json_member(&out, "topic", telling->topic);
		text_json_member(&out, "key", key);
		buf_printf(&out, ",\"read_again\":%s", telling->again ? "true" : "false");
		text_json_member(&out, "fails", fault);
		buf_append_text(&out, "}\n");
	} else {
		buf_printf(&out, "%s  ", time);
		errors_line(&out, *type, KEY_SHOWN);
		buf_printf(&out, "  %s/%d/%lld  ", telling->topic, (int)event->origin.partition,
		        (long long)event->origin.offset);
		errors_line(&out, key ? (struct bytes){key, strlen(key)} : (struct bytes){"-", 1}, KEY_SHOWN);
		buf_printf(&out, "%s%s%s\n", telling->again ? "  from its source" : "",
		        fault ? "  would fail again: " : "", fault ? fault : "");
	}
	fwrite(out.data, 1, out.size, stdout);
	buf_free(&out);
	mem_free(key);
	mem_free(fault);
}

static void tell_fetched(void *context, const struct topicreader_message *message)
{
	struct telling *telling = context;
	struct original original = {
	        message->key, message->value, message->headers, message->header_count, message->timestamp};
	telling->again = true;
	if (errorevent_agrees(telling->event, message->value))
		tell(telling, &original);
}

static bool source_open(struct rehearsal *rehearsal)
{
	int code;
	if (rehearsal->source == NULL)
		rehearsal->source = errors_open_source(rehearsal->job, &code);
	if (rehearsal->source == NULL)
		rehearsal->code = code;
	return rehearsal->source != NULL;
}

static void tell_partial(struct telling *telling)
{
	struct rehearsal *rehearsal = telling->rehearsal;
	const struct origin *origin = &telling->event->origin;
	struct err err;
	if (!source_open(rehearsal))
		return;
	enum topicreader_found found = topicreader_fetch(rehearsal->source, telling->topic, origin->partition,
	        origin->offset, FETCH_MS, tell_fetched, telling, &err);
	if (found == TOPICREADER_UNKNOWN) {
		rehearsal->code = errors_complain(false, &err);
	} else if (!telling->told) {
		rehearsal->gone++;
		fprintf(stderr, "millrace errors: %s/%d/%lld is no longer in the source\n", telling->topic,
		        (int)origin->partition, (long long)origin->offset);
	}
}

static void tell_verbatim(struct telling *telling)
{
	const struct topicreader_message *message = telling->message;
	const struct errorevent *event = telling->event;
	size_t count;
	struct output_header *headers =
	        errorevent_original_headers(message->headers, message->header_count, &count);
	struct original original = {message->key, event->texts[ERROREVENT_RAW], headers, count,
	        event->timestamp >= 0 ? event->timestamp : message->timestamp};
	tell(telling, &original);
	mem_free(headers);
}

static void rehearse_one(void *context, const struct topicreader_message *message)
{
	struct rehearsal *rehearsal = context;
	struct errorevent event;
	struct errorpick_message seen = {
	        message->partition, message->offset, message->value, message->headers, message->header_count};
	struct telling telling = {.rehearsal = rehearsal, .message = message, .event = &event};
	if (rehearsal->code || errors_plan_finished(rehearsal->plan, message->partition, message->offset) ||
	        errorpicker_judge(&rehearsal->picker, &seen, &event, &telling.topic) != ERRORPICK_TAKEN)
		return;
	if (event.partial)
		tell_partial(&telling);
	else
		tell_verbatim(&telling);
	rehearsal->count += telling.told;
}

static void bound(void *context, const char *topic, int32_t partition, int64_t *low, int64_t *high)
{
	const struct rehearsal *rehearsal = context;
	(void)topic;
	errors_plan_bounds(rehearsal->plan, partition, low, high);
}

static void conclude_rehearsal(const struct rehearsal *rehearsal)
{
	const struct config *config = rehearsal->job->config;
	struct buf out;
	buf_init(&out, 0);
	if (rehearsal->job->options->json) {
		buf_printf(&out, "{\"would_replay\":%llu,\"not_found\":%llu",
		        (unsigned long long)rehearsal->count, (unsigned long long)rehearsal->gone);
		json_left_out(&out, rehearsal->picker.counts);
		buf_append_text(&out, "}\n");
	} else {
		buf_printf(&out, "%llu would be replayed to", (unsigned long long)rehearsal->count);
		for (size_t i = 0; i < config->sink_count; i++)
			buf_printf(&out, "%s %s", i ? "," : "", config->sinks[i].topic);
		buf_printf(&out, "; %llu not found", (unsigned long long)rehearsal->gone);
		say_left_out(&out, rehearsal->picker.counts);
		buf_append_text(&out, "\n");
	}
	fputs(out.data, stdout);
	fflush(stdout);
	buf_free(&out);
	fputs("Nothing was changed (--dry-run).\n", stderr);
}

static int rehearse_with(struct rehearsal *rehearsal, struct rd_kafka_s *client)
{
	struct topicreader reader = {
	        .client = client, .bounds = bound, .message = rehearse_one, .context = rehearsal};
	struct errors_options all = *rehearsal->job->options;
	struct errors_job job = *rehearsal->job;
	all.from = all.until = NULL; /* the plan has made offsets of them */
	job.options = &all;
	errorpicker_init(&rehearsal->picker, &rehearsal->job->options->filter, &job.config->source);
	int code = errors_read(&job, &reader);
	if (code == EXIT_SUCCESS)
		code = rehearsal->code;
	if (code == EXIT_SUCCESS)
		conclude_rehearsal(rehearsal);
	errorpicker_free(&rehearsal->picker);
	if (rehearsal->source)
		command_group_close(rehearsal->source);
	return code == EXIT_SUCCESS && rehearsal->gone ? EXIT_FAILURE : code;
}

static int rehearse(const struct errors_job *job, const struct errors_plan *plan, struct rd_kafka_s *client)
{
	struct rehearsal rehearsal = {.job = job, .plan = plan};
	struct script_world world;
	struct err err;
	int code = EXIT_CONFIG;
	config_world(job->config, &world);
	rehearsal.script = script_open(&job->config->script, &world, &err);
	if (rehearsal.script) {
		code = rehearse_with(&rehearsal, client);
		script_release(rehearsal.script);
	} else {
		fprintf(stderr, "millrace errors: %s\n", err.text);
	}
	mem_free((void *)(size_t)world.sinks);
	return code;
}

/* ---- the replay ---- */

static uint64_t replayed(const struct worker_end *end)
{
	uint64_t sum = 0;
	for (int i = 0; i < OUTCOMES; i++)
		sum += end->counts.outcomes[i];
	return sum;
}

static void print_text(const struct errors_plan *plan, const struct worker_end *end)
{
	const uint64_t *outcomes = end->counts.outcomes;
	struct buf out;
	buf_init(&out, 0);
	buf_printf(&out,
	        "%llu replayed: %llu enriched, %llu passed, %llu dropped, %llu failed again; %llu not found",
	        (unsigned long long)replayed(end), (unsigned long long)outcomes[OUTCOME_ENRICHED],
	        (unsigned long long)outcomes[OUTCOME_PASSED], (unsigned long long)outcomes[OUTCOME_DROPPED],
	        (unsigned long long)outcomes[OUTCOME_FAILED], (unsigned long long)end->errors.gone);
	say_left_out(&out, end->errors.picks);
	puts(out.data);
	buf_free(&out);
	size_t shown = 0;
	for (size_t i = 0; i < end->reason_count; i++)
		if (end->reasons[i].outcome == OUTCOME_FAILED)
			printf("%s%s %llu", shown++ ? ", " : "failed again: ", end->reasons[i].name,
			        (unsigned long long)end->reasons[i].count);
	if (shown)
		putchar('\n');
	fflush(stdout);
	if (!end->finished)
		fprintf(stderr, "Stopped before its end; %s\n",
		        plan->selected ? "the same command begins anew, and consumers see by meta.id what "
		                         "comes twice."
		                       : "the same command without --from goes on where it stopped.");
}

static void print_json(const struct errors_plan *plan, const struct worker_end *end)
{
	struct buf out;
	buf_init(&out, 0);
	buf_append_text(&out, "{\"group\":");
	text_json_string(&out, plan->group, strlen(plan->group));
	buf_printf(&out, ",\"finished\":%s,\"replayed\":%llu", end->finished ? "true" : "false",
	        (unsigned long long)replayed(end));
	for (int i = 0; i < OUTCOMES; i++)
		buf_printf(&out, ",\"%s\":%llu", outcome_name((enum outcome)i),
		        (unsigned long long)end->counts.outcomes[i]);
	buf_printf(&out, ",\"read_again\":%llu,\"not_found\":%llu", (unsigned long long)end->errors.again,
	        (unsigned long long)end->errors.gone);
	json_left_out(&out, end->errors.picks);
	buf_append_text(&out, "}\n");
	fputs(out.data, stdout);
	fflush(stdout);
	buf_free(&out);
}

static void summarize(
        const struct errors_job *job, const struct errors_plan *plan, const struct worker_end *end)
{
	(job->options->json ? print_json : print_text)(plan, end);
}

/* The present configuration, but for where records come from; beside the running job, so without what only
 * one process can have. Positions are those of the group alone. */
static struct config *as_replay(
        const struct errors_job *job, const struct errors_plan *plan, struct config *config)
{
	*config = *job->config;
	config->source = plan->source;
	config->admin_listen = NULL;
	config->checkpoint_dir = NULL;
	config->script_reload = SCRIPT_RELOAD_OFF;
	return config;
}

static int work(const struct errors_job *job, const struct errors_plan *plan)
{
	struct config config;
	struct source_config source = job->config->source;
	source.group = plan->group; /* whose rights suffice to read the error stream */
	source.kafka = job->source_kafka;
	source.kafka_count = job->source_kafka_count;
	struct source_errors_config errors = {.filter = &job->options->filter,
	        .source = &source,
	        .client_id = job->config->name,
	        .rate = job->options->rate};
	struct worker_config worker_config = {.config = as_replay(job, plan, &config), .errors = &errors};
	struct worker *worker = worker_start(&worker_config);
	if (worker == NULL)
		return EXIT_FAILURE;
	signals_install(worker, false);
	bounded_watch(worker, job->options->json);
	int code = worker_join(worker, NULL);
	signals_forget();
	const struct worker_end *end = worker_end(worker);
	if (end->ran)
		summarize(job, plan, end);
	if (code == EXIT_SUCCESS && (end->counts.outcomes[OUTCOME_FAILED] || end->errors.gone))
		code = EXIT_FAILURE;
	worker_free(worker);
	return code;
}

/* ---- never to a source topic ---- */

static bool is_source_topic(const struct config *config, const char *topic)
{
	for (size_t i = 0; i < config->source.topic_count; i++)
		if (strcmp(config->source.topics[i], topic) == 0)
			return true;
	return false;
}

/* The id of the cluster; EXIT_SUCCESS, or told why it cannot be asked. */
static int ask_cluster(const struct errors_job *job, const struct kafka_property *properties, size_t count,
        char id[KAFKA_CLUSTER_SIZE])
{
	struct err err;
	int code;
	struct rd_kafka_s *client = command_group_open_at(job->config, properties, count, &code, &err);
	if (client == NULL) {
		fprintf(stderr, "millrace errors: %s\n", err.text);
		return code;
	}
	kafka_ask_cluster(client, CLUSTER_MS, id);
	command_group_close(client);
	return EXIT_SUCCESS;
}

/* The configuration is refused where servers are written alike; one cluster has several names. */
static int refuse_loop(const struct errors_job *job)
{
	const struct config *config = job->config;
	char source[KAFKA_CLUSTER_SIZE] = "", theirs[KAFKA_CLUSTER_SIZE] = "";
	int code = EXIT_SUCCESS;
	for (size_t i = 0; i < config->sink_count && code == EXIT_SUCCESS; i++) {
		const struct sink_config *sink = &config->sinks[i];
		if (!is_source_topic(config, sink->topic))
			continue;
		code = ask_cluster(job, job->source_kafka, job->source_kafka_count, source);
		if (code == EXIT_SUCCESS)
			code = ask_cluster(job, sink->kafka, sink->kafka_count, theirs);
		if (code == EXIT_SUCCESS && (*source == '\0' || strcmp(source, theirs) == 0)) {
			fprintf(stderr,
			        "millrace errors: sink %s writes to %s, a source topic of the same cluster: "
			        "what was replayed would come back as an input\n",
			        sink->name, sink->topic);
			code = EXIT_CONFIG;
		}
	}
	return code;
}

static int replay(const struct errors_job *job, struct errors_plan *plan)
{
	int code = refuse_loop(job);
	struct rd_kafka_s *client = code ? NULL : errors_open_stream(job, plan->group, &code);
	if (client == NULL)
		return code;
	code = errors_plan_make(plan, job, client);
	if (code == EXIT_SUCCESS && job->options->dry_run)
		code = rehearse(job, plan, client);
	else if (code == EXIT_SUCCESS)
		code = errors_plan_commit(plan, job, client);
	command_group_close(client);
	if (code || job->options->dry_run)
		return code;
	if (plan->left > 0)
		return work(job, plan);
	summarize(job, plan, &(struct worker_end){.finished = true});
	return EXIT_SUCCESS;
}

int errors_replay(const struct errors_job *job)
{
	struct errors_plan plan;
	errors_plan_init(&plan, job);
	int code = replay(job, &plan);
	errors_plan_free(&plan);
	return code;
}
