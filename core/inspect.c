/* What a running engine is doing, as JSON for who asks why it stands still. */
#include "inspect.h"
#include "cassette.h"
#include "clock.h"
#include "hosts.h"
#include "log.h"
#include "text.h"
#include "url.h"

#include <string.h>

enum { VALUE_SHOWN = 32, PATH_SHOWN = 200 };

static void seconds_member(struct buf *out, const char *name, int64_t ms)
{
	buf_printf(out, ",\"%s\":%.3f", name, (double)(ms > 0 ? ms : 0) / 1000);
}

static void separate(struct buf *out)
{
	if (out->data[out->size - 1] != '[')
		buf_append_byte(out, ',');
}

/* ---- the URL of a lookup ---- */

static void append_short(struct buf *out, const char *text, size_t size, size_t most)
{
	buf_append(out, text, size < most ? size : text_utf8_valid(text, most));
	if (size > most)
		buf_append_text(out, "\u2026");
}

static bool is_secret(const char *name, size_t size)
{
	struct buf plain;
	buf_init(&plain, 0);
	url_append_decoded(&plain, name, size);
	bool secret = plain.size && cassette_secret(plain.data, plain.size);
	buf_free(&plain);
	return secret;
}

static void append_query(struct buf *out, const char *query)
{
	for (const char *at = query; *at; at += *at == '&') {
		size_t size = strcspn(at, "&"), name = strcspn(at, "=&");
		buf_append_byte(out, at == query ? '?' : '&');
		append_short(out, at, name, VALUE_SHOWN);
		if (name < size)
			buf_append_byte(out, '=');
		if (name < size && is_secret(at, name))
			buf_append_text(out, CASSETTE_REDACTED);
		else if (name < size)
			append_short(out, at + name + 1, size - name - 1, VALUE_SHOWN);
		at += size;
	}
}

/* What stands before an "@" of its authority is a password's place. */
static const char *after_user(const char *url, size_t *scheme)
{
	const char *authority = strstr(url, "://");
	authority = authority ? authority + 3 : url;
	*scheme = (size_t)(authority - url);
	size_t size = strcspn(authority, "/?#");
	const char *at = memrchr(authority, '@', size);
	return at ? at + 1 : authority;
}

static void append_url(struct buf *out, const struct inspect *inspect, const struct request *request)
{
	const char *values[] = {request->merge_value};
	struct buf url;
	size_t scheme;
	buf_init(&url, 0);
	if (!url_build(&url, &inspect->upstreams[request->upstream], request, values,
	            request->merge_param && request->merge_value ? 1 : 0, NULL)) {
		buf_free(&url);
		return;
	}
	buf_append_byte(&url, '\0');
	const char *rest = after_user(url.data, &scheme);
	size_t path = strcspn(rest, "?");
	buf_append(out, url.data, scheme);
	append_short(out, rest, path, PATH_SHOWN);
	if (rest[path] && inspect->words)
		append_query(out, rest + path + 1);
	else if (rest[path])
		buf_append_text(out, "?\u2026");
	buf_free(&url);
}

/* ---- the oldest unfinished records ---- */

/* What a lookup waits for, and for how long it will at least; -1 = until something happens. */
static const char *lookup_waits(const struct inspect *inspect, const struct lookup *lookup, int64_t *ms)
{
	const struct host *host = lookup->host;
	*ms = -1;
	switch (lookup->state) {
	case LOOKUP_IN_FLIGHT: return "answer";
	case LOOKUP_BACKING_OFF: *ms = lookup->due - inspect->now; return "back-off";
	case LOOKUP_WAITING: break;
	default: return "nothing";
	}
	if (host && host_is_paused(host)) {
		*ms = host->until - inspect->now;
		return "paused host";
	}
	return dispatch_held(pipeline_dispatch(inspect->pipeline), lookup) ? "breaker" : "slot";
}

static void append_lookup(struct buf *out, const struct inspect *inspect, const struct lookup *lookup)
{
	const struct request *request = &lookup->request;
	struct buf url;
	int64_t next;
	const char *waits = lookup_waits(inspect, lookup, &next);
	buf_init(&url, 0);
	append_url(&url, inspect, request);
	separate(out);
	buf_append_text(out, "{\"method\":");
	text_json_string(out, request->method, strlen(request->method));
	buf_append_text(out, ",\"url\":");
	text_json_string(out, url.data ? url.data : "", url.size);
	text_json_member(out, "upstream", inspect->upstreams[request->upstream].name);
	text_json_member(out, "host", request->host);
	buf_printf(out, ",\"waits_for\":\"%s\",\"attempts\":%u,\"calls\":%u", waits, lookup->attempts,
	        lookup->calls);
	seconds_member(out, "asking", inspect->now - lookup->submitted);
	if (lookup->state == LOOKUP_IN_FLIGHT && lookup->call)
		seconds_member(out, "in_flight", inspect->now - lookup->call->started);
	if (next >= 0)
		seconds_member(out, "next_try", next);
	buf_append_byte(out, '}');
	buf_free(&url);
}

static const char *record_waits(const struct record *record)
{
	if (record->schemas != RECORD_SCHEMAS_THERE)
		return "schema";
	switch (record->state) {
	case RECORD_ASKING: return record->lookups_open ? "lookups" : "diff";
	case RECORD_RESTING: return "rest";
	case RECORD_MADE: return lanes_elder(&record->place) ? "elder" : "sink";
	case RECORD_RELEASED: return "sink";
	case RECORD_SENDING: return record->outputs_unsettled || record->undelivered ? "broker" : "elder";
	default: return "turn";
	}
}

static size_t followers(const struct record *record)
{
	size_t count = 0;
	if (record->place.state == PLACE_NONE)
		return 0;
	for (const struct place *place = lanes_younger(&record->place); place && count < INSPECT_FOLLOWERS;
	        place = lanes_younger(place))
		count++;
	return count;
}

static void append_record(struct buf *out, const struct inspect *inspect, const struct record *record)
{
	size_t shown = 0;
	separate(out);
	buf_append_text(out, "{\"topic\":");
	text_json_string(out, record->input.topic, strlen(record->input.topic));
	buf_printf(out,
	        ",\"partition\":%d,\"offset\":%lld,\"state\":\"%s\",\"waits_for\":\"%s\",\"attempt\":%u,"
	        "\"followers\":%zu,\"lookups_open\":%zu",
	        (int)record->input.partition, (long long)record->input.offset,
	        record_state_name(record->state), record_waits(record), record->attempt, followers(record),
	        record->lookups_open);
	seconds_member(out, "open", inspect->now - record->taken);
	if (record->state == RECORD_RESTING)
		seconds_member(out, "next_try", record->due - inspect->now);
	buf_append_text(out, ",\"lookups\":[");
	for (size_t i = 0; record->state == RECORD_ASKING && i < record->lookup_count; i++)
		if (record->lookups[i].state != LOOKUP_DONE && record->lookups[i].state != LOOKUP_IDLE &&
		        shown++ < INSPECT_LOOKUPS)
			append_lookup(out, inspect, &record->lookups[i]);
	buf_append_text(out, "]}");
}

static void append_oldest(struct buf *out, const struct inspect *inspect)
{
	size_t scanned = 0, shown = 0;
	list_each (&pipeline_records(inspect->pipeline)->open, node, after) {
		const struct record *record = container_of(node, struct record, order);
		if (scanned++ == INSPECT_SCAN || shown == INSPECT_OLDEST)
			return;
		if (strcmp(record_waits(record), "elder") == 0)
			continue;
		append_record(out, inspect, record);
		shown++;
	}
}

/* ---- partitions, hosts, failures ---- */

static const char *const partition_states[] = {[PARTITION_STARTING] = "starting",
        [PARTITION_READING] = "reading",
        [PARTITION_DRAINING] = "draining",
        [PARTITION_GONE] = "gone"};

static void append_partition(struct buf *out, const struct partition *partition)
{
	separate(out);
	buf_append_text(out, "{\"topic\":");
	text_json_string(out, partition->topic, strlen(partition->topic));
	buf_printf(out, ",\"partition\":%d,\"state\":\"%s\",\"committed\":%lld,\"end\":%lld,\"open\":%zu",
	        (int)partition->id, partition_states[partition->state], (long long)partition->committed,
	        (long long)partition->high, partition->records);
	if (partition->offsets)
		buf_printf(out, ",\"safe\":%lld,\"next\":%lld", (long long)offsets_safe(partition->offsets),
		        (long long)offsets_next(partition->offsets));
	buf_append_byte(out, '}');
}

static void append_partitions(struct buf *out, const struct source *source)
{
	size_t shown = 0;
	list_each (&source->partitions, node, after) {
		if (shown++ == INSPECT_PARTITIONS)
			return;
		append_partition(out, container_of(node, struct partition, node));
	}
}

static size_t append_hosts(struct buf *out, const struct inspect *inspect)
{
	struct dispatch_host hosts[INSPECT_HOSTS];
	size_t all, count = dispatch_hosts(
	                    pipeline_dispatch(inspect->pipeline), inspect->now, hosts, INSPECT_HOSTS, &all);
	for (size_t i = 0; i < count; i++) {
		separate(out);
		buf_append_text(out, "{\"upstream\":");
		text_json_string(out, hosts[i].upstream, strlen(hosts[i].upstream));
		text_json_member(out, "host", hosts[i].name);
		buf_printf(out, ",\"waiting\":%zu,\"in_flight\":%zu,\"backing_off\":%zu,\"failures\":%u",
		        hosts[i].waiting, hosts[i].in_flight, hosts[i].backing_off, hosts[i].failures);
		seconds_member(out, "paused", hosts[i].paused_ms);
		if (hosts[i].troubled_ms >= 0)
			seconds_member(out, "troubled", hosts[i].troubled_ms);
		buf_append_byte(out, '}');
	}
	return all;
}

static void append_failures(struct buf *out, const struct inspect *inspect)
{
	const struct lately *lately = inspect->lately;
	const struct lately_failure *failure;
	for (uint64_t n = lately->count; (failure = lately_find(lately, n)) != NULL; n--) {
		char time[CLOCK_TEXT];
		clock_format(failure->wall, time);
		separate(out);
		buf_printf(out,
		        "{\"number\":%llu,\"time\":\"%s\",\"partition\":%d,\"offset\":%lld,\"bytes\":%zu",
		        (unsigned long long)failure->number, time, (int)failure->partition,
		        (long long)failure->offset, failure->size);
		text_json_member(out, "topic", failure->topic);
		text_json_member(out, "type", failure->type);
		text_json_member(out, "message", inspect->words ? failure->message : NULL);
		buf_printf(out, ",\"kept\":%s}", failure->event ? "true" : "false");
	}
}

void inspect_write(const struct inspect *inspect, struct buf *out)
{
	buf_append_text(out, "{\"oldest\":[");
	append_oldest(out, inspect);
	buf_append_text(out, "],\"partitions\":[");
	append_partitions(out, inspect->source);
	buf_printf(out, "],\"partitions_all\":%zu,\"hosts\":[", inspect->source->partitions.count);
	size_t all = append_hosts(out, inspect);
	buf_printf(out, "],\"hosts_all\":%zu,\"failures\":[", all);
	append_failures(out, inspect);
	buf_append_text(out, "]}");
}

/* ---- the same, told in the log ---- */

static void log_partitions(const struct source *source)
{
	size_t told = 0;
	list_each (&source->partitions, node, after) {
		const struct partition *partition = container_of(node, struct partition, node);
		if (told++ == INSPECT_TOLD)
			break;
		log_info("state", "partition %s/%d: %s, committed %lld, next %lld, end %lld, %zu open",
		        partition->topic, (int)partition->id, partition_states[partition->state],
		        (long long)partition->committed,
		        partition->offsets ? (long long)offsets_next(partition->offsets) : -1,
		        (long long)partition->high, partition->records);
	}
	if (source->partitions.count > INSPECT_TOLD)
		log_info("state", "and %zu more partitions", source->partitions.count - INSPECT_TOLD);
}

static void log_hosts(const struct inspect *inspect)
{
	struct dispatch_host hosts[INSPECT_HOSTS];
	size_t all, count = dispatch_hosts(
	                    pipeline_dispatch(inspect->pipeline), inspect->now, hosts, INSPECT_HOSTS, &all);
	for (size_t i = 0; i < count; i++)
		log_info("state",
		        "host %s of upstream %s: %zu lookups wait, %zu calls in flight, %zu lookups back "
		        "off, %u "
		        "failures in a row, paused for %.1f s",
		        hosts[i].name ? hosts[i].name : "(its own)", hosts[i].upstream, hosts[i].waiting,
		        hosts[i].in_flight, hosts[i].backing_off, hosts[i].failures,
		        (double)hosts[i].paused_ms / 1000);
	if (all > count)
		log_info("state", "and %zu more hosts", all - count);
}

static void log_oldest(const struct inspect *inspect)
{
	size_t scanned = 0, told = 0;
	list_each (&pipeline_records(inspect->pipeline)->open, node, after) {
		const struct record *record = container_of(node, struct record, order);
		if (scanned++ == INSPECT_SCAN || told == INSPECT_OLDEST)
			return;
		if (strcmp(record_waits(record), "elder") == 0)
			continue;
		log_info("state",
		        "record %s/%d/%lld: %s, waits for: %s, open for %.1f s, attempt %u, %zu lookups open",
		        record->input.topic, (int)record->input.partition, (long long)record->input.offset,
		        record_state_name(record->state), record_waits(record),
		        (double)(inspect->now - record->taken) / 1000, record->attempt, record->lookups_open);
		told++;
	}
}

void inspect_log(const struct inspect *inspect)
{
	log_partitions(inspect->source);
	log_hosts(inspect);
	log_oldest(inspect);
}
