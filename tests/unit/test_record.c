/* The declared machine of a record: what may follow what, and that every byte is charged and returned. */
#include "unit.h"

#include "mem.h"
#include "record.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ledger ledger;
static struct records records;
static struct partition partition = {.topic = (char[]){"in"}};

static int set_up(void **state)
{
	(void)state;
	ledger_init(&ledger, 1 << 20);
	records_init(&records, &ledger);
	return 0;
}

static struct record *take(void)
{
	struct output_header header = {.name = (char[]){"h"}, .value = (char[]){"v"}, .size = 1};
	struct source_message message = {.partition = &partition,
	        .key = {"key", 3},
	        .value = {"value", 5},
	        .headers = &header,
	        .header_count = 1};
	return record_new(&records, &message, 0);
}

static void a_record_owns_copies_of_its_bytes(void **state)
{
	(void)state;
	struct record *r = take();
	assert_string_equal(r->key, "key");
	assert_string_equal(r->value, "value");
	assert_string_equal(r->headers[0].value, "v");
	record_move(&records, r, RECORD_GIVEN_BACK);
	record_free(&records, r);
}

static void every_byte_that_was_charged_is_returned(void **state)
{
	(void)state;
	struct record *r = take();
	assert_true(ledger.used[LEDGER_INPUT] >= 8);
	record_charge(&records, r, LEDGER_ANSWER, 500);
	record_charge(&records, r, LEDGER_ANSWER, 200);
	assert_int_equal(ledger.used[LEDGER_ANSWER], 200);
	record_move(&records, r, RECORD_GIVEN_BACK);
	record_free(&records, r);
	assert_int_equal(ledger.total, 0);
}

static void the_usual_walk_is_allowed_and_moves_between_lists(void **state)
{
	(void)state;
	static const enum record_state walk[] = {RECORD_DECODED, RECORD_ASKING, RECORD_ANSWERED,
	        RECORD_ASKING, RECORD_ANSWERED, RECORD_RESTING, RECORD_TAKEN, RECORD_DECODED, RECORD_ANSWERED,
	        RECORD_MADE, RECORD_RELEASED, RECORD_SENDING, RECORD_MADE, RECORD_RELEASED, RECORD_SENDING,
	        RECORD_SETTLED};
	struct record *r = take();
	for (size_t i = 0; i < sizeof walk / sizeof *walk; i++) {
		record_move(&records, r, walk[i]);
		assert_int_equal(records.states[walk[i]].count, 1);
	}
	assert_int_equal(records_open(&records), 0);
	record_free(&records, r);
}

static void every_open_state_can_be_given_back(void **state)
{
	(void)state;
	static const enum record_state path[] = {
	        RECORD_DECODED, RECORD_ASKING, RECORD_ANSWERED, RECORD_MADE, RECORD_RELEASED, RECORD_SENDING};
	for (size_t stop = 0; stop <= sizeof path / sizeof *path; stop++) {
		struct record *r = take();
		for (size_t i = 0; i < stop; i++)
			record_move(&records, r, path[i]);
		record_move(&records, r, RECORD_GIVEN_BACK);
		record_free(&records, r);
	}
}

/* A move that no rule allows ends the process; tried in a child. */
static void a_move_that_no_rule_allows_is_a_bug(void **state)
{
	(void)state;
	static const enum record_state forbidden[] = {
	        RECORD_SETTLED, RECORD_SENDING, RECORD_RELEASED, RECORD_ANSWERED};
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			close(STDERR_FILENO);
			record_move(&records, take(), forbidden[i]);
			_exit(0);
		}
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(a_record_owns_copies_of_its_bytes, set_up),
	        cmocka_unit_test_setup(every_byte_that_was_charged_is_returned, set_up),
	        cmocka_unit_test_setup(the_usual_walk_is_allowed_and_moves_between_lists, set_up),
	        cmocka_unit_test_setup(every_open_state_can_be_given_back, set_up),
	        cmocka_unit_test_setup(a_move_that_no_rule_allows_is_a_bug, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
