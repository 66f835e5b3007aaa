/* Who leaves and who settles when, in lanes. */
#include "lanes.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { PLACES = 8 };

/* A few places with names, and a diary of what happened to them: "r0 s0" = 0 was released, then settled. */
struct fixture {
	struct lanes *lanes;
	struct place places[PLACES];
	char diary[512];
	unsigned nothing_to_send; /* bit per place: acknowledged from within its release */
	int recall_in_release;    /* place that is turned back from within its release, once; -1 = none */
	int made_in_release;      /* place that is made from within the release of 0; -1 = none */
	int leaves_in_settle;     /* place that is given back from within the settling of 0; -1 = none */
};

static void note(struct fixture *f, char what, const struct place *place)
{
	size_t size = strlen(f->diary);
	snprintf(f->diary + size, sizeof f->diary - size, "%s%c%d", size ? " " : "", what,
	        (int)(place - f->places));
}

static void on_release(void *context, struct place *place)
{
	struct fixture *f = context;
	int index = (int)(place - f->places);
	assert_int_equal(place->state, PLACE_LEFT);
	assert_true(lanes_blocked(f->lanes) < PLACES);
	note(f, 'r', place);
	if (f->nothing_to_send >> index & 1)
		lanes_acked(f->lanes, place);
	if (f->recall_in_release == index) {
		f->recall_in_release = -1;
		lanes_recall(f->lanes, place, NULL, NULL);
	}
	if (index == 0 && f->made_in_release >= 0) {
		lanes_made(f->lanes, &f->places[f->made_in_release]);
		note(f, 'e', place);
	}
}

static void on_settle(void *context, struct place *place)
{
	struct fixture *f = context;
	assert_int_equal(place->state, PLACE_NONE);
	note(f, 's', place);
	if (place == f->places && f->leaves_in_settle >= 0) {
		lanes_leave(f->lanes, &f->places[f->leaves_in_settle]);
		note(f, 'e', place);
	}
}

static void on_recall(void *context, struct place *place)
{
	assert_int_equal(place->state, PLACE_MADE);
	note(context, 'b', place);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->recall_in_release = f->made_in_release = f->leaves_in_settle = -1;
	f->lanes =
	        lanes_open(&(struct lanes_hooks){.context = f, .release = on_release, .settle = on_settle});
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	for (int i = PLACES - 1; i >= 0; i--) /* those whom a failed test left behind */
		lanes_leave(f->lanes, &f->places[i]);
	lanes_close(f->lanes);
	free(f);
	return 0;
}

static void enter(struct fixture *f, int count, const char *key)
{
	for (int i = 0; i < count; i++)
		lanes_enter(f->lanes, &f->places[i], NULL, key, key ? strlen(key) : 0);
}

/* The diary since the last look. */
static void assert_diary(struct fixture *f, const char *expected)
{
	assert_string_equal(f->diary, expected);
	f->diary[0] = '\0';
}

static void made(struct fixture *f, int index)
{
	lanes_made(f->lanes, &f->places[index]);
}

static void acked(struct fixture *f, int index)
{
	lanes_acked(f->lanes, &f->places[index]);
}

static void a_made_place_waits_for_its_elder(void **state)
{
	struct fixture *f = *state;
	enter(f, 3, "page1");
	made(f, 2);
	made(f, 1);
	assert_diary(f, "");
	assert_int_equal(lanes_blocked(f->lanes), 2);
	made(f, 0);
	assert_diary(f, "r0 r1 r2");
	assert_int_equal(lanes_blocked(f->lanes), 0);
	acked(f, 1);
	acked(f, 2);
	assert_diary(f, "");
	acked(f, 0);
	assert_diary(f, "s0 s1 s2");
	assert_int_equal(lanes_count(f->lanes), 0);
}

static void other_keys_and_scopes_are_other_lanes(void **state)
{
	struct fixture *f = *state;
	lanes_enter(f->lanes, &f->places[0], f, "k", 1);
	lanes_enter(f->lanes, &f->places[1], f, "k2", 2);
	lanes_enter(f->lanes, &f->places[2], f->places, "k", 1);
	lanes_enter(f->lanes, &f->places[3], f, "", 0);
	lanes_enter(f->lanes, &f->places[4], f, "k\0", 2);
	assert_int_equal(lanes_count(f->lanes), 5);
	for (int i = 4; i >= 0; i--) {
		made(f, i);
		acked(f, i);
	}
	assert_diary(f, "r4 s4 r3 s3 r2 s2 r1 s1 r0 s0");
}

static void without_a_key_nobody_waits(void **state)
{
	struct fixture *f = *state;
	enter(f, 3, NULL);
	assert_int_equal(lanes_count(f->lanes), 3);
	made(f, 2);
	acked(f, 2);
	assert_diary(f, "r2 s2");
	assert_null(lanes_elder(&f->places[1]));
	assert_null(lanes_younger(&f->places[1]));
	lanes_leave(f->lanes, &f->places[1]);
	lanes_leave(f->lanes, &f->places[0]);
	assert_int_equal(lanes_count(f->lanes), 0);
}

static void with_nothing_to_send_it_settles_at_once(void **state)
{
	struct fixture *f = *state;
	enter(f, 3, "page1");
	f->nothing_to_send = 1 << 0 | 1 << 1;
	made(f, 1);
	made(f, 2);
	made(f, 0);
	assert_diary(f, "r0 s0 r1 s1 r2");
	acked(f, 2);
	assert_diary(f, "s2");
}

static void a_failed_delivery_turns_back_all_that_left_later(void **state)
{
	struct fixture *f = *state;
	enter(f, 5, "page1");
	for (int i = 0; i < 4; i++)
		made(f, i);
	acked(f, 2);
	assert_diary(f, "r0 r1 r2 r3");
	assert_int_equal(lanes_recall(f->lanes, &f->places[1], on_recall, f), 3);
	assert_diary(f, "b1 b2 b3");
	assert_int_equal(lanes_recall(f->lanes, &f->places[1], on_recall, f), 0);
	assert_int_equal(lanes_recall(f->lanes, &f->places[4], on_recall, f), 0);
	assert_int_equal(lanes_blocked(f->lanes), 2);
	made(f, 4);
	acked(f, 0);
	assert_diary(f, "s0");
	lanes_release_again(f->lanes, &f->places[3]);
	assert_diary(f, "r1 r2 r3 r4");
	for (int i = 4; i > 0; i--)
		acked(f, i);
	assert_diary(f, "s1 s2 s3 s4");
}

static void an_earlier_failure_turns_back_those_before_the_first_too(void **state)
{
	struct fixture *f = *state;
	enter(f, 4, "page1");
	for (int i = 0; i < 4; i++)
		made(f, i);
	assert_int_equal(lanes_recall(f->lanes, &f->places[2], NULL, NULL), 2);
	assert_int_equal(lanes_recall(f->lanes, &f->places[0], NULL, NULL), 2);
	f->diary[0] = '\0';
	lanes_release_again(f->lanes, &f->places[0]);
	assert_diary(f, "r0 r1 r2 r3");
	for (int i = 0; i < 4; i++)
		acked(f, i);
}

static void a_failure_within_the_release_does_not_go_round_in_circles(void **state)
{
	struct fixture *f = *state;
	enter(f, 3, "page1");
	f->recall_in_release = 1;
	made(f, 2);
	made(f, 1);
	made(f, 0);
	assert_diary(f, "r0 r1");
	lanes_release_again(f->lanes, &f->places[1]);
	assert_diary(f, "r1 r2");
	for (int i = 2; i >= 0; i--)
		acked(f, i);
	assert_diary(f, "s0 s1 s2");
}

static void a_hook_ends_before_it_is_called_for_the_next(void **state)
{
	struct fixture *f = *state;
	enter(f, 4, "page1");
	f->made_in_release = 1;
	f->leaves_in_settle = 1;
	made(f, 2);
	made(f, 0);
	assert_diary(f, "r0 e0 r1 r2");
	acked(f, 2);
	acked(f, 0);
	assert_diary(f, "s0 e0 s2");
	lanes_leave(f->lanes, &f->places[3]);
}

static void when_all_turned_back_are_given_back_the_lane_goes_on(void **state)
{
	struct fixture *f = *state;
	enter(f, 4, "page1");
	for (int i = 0; i < 2; i++)
		made(f, i);
	made(f, 3);
	lanes_recall(f->lanes, &f->places[0], NULL, NULL);
	f->diary[0] = '\0';
	lanes_leave(f->lanes, &f->places[0]);
	made(f, 2);
	assert_diary(f, "");
	lanes_leave(f->lanes, &f->places[1]);
	assert_diary(f, "r2 r3");
	acked(f, 2);
	acked(f, 3);
}

static void leaving_from_the_middle_frees_the_followers(void **state)
{
	struct fixture *f = *state;
	enter(f, 4, "page1");
	made(f, 0);
	made(f, 2);
	made(f, 3);
	assert_diary(f, "r0");
	lanes_leave(f->lanes, &f->places[1]);
	assert_diary(f, "r2 r3");
	assert_int_equal(f->places[1].state, PLACE_NONE);
	acked(f, 2);
	acked(f, 3);
	assert_diary(f, "");
	lanes_leave(f->lanes, &f->places[0]);
	assert_diary(f, "s2 s3");
	lanes_leave(f->lanes, &f->places[0]);
	assert_int_equal(lanes_count(f->lanes), 0);
}

static void given_back_from_the_youngest_nobody_is_released(void **state)
{
	struct fixture *f = *state;
	enter(f, 4, "page1");
	for (int i = 3; i > 0; i--)
		made(f, i);
	for (int i = 3; i >= 0; i--)
		lanes_leave(f->lanes, &f->places[i]);
	assert_diary(f, "");
	assert_int_equal(lanes_count(f->lanes), 0);
	assert_int_equal(lanes_blocked(f->lanes), 0);
}

static void neighbours_are_known(void **state)
{
	struct fixture *f = *state;
	enter(f, 3, "page1");
	assert_null(lanes_elder(&f->places[0]));
	assert_ptr_equal(lanes_elder(&f->places[2]), &f->places[1]);
	assert_ptr_equal(lanes_younger(&f->places[0]), &f->places[1]);
	assert_null(lanes_younger(&f->places[2]));
	assert_ptr_equal(lanes_youngest(&f->places[0]), &f->places[2]);
	assert_ptr_equal(lanes_youngest(&f->places[2]), &f->places[2]);
	for (int i = 2; i >= 0; i--)
		lanes_leave(f->lanes, &f->places[i]);
	assert_null(lanes_elder(&f->places[0]));
	assert_null(lanes_youngest(&f->places[0]));
}

static void many_lanes_are_found_again(void **state)
{
	enum { MANY = 5000 };
	struct fixture *f = *state;
	struct place *places = calloc(2 * MANY, sizeof *places);
	char key[16];
	for (int i = 0; i < 2 * MANY; i++)
		lanes_enter(f->lanes, &places[i], NULL, key,
		        (size_t)snprintf(key, sizeof key, "page%d", i % MANY));
	assert_int_equal(lanes_count(f->lanes), MANY);
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(lanes_elder(&places[MANY + i]), &places[i]);
	for (int i = 0; i < 2 * MANY; i++)
		lanes_leave(f->lanes, &places[i]);
	assert_int_equal(lanes_count(f->lanes), 0);
	free(places);
}

/* Random histories against a model that is too simple to be wrong: an array per lane, walked from its head.
 */

enum { ITEMS = 400, KEYS = 4, LOG = 8 * ITEMS };

struct item {
	struct place *place; /* NULL: settled or given back; freed then, so that nobody can touch it */
	enum place_state state;
	int lane; /* below KEYS: by key; else alone */
	bool recalled, drop;
};

struct history {
	struct lanes *lanes;
	struct item items[ITEMS];
	bool held[KEYS + ITEMS];
	int entered;
	int seen[LOG], expected[LOG]; /* +n: item n-1 was released, -n: it was settled */
	size_t seen_count, expected_count;
	uint64_t random;
};

static unsigned below(struct history *h, unsigned limit)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	return (unsigned)((h->random >> 20) % limit);
}

static int item_of(const struct history *h, const struct place *place)
{
	int i = 0;
	while (h->items[i].place != place)
		i++;
	return i;
}

static void history_release(void *context, struct place *place)
{
	struct history *h = context;
	int i = item_of(h, place);
	h->seen[h->seen_count++] = i + 1;
	if (h->items[i].drop)
		lanes_acked(h->lanes, place);
}

static void history_settle(void *context, struct place *place)
{
	struct history *h = context;
	int i = item_of(h, place);
	h->seen[h->seen_count++] = -(i + 1);
	free(place);
	h->items[i].place = NULL;
}

static void model_settle(struct history *h, int lane)
{
	for (int i = 0; i < h->entered; i++) {
		if (h->items[i].lane != lane || h->items[i].state == PLACE_NONE)
			continue;
		if (h->items[i].state != PLACE_ACKED)
			return;
		h->items[i].state = PLACE_NONE;
		h->expected[h->expected_count++] = -(i + 1);
	}
}

static void model_release(struct history *h, int lane)
{
	bool recalled = false;
	for (int i = 0; i < h->entered; i++)
		recalled = recalled || (h->items[i].lane == lane && h->items[i].recalled);
	h->held[lane] = h->held[lane] && recalled;
	for (int i = 0; i < h->entered && !h->held[lane]; i++) {
		struct item *item = &h->items[i];
		if (item->lane != lane || item->state == PLACE_NONE || item->state == PLACE_LEFT ||
		        item->state == PLACE_ACKED)
			continue;
		if (item->state == PLACE_OPEN)
			return;
		item->state = item->drop ? PLACE_ACKED : PLACE_LEFT;
		item->recalled = false;
		h->expected[h->expected_count++] = i + 1;
		if (item->drop)
			model_settle(h, lane);
	}
}

static size_t model_recall(struct history *h, int first)
{
	size_t count = 0;
	for (int i = first; i < h->entered; i++) {
		struct item *item = &h->items[i];
		if (item->lane != h->items[first].lane ||
		        (item->state != PLACE_LEFT && item->state != PLACE_ACKED))
			continue;
		item->state = PLACE_MADE;
		item->recalled = true;
		count++;
	}
	h->held[h->items[first].lane] = true;
	return count;
}

static void history_enter(struct history *h)
{
	struct item *item = &h->items[h->entered];
	char key = 0;
	item->lane = (int)below(h, KEYS + 1);
	item->drop = below(h, 4) == 0;
	item->state = PLACE_OPEN;
	item->place = calloc(1, sizeof *item->place);
	if (item->lane == KEYS)
		item->lane = KEYS + h->entered;
	key = (char)('a' + item->lane);
	h->entered++;
	lanes_enter(h->lanes, item->place, h, item->lane < KEYS ? &key : NULL, 1);
}

static void history_leave(struct history *h, int i)
{
	struct place *place = h->items[i].place;
	h->items[i].state = PLACE_NONE;
	h->items[i].recalled = false;
	model_release(h, h->items[i].lane);
	model_settle(h, h->items[i].lane);
	lanes_leave(h->lanes, place);
	free(place);
	h->items[i].place = NULL;
}

/* Does to an item what may be done to it; `calm` = only what brings it nearer to its end. */
static void history_step(struct history *h, int i, bool calm)
{
	struct item *item = &h->items[i];
	bool sent = item->state == PLACE_LEFT || item->state == PLACE_ACKED;
	if (!calm && below(h, 20) == 0) {
		history_leave(h, i);
	} else if (!calm && sent && below(h, 5) == 0) {
		size_t count = model_recall(h, i);
		assert_int_equal(lanes_recall(h->lanes, item->place, NULL, NULL), count);
	} else if (item->state == PLACE_OPEN) {
		item->state = PLACE_MADE;
		model_release(h, item->lane);
		lanes_made(h->lanes, item->place);
	} else if (item->state == PLACE_LEFT) {
		item->state = PLACE_ACKED;
		model_settle(h, item->lane);
		lanes_acked(h->lanes, item->place);
	} else if (item->state == PLACE_MADE && item->recalled) {
		h->held[item->lane] = false;
		model_release(h, item->lane);
		lanes_release_again(h->lanes, item->place);
	}
}

static void history_compare(struct history *h)
{
	size_t blocked = 0, lanes = 0;
	assert_int_equal(h->seen_count, h->expected_count);
	assert_memory_equal(h->seen, h->expected, h->seen_count * sizeof *h->seen);
	bool waits[KEYS + ITEMS] = {false}, lives[KEYS + ITEMS] = {false};
	for (int i = 0; i < h->entered; i++) {
		struct item *item = &h->items[i];
		assert_int_equal(item->place ? item->place->state : PLACE_NONE, item->state);
		if (item->state == PLACE_NONE)
			continue;
		lanes += !lives[item->lane];
		lives[item->lane] = true;
		blocked += item->state == PLACE_MADE && waits[item->lane];
		waits[item->lane] =
		        waits[item->lane] || item->state == PLACE_OPEN || item->state == PLACE_MADE;
	}
	assert_int_equal(lanes_blocked(h->lanes), blocked);
	assert_int_equal(lanes_count(h->lanes), lanes);
	h->seen_count = h->expected_count = 0;
}

static void one_history(uint64_t seed, int items)
{
	struct history *h = calloc(1, sizeof *h);
	h->random = seed * 0x9E3779B97F4A7C15u + 1;
	h->lanes = lanes_open(
	        &(struct lanes_hooks){.context = h, .release = history_release, .settle = history_settle});
	while (h->entered < items) {
		if (below(h, 3) == 0) {
			history_enter(h);
			continue;
		}
		int i = h->entered ? (int)below(h, (unsigned)h->entered) : 0;
		if (h->entered && h->items[i].state != PLACE_NONE)
			history_step(h, i, false);
		history_compare(h);
	}
	for (int round = 0; round < 4; round++)
		for (int i = items - 1; i >= 0; i--)
			if (h->items[i].state != PLACE_NONE)
				history_step(h, i, true);
	history_compare(h);
	for (int i = 0; i < items; i++)
		assert_null(h->items[i].place);
	lanes_close(h->lanes);
	free(h);
}

static void in_any_history_order_holds_and_nobody_is_forgotten(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3000; seed++)
		one_history(seed, 5 + (int)(seed % 40));
	for (uint64_t seed = 1; seed <= 3; seed++)
		one_history(seed, ITEMS);
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        story(a_made_place_waits_for_its_elder),
	        story(other_keys_and_scopes_are_other_lanes),
	        story(without_a_key_nobody_waits),
	        story(with_nothing_to_send_it_settles_at_once),
	        story(a_failed_delivery_turns_back_all_that_left_later),
	        story(an_earlier_failure_turns_back_those_before_the_first_too),
	        story(a_failure_within_the_release_does_not_go_round_in_circles),
	        story(a_hook_ends_before_it_is_called_for_the_next),
	        story(when_all_turned_back_are_given_back_the_lane_goes_on),
	        story(leaving_from_the_middle_frees_the_followers),
	        story(given_back_from_the_youngest_nobody_is_released),
	        story(neighbours_are_known),
	        story(many_lanes_are_found_again),
	        cmocka_unit_test(in_any_history_order_holds_and_nobody_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
