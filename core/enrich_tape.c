/* What of a run goes to a cassette, or comes from one. */
#include "enrich_tape.h"
#include "clock.h"
#include "enrich.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- answers ---- */

static int64_t play(void *context, struct http_transfer *transfer)
{
	struct enrich_tape *tape = context;
	struct buf why;
	buf_init(&why, 0);
	int64_t after = cassette_play(tape->cassette, transfer, true, &transfer->played_from, &why);
	if (after < 0) {
		if (tape->missing++ == 0)
			snprintf(tape->first, sizeof tape->first, "%s", why.data);
		transfer->failure = HTTP_INVALID; /* asking again would not help */
		snprintf(transfer->reason, sizeof transfer->reason, "%s", why.data);
		after = 0;
	}
	buf_free(&why);
	return after;
}

/* ---- opening ---- */

/* Answers come after the time that they took when they were recorded, which passes at once: so what waits for
 * answers, back-offs and pauses is in the order in which it was. */
static void invent_time(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_invent((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

bool enrich_tape_open(struct enrich_tape *tape, const struct enrich *enrich)
{
	struct err err = {""};
	*tape = (struct enrich_tape){.folder = enrich->record ? enrich->record : enrich->replay};
	if (enrich->record)
		tape->writer = cassette_record(enrich->record, &err);
	if (enrich->replay)
		tape->cassette = cassette_open(enrich->replay, &err);
	tape->player = (struct http_player){.context = tape, .play = play};
	if (tape->cassette)
		invent_time();
	if (tape->folder && tape->writer == NULL && tape->cassette == NULL)
		fprintf(stderr, "millrace enrich: --%s: %s\n", enrich->record ? "record" : "replay",
		        err.text);
	return tape->folder == NULL || tape->writer || tape->cassette;
}

void enrich_tape_events(struct enrich_tape *tape, int in)
{
	struct stat events, read;
	if (tape->writer == NULL)
		return;
	char *path = mem_printf("%s/" CASSETTE_EVENTS, tape->folder);
	tape->has_events = stat(path, &events) == 0 && fstat(in, &read) == 0 &&
	                   events.st_dev == read.st_dev && events.st_ino == read.st_ino;
	mem_free(path);
}

void enrich_tape_rewind(struct enrich_tape *tape)
{
	if (tape->cassette)
		cassette_rewind(tape->cassette);
}

void enrich_tape_close(struct enrich_tape *tape)
{
	cassette_close(tape->cassette);
	cassette_finish(tape->writer);
	tape->cassette = NULL;
	tape->writer = NULL;
}

const struct http_player *enrich_tape_player(const struct enrich_tape *tape)
{
	return tape->cassette ? &tape->player : NULL;
}

/* ---- recording ---- */

static void tell_failure(struct enrich_tape *tape, const struct err *err)
{
	if (!tape->failed)
		fprintf(stderr, "millrace enrich: --record: %s\n", err->text);
	tape->failed = true;
}

void enrich_tape_taken(struct enrich_tape *tape, const struct record *record)
{
	struct err err = {""};
	if (tape->writer == NULL || tape->has_events)
		return;
	if (cassette_event(tape->writer, record->input.value.data, record->input.value.size, &err))
		tape->events++;
	else
		tell_failure(tape, &err);
}

void enrich_tape_came(struct enrich_tape *tape, const struct call *call)
{
	struct err err = {""};
	const struct lookup *first = container_of(list_first(&call->lookups), struct lookup, node);
	if (tape->writer == NULL || http_failure_is_ours(call->transfer.failure))
		return;
	if (!cassette_note(tape->writer, &call->transfer, first->request.merge_param, &err))
		tell_failure(tape, &err);
}

static void on_taken(void *context, struct record *record)
{
	enrich_tape_taken(context, record);
}

static void on_came(void *context, const struct call *call)
{
	enrich_tape_came(context, call);
}

void enrich_tape_observe(struct enrich_tape *tape, struct observe *observe)
{
	*observe = (struct observe){.context = tape, .taken = on_taken, .came = on_came};
}

void enrich_tape_summary(const struct enrich_tape *tape)
{
	if (tape->writer)
		fprintf(stderr, "%zu exchange%s recorded in %s\n", cassette_written(tape->writer),
		        cassette_written(tape->writer) == 1 ? "" : "s", tape->folder);
}

void enrich_tape_tell_missing(const struct enrich_tape *tape)
{
	fprintf(stderr, "millrace enrich: --replay: %llu question%s not among those recorded: %s\n",
	        (unsigned long long)tape->missing, tape->missing == 1 ? " is" : "s are", tape->first);
}
