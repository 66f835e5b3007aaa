/* A record that begins again on another Lua state keeps the answers it has, and the calls that are in the
 * air. */
#include "carry.h"
#include "mem.h"
#include "script.h"

#include <string.h>

void carry_out(struct record *record)
{
	for (size_t i = 0; i < record->lookup_count; i++) {
		struct lookup *lookup = &record->lookups[i];
		struct buf text;
		if (lookup->part < 0)
			continue;
		buf_init(&text, 0);
		lookup->lost = !script_part_out(lookup->script, lookup->part, &text);
		lookup->carried = lookup->lost ? NULL : buf_steal(&text, &lookup->carried_size);
		buf_free(&text);
		script_drop_part(lookup->script, lookup->part);
		lookup->part = -2;
	}
}

/* Whether the answer can be given to a hook on this state. */
static bool restore(struct lookup *lookup, struct script *script)
{
	lookup->script = script;
	if (lookup->carried) {
		struct bytes text = {lookup->carried, lookup->carried_size};
		lookup->part = script_part_in(script, &text);
		lookup->lost = lookup->part < 0;
	}
	mem_free(lookup->carried);
	lookup->carried = NULL;
	return !lookup->lost;
}

static void ask_again(struct lookup *lookup, struct dispatch *dispatch, int64_t now)
{
	dispatch_cancel(dispatch, lookup);
	response_free(&lookup->response);
	lookup->lost = false;
	lookup->state = LOOKUP_IDLE;
	dispatch_submit(dispatch, lookup, now);
}

static bool all_same(const struct record *record, const struct request *requests, size_t count)
{
	if (record->lookup_count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!request_same(&record->lookups[i].request, &requests[i]))
			return false;
	return true;
}

/* They stay where they are, in calls and queues. */
static void go_on(struct record *record, struct dispatch *dispatch, int64_t now)
{
	for (size_t i = 0; i < record->lookup_count; i++) {
		struct lookup *lookup = &record->lookups[i];
		if (lookup->state != LOOKUP_DONE) {
			dispatch_hand_over(dispatch, lookup, record->event.script);
			continue;
		}
		bool told = !list_linked(&lookup->node); /* that it is done */
		if (restore(lookup, record->event.script))
			continue;
		ask_again(lookup, dispatch, now);
		record->lookups_open += told;
	}
}

/* The answer to the same question among those that were had. */
static struct lookup *find(struct lookup *had, size_t count, const struct request *request)
{
	for (size_t i = 0; i < count; i++)
		if (had[i].state == LOOKUP_DONE && !had[i].lost && request_same(&had[i].request, request))
			return &had[i];
	return NULL;
}

/* Moves the answer; the one that had it has none any more. */
static bool take_over(struct lookup *lookup, struct lookup *had)
{
	lookup->response = had->response;
	lookup->carried = had->carried;
	lookup->carried_size = had->carried_size;
	lookup->came = had->came;
	had->response = (struct response){0};
	had->carried = NULL;
	had->lost = true;
	lookup->state = LOOKUP_DONE;
	if (restore(lookup, lookup->script))
		return true;
	response_free(&lookup->response);
	lookup->state = LOOKUP_IDLE;
	lookup->lost = false;
	return false;
}

static void forget(struct lookup *had, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		request_free(&had[i].request);
		response_free(&had[i].response);
		mem_free(had[i].carried);
	}
	mem_free(had);
}

/* Other questions than before: of the answers those that fit are kept. */
static size_t ask_otherwise(
        struct record *record, struct request *requests, size_t count, struct dispatch *dispatch, int64_t now)
{
	struct lookup *had = record->lookups;
	size_t had_count = record->lookup_count, bytes = count * sizeof *had;
	for (size_t i = 0; i < had_count; i++)
		dispatch_cancel(dispatch, &had[i]);
	record->lookups = mem_zalloc(count, sizeof *record->lookups);
	record->lookup_count = record->lookups_open = count;
	for (size_t i = 0; i < count; i++) {
		struct lookup *lookup = &record->lookups[i];
		*lookup = (struct lookup){.request = requests[i],
		        .record = record,
		        .suspect = record->suspect,
		        .script = record->event.script,
		        .part = -2,
		        .age = record->age};
		requests[i] = (struct request){0};
		struct lookup *same = find(had, had_count, &lookup->request);
		if (same && take_over(lookup, same))
			record->lookups_open--;
		else
			dispatch_submit(dispatch, lookup, now);
		bytes += request_bytes(&lookup->request) + response_bytes(&lookup->response);
	}
	forget(had, had_count);
	return bytes;
}

size_t carry_in(
        struct record *record, struct request *requests, size_t count, struct dispatch *dispatch, int64_t now)
{
	if (!all_same(record, requests, count))
		return ask_otherwise(record, requests, count, dispatch, now);
	go_on(record, dispatch, now);
	return 0;
}
