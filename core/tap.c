/* Taps: what passes through a running engine, shown to a few who look on. */
#include "tap.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "tap_item.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum {
	NOTE_ROOM = 1024, /* of a queue: for what is told between items */
	TELL_MS = 1000,   /* between two words about what was left out */
	VALUE_BYTES = 8,  /* of a queue for each value of an event: more are shown as a text */
	SCRIPTS = 255,
	SCRIPT_DIGITS = 12,
	SERIAL_BITS = 6,
	SERIALS = (1 << SERIAL_BITS) - 1,
	SCRIPT_SHIFT =
	        TAP_READERS * SERIAL_BITS /* in record->observed: whose records these are, then the script */
};

struct tap_reader {
	struct tap *tap;
	bool used;
	uintptr_t serial; /* from 1: a record is this reader's when it bears it; not 0 */
	struct tap_wish wish;
	struct buf queue;
	size_t taken; /* bytes of the queue that are gone */
	uint64_t shown, ended;
	uint64_t full, over;            /* left out: the queue had no room; there were too many in a second */
	uint64_t told;                  /* of both together */
	size_t following;               /* records that were chosen and have not ended */
	int64_t told_at, until, second; /* second: when the present one began */
	unsigned in_second;
	size_t bytes_in_second;
	const char *over_why; /* it is over; NULL while it runs */
};

struct tap {
	struct tap_config config;
	struct observe observe;
	struct tap_reader readers[TAP_READERS];
	size_t count;
	struct jsontree tree;
	struct buf item;
	char scripts[SCRIPTS][SCRIPT_DIGITS + 1]; /* that hooks ran on while somebody looked */
	unsigned script_count, script_next;
};

/* ---- the queue ---- */

static size_t waiting(const struct tap_reader *reader)
{
	return reader->queue.size - reader->taken;
}

static void charge(struct tap *tap)
{
	size_t bytes = tap->item.capacity + tap->tree.capacity * sizeof *tap->tree.nodes;
	for (size_t i = 0; i < TAP_READERS; i++)
		bytes += tap->readers[i].queue.capacity;
	ledger_set(tap->config.ledger, LEDGER_TAP, bytes);
}

static void compact(struct tap_reader *reader)
{
	memmove(reader->queue.data, reader->queue.data + reader->taken, waiting(reader));
	reader->queue.size -= reader->taken;
	reader->taken = 0;
}

static bool enqueue(struct tap_reader *reader, const struct buf *line, size_t most)
{
	if (waiting(reader) + line->size + 1 > most)
		return false;
	if (reader->queue.size + line->size + 1 > reader->queue.capacity && reader->taken)
		compact(reader);
	buf_append(&reader->queue, line->data, line->size);
	buf_append_byte(&reader->queue, '\n');
	return true;
}

static void note(struct tap_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct tap_reader *reader, const char *format, ...)
{
	struct buf line;
	va_list args;
	buf_init(&line, NOTE_ROOM);
	va_start(args, format);
	buf_vprintf(&line, format, args);
	va_end(args);
	enqueue(reader, &line, reader->wish.buffer);
	buf_free(&line);
}

static void tell_left_out(struct tap_reader *reader, int64_t now)
{
	if (reader->full + reader->over == reader->told || now < reader->told_at + TELL_MS)
		return;
	reader->told = reader->full + reader->over;
	reader->told_at = now;
	note(reader, "{\"tap\":\"left out\",\"full\":%llu,\"rate\":%llu}", (unsigned long long)reader->full,
	        (unsigned long long)reader->over);
}

static void finish(struct tap_reader *reader, const char *why)
{
	if (reader->over_why)
		return;
	reader->over_why = why;
	note(reader, "{\"tap\":\"end\",\"why\":\"%s\",\"shown\":%llu,\"full\":%llu,\"rate\":%llu}", why,
	        (unsigned long long)reader->shown, (unsigned long long)reader->full,
	        (unsigned long long)reader->over);
}

/* ---- what is shown ---- */

static bool wants(const struct tap_reader *reader, unsigned stage)
{
	return reader->used && reader->over_why == NULL && (reader->wish.stages & stage);
}

static void look_at_second(struct tap_reader *reader, int64_t now)
{
	if (now < reader->second + 1000)
		return;
	reader->second = now;
	reader->in_second = 0;
	reader->bytes_in_second = 0;
}

/* Whether one more may be shown in this second; counts those that may not. */
static bool in_rate(struct tap_reader *reader, int64_t now)
{
	look_at_second(reader, now);
	if (reader->in_second >= reader->wish.rate || reader->bytes_in_second >= TAP_BYTES_A_SECOND) {
		reader->over++;
		return false;
	}
	reader->in_second++;
	return true;
}

struct moment {
	enum tap_stage stage;
	const struct record *record;
	const struct call *call;
	size_t lookup;
	int64_t wall, now;
};

/* 12 digits of what the record's hooks run on, or ran on. */
static const char *script_of(const struct tap *tap, const struct moment *moment)
{
	const struct record *record = moment->record;
	uintptr_t ran = (uintptr_t)record->observed >> SCRIPT_SHIFT & SCRIPTS;
	if (record->event.script)
		return script_sha256(record->event.script);
	if (moment->stage == TAP_IN)
		return tap->config.script_sha256;
	return ran ? tap->scripts[ran - 1] : NULL;
}

static void write_item(const struct tap_paper *paper, const struct moment *moment)
{
	switch (moment->stage) {
	case TAP_IN: tap_item_in(paper, moment->record, moment->wall); return;
	case TAP_REQUEST: tap_item_request(paper, moment->record, moment->lookup, moment->wall); return;
	case TAP_RESPONSE: tap_item_response(paper, moment->call, moment->wall); return;
	default: tap_item_end(paper, moment->record, moment->wall, moment->now); return;
	}
}

/* What is larger than the queue is shown without content, and says so. */
static bool show(struct tap_reader *reader, const struct moment *moment)
{
	struct tap *tap = reader->tap;
	struct tap_paper paper = {.config = &tap->config,
	        .tree = &tap->tree,
	        .out = &tap->item,
	        .values = reader->wish.buffer / VALUE_BYTES,
	        .script = script_of(tap, moment),
	        .content = reader->wish.content};
	look_at_second(reader, moment->now);
	buf_clear(&tap->item);
	tap->item.limit = reader->wish.buffer - NOTE_ROOM - 1;
	if (reader->bytes_in_second < TAP_BYTES_A_SECOND)
		write_item(&paper, moment);
	if (tap->item.full && paper.content) {
		paper.content = false;
		buf_clear(&tap->item);
		write_item(&paper, moment);
		tap->item.size--; /* the brace */
		buf_append_text(&tap->item, ",\"left_out\":\"content\"}");
	}
	bool shown = tap->item.size && !tap->item.full &&
	             enqueue(reader, &tap->item, reader->wish.buffer - NOTE_ROOM);
	reader->bytes_in_second += tap->item.size;
	reader->shown += shown;
	reader->full += !shown;
	charge(tap);
	return shown;
}

/* ---- records that are followed ---- */

static unsigned shift_of(const struct tap_reader *reader)
{
	return (unsigned)(reader - reader->tap->readers) * SERIAL_BITS;
}

static bool follows(const struct tap_reader *reader, const struct record *record)
{
	return ((uintptr_t)record->observed >> shift_of(reader) & SERIALS) == reader->serial;
}

static void set_following(struct tap_reader *reader, struct record *record, bool yes)
{
	uintptr_t all = (uintptr_t)record->observed & ~((uintptr_t)SERIALS << shift_of(reader));
	uintptr_t mine = yes ? reader->serial << shift_of(reader) : 0;
	record->observed = (void *)(all | mine);
	if (yes)
		reader->following++;
	else
		reader->following--;
}

static bool may_follow(struct tap_reader *reader, int64_t now)
{
	if (reader->over_why ||
	        (reader->wish.count && reader->ended + reader->following >= reader->wish.count))
		return false;
	return in_rate(reader, now);
}

/* ---- told by the pipeline ---- */

/* One reader and one thing that happened to a record. */
static void look(struct tap_reader *reader, struct record *record, const struct moment *moment)
{
	if (!wants(reader, moment->stage))
		return;
	if (reader->wish.follow) {
		if (follows(reader, record) && !show(reader, moment))
			set_following(reader, record, false);
		return;
	}
	if (in_rate(reader, moment->now) && show(reader, moment) && reader->shown == reader->wish.count)
		finish(reader, "count");
}

static void taken(void *context, struct record *record)
{
	struct tap *tap = context;
	struct moment moment = {.stage = TAP_IN, .record = record, .wall = clock_wall(), .now = clock_now()};
	for (size_t i = 0; i < TAP_READERS; i++) {
		struct tap_reader *reader = &tap->readers[i];
		if (reader->used && reader->wish.follow && may_follow(reader, moment.now))
			set_following(reader, record, true);
		look(reader, record, &moment);
	}
}

/* Remembers on which script the record's hooks run: it is gone when the record ends. */
static void hooked(void *context, struct record *record, const struct observe_hook *hook)
{
	struct tap *tap = context;
	(void)hook;
	if (record->event.script == NULL)
		return;
	const char *sha256 = script_sha256(record->event.script);
	unsigned i = 0;
	while (i < tap->script_count && strncmp(tap->scripts[i], sha256, SCRIPT_DIGITS) != 0)
		i++;
	if (i == tap->script_count) {
		i = tap->script_next++ % SCRIPTS;
		tap->script_count += tap->script_count < SCRIPTS;
		snprintf(tap->scripts[i], sizeof tap->scripts[i], "%s", sha256);
	}
	uintptr_t others = (uintptr_t)record->observed & (((uintptr_t)1 << SCRIPT_SHIFT) - 1);
	record->observed = (void *)(others | (uintptr_t)(i + 1) << SCRIPT_SHIFT);
}

static void asked(void *context, struct record *record)
{
	struct tap *tap = context;
	struct moment moment = {
	        .stage = TAP_REQUEST, .record = record, .wall = clock_wall(), .now = clock_now()};
	for (size_t i = 0; i < TAP_READERS; i++)
		for (moment.lookup = 0; moment.lookup < record->lookup_count; moment.lookup++)
			look(&tap->readers[i], record, &moment);
}

/* The record of this call that the reader follows; without a wish to follow: the oldest. */
static struct record *record_of(const struct tap_reader *reader, const struct call *call)
{
	list_each (&call->lookups, node, after) {
		struct record *record = container_of(node, struct lookup, node)->record;
		if (!reader->wish.follow || follows(reader, record))
			return record;
	}
	return NULL;
}

/* A call whose answer is not shown lets go of all records that shared it. */
static void unfollow_all(struct tap_reader *reader, const struct call *call)
{
	list_each (&call->lookups, node, after) {
		struct record *record = container_of(node, struct lookup, node)->record;
		if (follows(reader, record))
			set_following(reader, record, false);
	}
}

static void came(void *context, const struct call *call)
{
	struct tap *tap = context;
	struct moment moment = {
	        .stage = TAP_RESPONSE, .call = call, .wall = clock_wall(), .now = clock_now()};
	for (size_t i = 0; i < TAP_READERS; i++) {
		struct tap_reader *reader = &tap->readers[i];
		struct record *record = reader->used ? record_of(reader, call) : NULL;
		moment.record = record;
		if (record)
			look(reader, record, &moment);
		if (record && reader->wish.follow && !follows(reader, record))
			unfollow_all(reader, call);
	}
}

static void count_end(struct tap_reader *reader, struct record *record)
{
	if (!reader->used || !reader->wish.follow || !follows(reader, record))
		return;
	set_following(reader, record, false);
	if (++reader->ended == reader->wish.count)
		finish(reader, "count");
}

static void ended(void *context, struct record *record)
{
	struct tap *tap = context;
	struct moment moment = {.stage = record->outcome == OUTCOME_FAILED ? TAP_ERROR : TAP_OUT,
	        .record = record,
	        .wall = clock_wall(),
	        .now = clock_now()};
	for (size_t i = 0; i < TAP_READERS; i++) {
		look(&tap->readers[i], record, &moment);
		count_end(&tap->readers[i], record);
	}
}

static void left(void *context, struct record *record)
{
	struct tap *tap = context;
	for (size_t i = 0; i < TAP_READERS; i++)
		if (tap->readers[i].used && follows(&tap->readers[i], record))
			set_following(&tap->readers[i], record, false);
}

/* ---- wishes ---- */

static const struct {
	const char *name;
	unsigned stages;
} stage_names[] = {{"in", TAP_IN}, {"request", TAP_REQUEST}, {"response", TAP_RESPONSE}, {"out", TAP_OUT},
        {"error", TAP_ERROR}, {"all", TAP_ALL}};
enum { STAGE_NAMES = sizeof stage_names / sizeof *stage_names };

static unsigned stage_named(const char *name, size_t size)
{
	for (size_t i = 0; i < STAGE_NAMES; i++)
		if (strlen(stage_names[i].name) == size && memcmp(stage_names[i].name, name, size) == 0)
			return stage_names[i].stages;
	return 0;
}

bool tap_stages(const char *text, unsigned *stages, struct err *err)
{
	const char *names[STAGE_NAMES];
	for (size_t i = 0; i < STAGE_NAMES; i++)
		names[i] = stage_names[i].name;
	*stages = 0;
	for (const char *at = text;;) {
		size_t size = strcspn(at, ",");
		unsigned found = stage_named(at, size);
		if (found == 0) {
			char word[40];
			snprintf(word, sizeof word, "%.*s", (int)(size < 39 ? size : 39), at);
			const char *near = text_did_you_mean(word, names, STAGE_NAMES);
			return err_set(err, "there is no stage '%s'; expected %s%s%s", word, near ? "'" : "",
			        near ? near : "in, request, response, out, error or all", near ? "'" : "");
		}
		*stages |= found;
		if (at[size] == '\0')
			return true;
		at += size + 1;
	}
}

static void write_start(struct tap_reader *reader)
{
	const struct tap_wish *wish = &reader->wish;
	struct buf line;
	bool first = true;
	buf_init(&line, NOTE_ROOM);
	buf_append_text(&line, "{\"tap\":\"start\",\"name\":");
	text_json_string(&line, reader->tap->config.name, strlen(reader->tap->config.name));
	buf_append_text(&line, ",\"stages\":[");
	for (size_t i = 0; i < STAGE_NAMES - 1; i++)
		if (wish->stages & stage_names[i].stages) {
			buf_printf(&line, "%s\"%s\"", first ? "" : ",", stage_names[i].name);
			first = false;
		}
	buf_printf(&line, "],\"content\":%s,\"rate\":%u,\"buffer\":%zu,\"seconds\":%lld}",
	        wish->content ? "true" : "false", wish->rate, wish->buffer, (long long)(wish->ms / 1000));
	enqueue(reader, &line, wish->buffer);
	buf_free(&line);
}

struct tap_reader *tap_begin(struct tap *tap, const struct tap_wish *wish, int64_t now)
{
	struct tap_reader *reader = tap->readers;
	if (tap->count == TAP_READERS)
		return NULL;
	while (reader->used)
		reader++;
	uintptr_t serial = reader->serial % SERIALS + 1;
	*reader = (struct tap_reader){.tap = tap,
	        .used = true,
	        .serial = serial,
	        .wish = *wish,
	        .until = now + wish->ms,
	        .second = now,
	        .told_at = now - TELL_MS};
	buf_init(&reader->queue, wish->buffer);
	write_start(reader);
	charge(tap);
	if (tap->count++ == 0)
		tap->config.watch(tap->config.context, &tap->observe);
	log_info("tap", "a reader has come: %s content, %u items a second, for %lld s at most",
	        wish->content ? "with" : "without", wish->rate, (long long)(wish->ms / 1000));
	return reader;
}

bool tap_take(struct tap_reader *reader, size_t most, int64_t now, struct buf *out)
{
	if (now >= reader->until)
		finish(reader, "time");
	tell_left_out(reader, now);
	size_t size = waiting(reader) < most ? waiting(reader) : most;
	if (size)
		buf_append(out, reader->queue.data + reader->taken, size);
	reader->taken += size;
	if (size && waiting(reader) == 0) {
		reader->taken = 0;
		buf_free(&reader->queue);
		charge(reader->tap);
	}
	return reader->over_why == NULL || waiting(reader) > 0;
}

void tap_end(struct tap_reader *reader)
{
	struct tap *tap = reader->tap;
	log_info("tap", "a reader has gone: %llu items shown, %llu left out for want of room, %llu by rate",
	        (unsigned long long)reader->shown, (unsigned long long)reader->full,
	        (unsigned long long)reader->over);
	reader->used = false;
	buf_free(&reader->queue);
	if (--tap->count == 0) {
		tap->config.watch(tap->config.context, NULL);
		jsontree_free(&tap->tree);
		buf_free(&tap->item);
	}
	charge(tap);
}

size_t tap_readers(const struct tap *tap)
{
	return tap ? tap->count : 0;
}

struct tap *tap_open(const struct tap_config *config)
{
	struct tap *tap = mem_zalloc(1, sizeof *tap);
	tap->config = *config;
	tap->observe = (struct observe){.context = tap,
	        .taken = taken,
	        .hooked = hooked,
	        .asked = asked,
	        .came = came,
	        .ended = ended,
	        .left = left};
	for (size_t i = 0; i < TAP_READERS; i++)
		tap->readers[i].tap = tap;
	jsontree_init(&tap->tree);
	buf_init(&tap->item, 0);
	return tap;
}

void tap_close(struct tap *tap)
{
	if (tap == NULL)
		return;
	jsontree_free(&tap->tree);
	buf_free(&tap->item);
	mem_free(tap);
}
