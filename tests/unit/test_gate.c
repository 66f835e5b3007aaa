/* The gate before a lookup is sent: who gets room for an answer, and who has to wait. */
#include "unit.h"

#include "gate.h"
#include "mem.h"

enum { KIB = 1024, MIB = 1024 * KIB, ROOM = 64 * MIB, MOST = 20 * MIB };

static struct ledger ledger;
static struct records records;
static struct gate gate;
static struct upstream_config upstream = {.max_body = MOST};
static struct partition partition = {.topic = (char[]){"in"}};

static int set_up(void **state)
{
	(void)state;
	ledger_init(&ledger, ROOM);
	records_init(&records, &ledger);
	gate_init(&gate, &records, ROOM, &upstream, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int at = 0; at < RECORD_STATES; at++)
		list_each (&records.states[at], node, after)
			record_free(&records, container_of(node, struct record, node));
	gate_free(&gate);
	assert_int_equal(ledger.total, ledger.used[LEDGER_LUA]);
	assert_int_equal(records.promised, 0);
	return 0;
}

/* A record with so many lookups, each of which expects `bytes` (0 = nobody knows). */
static struct record *asking(size_t lookups, size_t bytes)
{
	struct source_message message = {.partition = &partition, .key = {"k", 1}, .value = {"v", 1}};
	struct record *r = record_new(&records, &message, 0);
	r->lookups = mem_zalloc(lookups, sizeof *r->lookups);
	r->lookup_count = lookups;
	for (size_t i = 0; i < lookups; i++) {
		r->lookups[i].record = r;
		r->lookups[i].part = -2;
		r->lookups[i].state = LOOKUP_WAITING;
		r->lookups[i].request.merge_bytes = bytes;
	}
	return r;
}

static bool admit(struct record *r, size_t i)
{
	return gate_admit(&gate, &r->lookups[i]);
}

static bool grow(struct lookup *lookup, size_t size, size_t announced)
{
	struct call call = {.lookup_count = 1};
	list_init(&call.lookups, "call");
	list_append(&call.lookups, &lookup->node);
	bool may = gate_grow(&gate, &call, size, announced);
	list_remove(&call.lookups, &lookup->node);
	return may;
}

static bool send(struct record *r, size_t i)
{
	bool admitted = admit(r, i);
	r->lookups[i].state = admitted ? LOOKUP_IN_FLIGHT : LOOKUP_WAITING;
	return admitted;
}

static void answered(struct record *r, size_t i, size_t came)
{
	r->lookups[i].state = LOOKUP_DONE;
	r->lookups[i].came = came;
	gate_settle(&gate, &r->lookups[i]);
}

static void end(struct record *r)
{
	record_move(&records, r, RECORD_GIVEN_BACK);
	record_free(&records, r);
}

static void what_is_told_is_reserved_four_times(void **state)
{
	(void)state;
	struct record *r = asking(1, MIB);
	assert_true(admit(r, 0));
	assert_in_range(ledger.used[LEDGER_ANSWER], 4 * MIB, 4 * MIB + 256 * KIB);
	answered(r, 0, MIB);
	assert_int_equal(ledger.used[LEDGER_ANSWER], 0);
}

static void no_more_is_expected_than_an_answer_may_have(void **state)
{
	(void)state;
	asking(1, 1);
	struct record *r = asking(1, 500 * MIB);
	assert_false(admit(r, 0)); /* 80 MiB */
	upstream.max_body = MIB;
	assert_true(admit(r, 0));
	upstream.max_body = MOST;
	assert_in_range(ledger.used[LEDGER_ANSWER], 4 * MIB, 4 * MIB + 256 * KIB);
}

static void all_lookups_of_a_record_are_reserved_at_once(void **state)
{
	(void)state;
	asking(1, 1);
	struct record *large = asking(8, 2 * MIB), *r = asking(3, 2 * MIB);
	assert_false(admit(large, 0)); /* one alone would fit, eight do not */
	assert_int_equal(ledger.used[LEDGER_ANSWER], 0);
	assert_true(gate.closed);
	assert_true(admit(r, 1));
	assert_true(ledger.used[LEDGER_ANSWER] >= 24 * MIB);
	size_t before = ledger.used[LEDGER_ANSWER];
	assert_true(admit(r, 0) && admit(r, 2));
	assert_int_equal(ledger.used[LEDGER_ANSWER], before);
}

static void the_oldest_is_never_refused_and_goes_on_one_by_one(void **state)
{
	(void)state;
	struct record *oldest = asking(3, MOST), *next = asking(1, MOST);
	assert_true(send(oldest, 0));
	assert_false(send(oldest, 1)); /* while the first is in the air */
	assert_false(admit(next, 0));
	answered(oldest, 0, MOST);
	assert_true(send(oldest, 1));
	end(oldest);
	assert_true(admit(next, 0));
}

static void what_waits_with_a_reservation_is_in_nobodys_way(void **state)
{
	(void)state;
	struct record *oldest = asking(2, 2 * MIB);
	assert_true(send(oldest, 0));
	assert_true(oldest->lookups[1].reserved); /* and waits for a slot */
	grow(&oldest->lookups[0], 1, MOST);
	oldest->lookups[0].state = LOOKUP_WAITING; /* it was cut, goes before the other, and is large */
	gate_yield(&gate, &oldest->lookups[0]);
	struct record *next = asking(1, 1);
	record_charge(&records, next, LEDGER_INPUT, 32 * MIB);
	assert_true(send(oldest, 0));
	assert_false(send(oldest, 1)); /* now it waits for that one */
	answered(oldest, 0, MOST);
	record_charge(&records, next, LEDGER_INPUT, 1);
	assert_true(send(oldest, 1));
	end(oldest);
	end(next);
}

static void a_small_surprise_needs_no_more_room(void **state)
{
	(void)state;
	struct record *r = asking(1, MIB);
	assert_true(admit(r, 0));
	size_t before = ledger.used[LEDGER_ANSWER];
	assert_true(grow(&r->lookups[0], MIB + MIB / 2, 0));
	assert_int_equal(ledger.used[LEDGER_ANSWER], before);
}

static void an_answer_that_outgrows_its_reservation_enlarges_it(void **state)
{
	(void)state;
	struct record *r = asking(1, 100 * KIB);
	assert_true(admit(r, 0));
	assert_true(grow(&r->lookups[0], 4 * MIB, 0));
	assert_true(ledger.used[LEDGER_ANSWER] >= 16 * MIB);
	answered(r, 0, 4 * MIB);
	assert_int_equal(ledger.used[LEDGER_ANSWER], 0);
}

static void an_announced_size_is_refused_with_the_first_byte_and_remembered(void **state)
{
	(void)state;
	asking(1, 1);
	struct record *r = asking(1, 100 * KIB);
	assert_true(admit(r, 0));
	assert_false(grow(&r->lookups[0], 1, 18 * MIB)); /* four times that is more than there is */
	gate_yield(&gate, &r->lookups[0]);
	assert_int_equal(ledger.used[LEDGER_ANSWER], 0);
	assert_int_equal(r->lookups[0].seen, 18 * MIB);
	assert_false(admit(r, 0)); /* it waits for room for all of it */
}

static void the_oldest_grows_whatever_is_held(void **state)
{
	(void)state;
	struct record *oldest = asking(1, 1), *next = asking(1, 8 * MIB);
	assert_true(admit(oldest, 0));
	assert_true(admit(next, 0));
	assert_true(grow(&oldest->lookups[0], 1, MOST));
	assert_true(ledger.total > ROOM);
	assert_false(grow(&next->lookups[0], 18 * MIB, 0));
}

static void a_part_of_the_room_is_for_those_that_grow(void **state)
{
	(void)state;
	asking(1, 1);
	struct record *r, *last = NULL;
	for (r = asking(1, MIB); admit(r, 0); r = asking(1, MIB))
		last = r;
	assert_non_null(last);
	assert_true(ledger_room(&ledger) >= ROOM / 8);
	assert_true(grow(&last->lookups[0], 2 * MIB + 1, 0));
}

static void with_nothing_told_it_is_what_most_of_the_recent_answers_had(void **state)
{
	(void)state;
	for (int i = 0; i < 400; i++) {
		struct record *r = asking(1, 0);
		assert_true(admit(r, 0));
		answered(r, 0, i % 25 == 0 ? 10 * MIB : 50 * KIB);
		end(r);
	}
	assert_int_equal(gate.sizes[0].most, 50 * KIB); /* one of 25 is larger: less than five of a hundred */
	for (int i = 0; i < 64; i++) {
		struct record *r = asking(1, 0);
		assert_true(admit(r, 0));
		answered(r, 0, i % 8 == 0 ? 10 * MIB : 50 * KIB);
		end(r);
	}
	assert_int_equal(gate.sizes[0].most, 10 * MIB);
}

static void a_script_that_tells_too_little_is_not_trusted_for_ever(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct record *r = asking(1, KIB);
		assert_true(admit(r, 0));
		assert_in_range(ledger.used[LEDGER_ANSWER], 4 * KIB, (i < 9 ? 1 : 8) * MIB + 256 * KIB);
		answered(r, 0, 2 * MIB);
		end(r);
	}
	struct record *r = asking(1, KIB);
	assert_true(admit(r, 0));
	assert_true(ledger.used[LEDGER_ANSWER] >= 8 * MIB);
	end(r);
	for (int i = 0; i < 64; i++) {
		r = asking(1, KIB);
		assert_true(admit(r, 0));
		answered(r, 0, KIB);
		end(r);
	}
	r = asking(1, KIB);
	assert_true(admit(r, 0));
	assert_true(ledger.used[LEDGER_ANSWER] < MIB);
}

static void a_refusal_teaches_nothing(void **state)
{
	(void)state;
	struct record *r = asking(1, 0);
	assert_true(admit(r, 0));
	r->lookups[0].response.error_type = mem_strdup("HttpStatus");
	answered(r, 0, 9);
	assert_int_equal(gate.sizes[0].most, 0);
}

static void answers_that_wait_for_others_are_asked_as_far_as_they_fit_in_lua(void **state)
{
	(void)state;
	ledger.script = 8 * MIB;
	asking(1, 1);
	struct record *one = asking(2, 2 * MIB), *two = asking(2, 2 * MIB), *single = asking(1, 2 * MIB);
	assert_true(admit(one, 0));
	assert_false(admit(two, 0)); /* eight MiB of three quarters of eight */
	assert_true(gate.lua_full);
	assert_true(admit(single, 0)); /* is taken as soon as it is there */
	answered(one, 0, 2 * MIB);
	answered(one, 1, 2 * MIB);
	assert_true(admit(two, 0));
	ledger_set(&ledger, LEDGER_LUA, 4 * MIB);
	struct record *three = asking(2, MIB);
	assert_false(admit(three, 0));
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        promise(what_is_told_is_reserved_four_times),
	        promise(no_more_is_expected_than_an_answer_may_have),
	        promise(all_lookups_of_a_record_are_reserved_at_once),
	        promise(the_oldest_is_never_refused_and_goes_on_one_by_one),
	        promise(what_waits_with_a_reservation_is_in_nobodys_way),
	        promise(a_small_surprise_needs_no_more_room),
	        promise(an_answer_that_outgrows_its_reservation_enlarges_it),
	        promise(an_announced_size_is_refused_with_the_first_byte_and_remembered),
	        promise(the_oldest_grows_whatever_is_held),
	        promise(a_part_of_the_room_is_for_those_that_grow),
	        promise(with_nothing_told_it_is_what_most_of_the_recent_answers_had),
	        promise(a_script_that_tells_too_little_is_not_trusted_for_ever),
	        promise(a_refusal_teaches_nothing),
	        promise(answers_that_wait_for_others_are_asked_as_far_as_they_fit_in_lua),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
