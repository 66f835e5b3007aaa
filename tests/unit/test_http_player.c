/* Answers that are played: they come when they are due, from the loop, under the rules of a network's. */
#include "clock.h"
#include "http.h"
#include "mem.h"
#include "unit.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 6, MAX_BODY = 10, TIMEOUT_MS = 60000, NEVER_MS = 1 << 30 };

static struct upstream_config upstream = {
        .name = "played", .url = "http://played.invalid", .timeout_ms = TIMEOUT_MS, .max_body = MAX_BODY};

/* What the player is told to do with a call. */
struct script {
	int64_t after_ms;
	enum http_failure failure;
	const char *body;
};

struct call {
	struct http_transfer transfer;
	struct script script;
	struct stage *stage;
	int64_t done_at;              /* ms since the beginning */
	struct call *cancels, *sends; /* from within done */
};

struct stage {
	struct event_base *base;
	struct http *http;
	struct http_player player;
	struct call calls[CALLS];
	char order[CALLS * 2 + 1]; /* letters of the calls that are over */
	size_t played;
	int64_t began;
	bool sending;
};

static int64_t play(void *context, struct http_transfer *transfer)
{
	struct stage *stage = context;
	struct call *call = container_of(transfer, struct call, transfer);
	stage->played++;
	if (call->script.after_ms == HTTP_PLAY_NETWORK)
		return HTTP_PLAY_NETWORK;
	transfer->failure = call->script.failure;
	transfer->status = 200;
	transfer->answer_headers = mem_zalloc(1, sizeof *transfer->answer_headers);
	transfer->answer_headers[transfer->answer_header_count++] =
	        (struct header){mem_strdup("a"), mem_strdup("b")};
	if (call->script.body)
		buf_append_text(&transfer->answer, call->script.body);
	return call->script.after_ms;
}

static void send_call(struct call *call)
{
	call->stage->sending = true;
	http_send(call->stage->http, &call->transfer);
	call->stage->sending = false;
}

static void done(struct http_transfer *transfer)
{
	struct call *call = container_of(transfer, struct call, transfer);
	struct stage *stage = call->stage;
	assert_false(stage->sending);
	stage->order[strlen(stage->order)] = (char)('a' + (call - stage->calls));
	call->done_at = clock_now() - stage->began;
	if (call->cancels)
		http_cancel(stage->http, &call->cancels->transfer);
	if (call->sends)
		send_call(call->sends);
}

static int set_up(void **state)
{
	struct stage *stage = mem_zalloc(1, sizeof *stage);
	struct err err;
	stage->base = event_base_new();
	stage->player = (struct http_player){stage, play};
	struct http_config config = {.user_agent = "test", .player = &stage->player};
	stage->http = http_open(stage->base, &config, &err);
	assert_non_null(stage->http);
	clock_invent(0);
	stage->began = clock_now();
	for (size_t i = 0; i < CALLS; i++) {
		stage->calls[i].stage = stage;
		stage->calls[i].transfer = (struct http_transfer){.upstream = &upstream,
		        .method = "GET",
		        .url = "http://played.invalid/",
		        .done = done};
	}
	*state = stage;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;
	http_close(stage->http);
	for (size_t i = 0; i < CALLS; i++)
		http_transfer_free(&stage->calls[i].transfer);
	event_base_free(stage->base);
	mem_free(stage);
	return 0;
}

static void asks(struct stage *stage, size_t n, struct script script)
{
	stage->calls[n].script = script;
	send_call(&stage->calls[n]);
}

/* As the worker's loop does it: what is due is served, then time goes on to what is due next. */
static void run(struct stage *stage)
{
	while (http_in_flight(stage->http) > 0) {
		event_base_loop(stage->base, EVLOOP_ONCE);
		int64_t next = http_next(stage->http), now = clock_now();
		if (next > now)
			clock_skip(next - now);
	}
}

static void answers_come_in_the_order_in_which_they_are_due(void **state)
{
	struct stage *stage = *state;
	asks(stage, 0, (struct script){.after_ms = 50000});
	asks(stage, 1, (struct script){.after_ms = 0});
	asks(stage, 2, (struct script){.after_ms = 7, .body = "0123456789"});
	asks(stage, 3, (struct script){.after_ms = 50000});
	assert_string_equal(stage->order, "");
	assert_int_equal(http_in_flight(stage->http), 4);
	run(stage);
	assert_string_equal(stage->order, "bcad");
	assert_int_equal(stage->calls[0].done_at, 50000);
	assert_int_equal(stage->calls[1].done_at, 0);
	assert_int_equal(stage->calls[2].done_at, 7);
	assert_true(stage->calls[0].transfer.elapsed == 50);
	const struct http_transfer *answered = &stage->calls[2].transfer;
	assert_int_equal(answered->failure, HTTP_ANSWERED);
	assert_int_equal(answered->status, 200);
	assert_int_equal(answered->answer.size, 10);
	assert_int_equal(answered->came, 10);
	assert_int_equal(answered->answer_header_count, 1);
	assert_int_equal(http_connections_opened(stage->http), 0);
}

static void an_answer_that_comes_too_late_is_none(void **state)
{
	struct stage *stage = *state;
	asks(stage, 0, (struct script){.after_ms = NEVER_MS, .body = "x"});
	stage->calls[1].transfer.timeout_ms = 9;
	asks(stage, 1, (struct script){.after_ms = 9, .body = "x"});
	stage->calls[2].transfer.timeout_ms = 9;
	asks(stage, 2, (struct script){.after_ms = 8, .body = "x"});
	run(stage);
	assert_string_equal(stage->order, "cba");
	assert_int_equal(stage->calls[0].done_at, TIMEOUT_MS);
	for (int i = 0; i < 2; i++) {
		const struct http_transfer *late = &stage->calls[i].transfer;
		assert_int_equal(late->failure, HTTP_TIMEOUT);
		assert_int_equal(late->status, 0);
		assert_int_equal(late->answer.size, 0);
		assert_int_equal(late->answer_header_count, 0);
	}
	assert_int_equal(stage->calls[2].transfer.failure, HTTP_ANSWERED);
}

static bool no_room(struct http_transfer *transfer, size_t size)
{
	(void)transfer;
	return size < 5;
}

static void a_body_has_its_limits(void **state)
{
	struct stage *stage = *state;
	asks(stage, 0, (struct script){.body = "0123456789a"});
	stage->calls[1].transfer.room = no_room;
	asks(stage, 1, (struct script){.body = "01234"});
	stage->calls[2].transfer.room = no_room;
	asks(stage, 2, (struct script){.body = "0123"});
	run(stage);
	assert_int_equal(stage->calls[0].transfer.failure, HTTP_TOO_LARGE);
	assert_int_equal(stage->calls[1].transfer.failure, HTTP_NO_ROOM);
	assert_int_equal(stage->calls[2].transfer.failure, HTTP_ANSWERED);
	assert_int_equal(stage->calls[0].transfer.answer.size + stage->calls[1].transfer.answer.size, 0);
}

static void a_fault_has_no_answer(void **state)
{
	struct stage *stage = *state;
	asks(stage, 0, (struct script){.after_ms = 3, .failure = HTTP_RESET, .body = "x"});
	run(stage);
	assert_int_equal(stage->calls[0].done_at, 3);
	assert_int_equal(stage->calls[0].transfer.failure, HTTP_RESET);
	assert_int_equal(stage->calls[0].transfer.status, 0);
	assert_int_equal(stage->calls[0].transfer.answer.size, 0);
}

static void a_call_that_is_cancelled_is_not_heard_of_again(void **state)
{
	struct stage *stage = *state;
	asks(stage, 0, (struct script){.after_ms = 5});
	asks(stage, 1, (struct script){.after_ms = 1});
	asks(stage, 2, (struct script){.after_ms = 5});
	asks(stage, 3, (struct script){.after_ms = 1});
	http_cancel(stage->http, &stage->calls[0].transfer);
	http_cancel(stage->http, &stage->calls[0].transfer);
	stage->calls[1].cancels = &stage->calls[3]; /* due at the same time */
	run(stage);
	assert_string_equal(stage->order, "bc");
	http_cancel(stage->http, &stage->calls[2].transfer); /* over already */
}

static void a_call_may_be_sent_while_another_ends(void **state)
{
	struct stage *stage = *state;
	stage->calls[0].sends = &stage->calls[1];
	stage->calls[1].sends = &stage->calls[2];
	stage->calls[1].script.after_ms = 10;
	asks(stage, 0, (struct script){.after_ms = 0});
	run(stage);
	assert_string_equal(stage->order, "abc");
	assert_int_equal(stage->calls[2].done_at, 10);
}

static void what_cannot_be_sent_is_not_played(void **state)
{
	struct stage *stage = *state;
	struct header bad = {"a", "b\r\nc: d"};
	stage->calls[0].transfer.headers = &bad;
	stage->calls[0].transfer.header_count = 1;
	asks(stage, 0, (struct script){.after_ms = 0});
	run(stage);
	assert_int_equal(stage->calls[0].transfer.failure, HTTP_INVALID);
	assert_int_equal(stage->played, 0);
}

static void what_the_player_leaves_goes_to_the_network(void **state)
{
	struct stage *stage = *state;
	stage->calls[0].transfer.url = "http://127.0.0.1:1/";
	asks(stage, 0, (struct script){.after_ms = HTTP_PLAY_NETWORK});
	asks(stage, 1, (struct script){.after_ms = 0});
	run(stage);
	assert_int_equal(stage->calls[0].transfer.failure, HTTP_CONNECT);
	assert_int_equal(stage->calls[1].transfer.failure, HTTP_ANSWERED);
	assert_int_equal(stage->played, 2);
}

static void closing_forgets_what_is_in_flight(void **state)
{
	struct stage *stage = *state;
	struct err err;
	struct http_config config = {.user_agent = "test", .player = &stage->player};
	asks(stage, 0, (struct script){.after_ms = 5, .body = "x"});
	asks(stage, 1, (struct script){.after_ms = 0, .body = "x"});
	http_close(stage->http);
	assert_string_equal(stage->order, "");
	stage->http = http_open(stage->base, &config, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                answers_come_in_the_order_in_which_they_are_due, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(an_answer_that_comes_too_late_is_none, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_body_has_its_limits, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_fault_has_no_answer, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                a_call_that_is_cancelled_is_not_heard_of_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_call_may_be_sent_while_another_ends, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_cannot_be_sent_is_not_played, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                what_the_player_leaves_goes_to_the_network, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(closing_forgets_what_is_in_flight, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("http_player", tests, NULL, NULL);
}
