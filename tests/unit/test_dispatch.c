/* The dispatcher on invented time, with HTTP that answers what the test says. */
#define http_send fake_http_send
#define http_cancel fake_http_cancel
#define http_connections_opened fake_http_connections_opened
#define http_keep_connections fake_http_keep_connections
#define clock_now fake_clock_now
#define clock_wall fake_clock_wall
#include "../../core/dispatch.c"
#include "../../core/dispatch_answer.c"
#include "../../core/dispatch_merge.c"
#include "../../core/dispatch_room.c"
#include "../../core/dispatch_trouble.c"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SLOTS = 256, MANY = 10000 };

/* --- HTTP and time as the test wants them --- */

static struct {
	struct http_transfer *sent[SLOTS]; /* in flight, in the order sent */
	size_t count, maximum, total, cancelled;
	int64_t now;
	double random;
} world;

int64_t fake_clock_now(void)
{
	return world.now;
}

int64_t fake_clock_wall(void)
{
	return 784111777000 + world.now; /* Sun, 06 Nov 1994 08:49:37 GMT at 0 */
}

static size_t kept; /* connections */

void fake_http_keep_connections(struct http *http, size_t count)
{
	(void)http;
	kept = count;
}

size_t fake_http_connections_opened(const struct http *http)
{
	(void)http;
	return 0;
}

void fake_http_send(struct http *http, struct http_transfer *transfer)
{
	(void)http;
	assert_true(world.count < SLOTS);
	world.sent[world.count++] = transfer;
	world.total++;
	if (world.count > world.maximum)
		world.maximum = world.count;
}

static void take_off(struct http_transfer *transfer)
{
	size_t at = 0;
	while (at < world.count && world.sent[at] != transfer)
		at++;
	assert_true(at < world.count);
	world.count--;
	memmove(&world.sent[at], &world.sent[at + 1], (world.count - at) * sizeof *world.sent);
}

void fake_http_cancel(struct http *http, struct http_transfer *transfer)
{
	(void)http;
	take_off(transfer);
	world.cancelled++;
}

static void answer_with(
        struct http_transfer *transfer, int status, const char *name, const char *value, const char *body)
{
	take_off(transfer);
	transfer->failure = HTTP_ANSWERED;
	transfer->status = status;
	transfer->elapsed = 0.1;
	buf_init(&transfer->answer, 0);
	buf_append_text(&transfer->answer, body);
	transfer->came = transfer->answer.size;
	if (name) {
		transfer->answer_headers = mem_zalloc(1, sizeof *transfer->answer_headers);
		transfer->answer_headers[0] = (struct header){mem_strdup(name), mem_strdup(value)};
		transfer->answer_header_count = 1;
	}
	transfer->done(transfer);
}

static void answer_next(int status)
{
	assert_true(world.count > 0);
	answer_with(world.sent[0], status, NULL, NULL, "{}");
}

static void fail_next(enum http_failure failure)
{
	struct http_transfer *transfer = world.sent[0];
	assert_true(world.count > 0);
	take_off(transfer);
	transfer->failure = failure;
	snprintf(transfer->reason, sizeof transfer->reason, "as the test wants it");
	transfer->done(transfer);
}

static double given_random(void)
{
	return world.random;
}

/* --- the caller --- */

struct fixture {
	struct dispatch *dispatch;
	struct upstream_config upstreams[2];
	struct metrics *metrics;
	enum answer verdict; /* what the hook says */
	struct answer_detail detail;
	int answers;
	uint64_t no_room;      /* for lookups of this age and younger ones; 0 = there is always room */
	int full;              /* answers may not grow before so many calls have given up their room */
	struct lookup *victim; /* cancelled in the next done */
	struct lookup *next;   /* submitted in the next done */
	bool no_breaker;
	char seen[400]; /* what a watcher was told */
};

struct asked {
	struct lookup lookup;
	int done;
};

static enum answer on_answer(void *context, struct call *call, struct answer_detail *detail)
{
	struct fixture *fixture = context;
	assert_int_equal(call->lookup_count, 1);
	*detail = fixture->detail;
	fixture->answers++;
	return fixture->verdict;
}

static bool on_room(void *context, struct lookup *lookup)
{
	struct fixture *fixture = context;
	return fixture->no_room == 0 || lookup->age < fixture->no_room;
}

static bool on_grow(void *context, struct call *call, size_t size, size_t announced)
{
	struct fixture *fixture = context;
	(void)call;
	(void)size;
	(void)announced;
	return fixture->full <= 0;
}

static void on_yield(void *context, struct lookup *lookup)
{
	struct fixture *fixture = context;
	(void)lookup;
	fixture->full--;
}

static void on_done(void *context, struct lookup *lookup)
{
	struct fixture *fixture = context;
	struct lookup *victim = fixture->victim, *next = fixture->next;
	assert_int_equal(lookup->state, LOOKUP_DONE);
	container_of(lookup, struct asked, lookup)->done++;
	fixture->victim = fixture->next = NULL;
	if (victim)
		dispatch_cancel(fixture->dispatch, victim);
	if (next)
		dispatch_submit(fixture->dispatch, next, world.now);
}

static void on_came(void *context, const struct call *call)
{
	struct fixture *fixture = context;
	size_t size = strlen(fixture->seen);
	snprintf(fixture->seen + size, sizeof fixture->seen - size, "%d %.20s, ", call->transfer.status,
	        call->transfer.answer.data ? call->transfer.answer.data : "");
	assert_int_equal(list_first(&call->lookups) != NULL, call->lookup_count > 0);
}

static void on_again(
        void *context, const struct lookup *lookup, const char *reason, int64_t wait_ms, bool counts)
{
	struct fixture *fixture = context;
	size_t size = strlen(fixture->seen);
	snprintf(fixture->seen + size, sizeof fixture->seen - size, "%s in %d%s, ", reason, (int)wait_ms,
	        counts ? "" : " uncounted");
	assert_int_not_equal(lookup->calls, 0);
}

static void reopen(struct fixture *fixture)
{
	struct dispatch_config config = {.upstreams = fixture->upstreams,
	        .upstream_count = 2,
	        .random = given_random,
	        .no_breaker = fixture->no_breaker};
	struct dispatch_hooks hooks = {.context = fixture,
	        .room = on_room,
	        .grow = on_grow,
	        .yield = on_yield,
	        .answer = on_answer,
	        .came = on_came,
	        .again = on_again,
	        .done = on_done};
	if (fixture->dispatch)
		dispatch_close(fixture->dispatch);
	fixture->dispatch = dispatch_open(NULL, &config, &hooks, fixture->metrics);
}

static int set_up(void **state)
{
	static const struct upstream_config usual = {.name = "wiki",
	        .url = "http://127.0.0.1:6500/w/api.php",
	        .timeout_ms = 60000,
	        .concurrency = 4,
	        .retry = {.attempts = 3, .base_ms = 500, .cap_ms = 30000, .deadline_ms = 600000}};
	struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
	memset(&world, 0, sizeof world);
	world.random = 0.5;
	world.now = 1000;
	log_set_level(LOG_ERROR);
	fixture->upstreams[0] = usual;
	fixture->upstreams[1] = usual;
	fixture->upstreams[1].name = "other";
	fixture->upstreams[1].url = "http://127.0.0.1:7000/";
	fixture->metrics = metrics_open();
	reopen(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(world.count, 0);
	dispatch_close(fixture->dispatch);
	metrics_close(fixture->metrics);
	mem_free(fixture);
	return 0;
}

static void submit(struct fixture *fixture, struct asked *asked, uint64_t age, const char *host)
{
	*asked = (struct asked){0};
	asked->lookup.age = age;
	asked->lookup.request.method = "GET";
	asked->lookup.request.host = (char *)host;
	asked->lookup.request.query = "secret=1";
	dispatch_submit(fixture->dispatch, &asked->lookup, world.now);
}

static int64_t tick(struct fixture *fixture)
{
	return dispatch_tick(fixture->dispatch, world.now);
}

static int64_t tick_at(struct fixture *fixture, int64_t now)
{
	world.now = now;
	return tick(fixture);
}

static void ended(struct asked *asked, int status, const char *type)
{
	assert_int_equal(asked->done, 1);
	assert_int_equal(asked->lookup.state, LOOKUP_DONE);
	assert_int_equal(asked->lookup.response.status, status);
	if (type)
		assert_string_equal(asked->lookup.response.error_type, type);
	else
		assert_null(asked->lookup.response.error_type);
}

static void says(const struct asked *asked, const char *message)
{
	assert_string_equal(asked->lookup.response.error_message, message);
}

static bool is_in_flight(const struct asked *asked)
{
	return asked->lookup.state == LOOKUP_IN_FLIGHT;
}

static double metric(struct fixture *fixture, enum metric metric, const char *one, const char *two)
{
	return *metrics_value(fixture->metrics, metric, one, two);
}

/* --- the promises --- */

static void a_lookup_is_asked_and_answered(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "de.wikipedia.org");
	assert_int_equal(world.count, 0);
	assert_int_equal(dispatch_waiting(fixture->dispatch), 1);
	assert_int_equal(tick(fixture), -1);
	assert_int_equal(dispatch_in_flight(fixture->dispatch), 1);
	assert_string_equal(world.sent[0]->url, "http://127.0.0.1:6500/w/api.php?secret=1");
	assert_string_equal(world.sent[0]->host, "de.wikipedia.org");
	world.now += 250;
	answer_with(world.sent[0], 200, "x-a", "b", "body");
	ended(&one, 200, NULL);
	assert_string_equal(one.lookup.response.body, "body");
	assert_int_equal(one.lookup.response.body_size, 4);
	assert_string_equal(one.lookup.response.headers[0].value, "b");
	assert_int_equal(one.lookup.response.attempts, 1);
	assert_true(one.lookup.response.elapsed == 0.25);
	assert_int_equal(one.lookup.part, -2);
	assert_int_equal(dispatch_in_flight(fixture->dispatch) + dispatch_waiting(fixture->dispatch), 0);
	response_free(&one.lookup.response);
}

static void an_empty_answer_is_an_empty_body(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, NULL);
	tick(fixture);
	answer_with(world.sent[0], 204, NULL, NULL, "");
	ended(&one, 204, NULL);
	assert_string_equal(one.lookup.response.body, "");
	response_free(&one.lookup.response);
}

static void the_oldest_record_goes_first(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t ages[] = {50, 10, 40, 20, 30, 10, 60, 5};
	static const size_t order[] = {7, 1, 5, 3, 4, 2, 0, 6}; /* equals as they came */
	struct asked asked[8];
	fixture->upstreams[0].concurrency = 1;
	reopen(fixture);
	for (size_t i = 0; i < 8; i++)
		submit(fixture, &asked[i], ages[i], NULL);
	for (size_t i = 0; i < 8; i++) {
		tick(fixture);
		assert_true(is_in_flight(&asked[order[i]]));
		answer_next(200);
		response_free(&asked[order[i]].lookup.response);
	}
}

static void a_retry_of_an_older_record_goes_before_younger_ones(void **state)
{
	struct fixture *fixture = *state;
	struct asked old, young[3];
	fixture->upstreams[0].concurrency = 1;
	reopen(fixture);
	submit(fixture, &old, 1, NULL);
	for (uint64_t i = 0; i < 3; i++)
		submit(fixture, &young[i], 2 + i, NULL);
	tick(fixture);
	answer_next(503);
	tick(fixture); /* it backs off: others may go */
	assert_true(is_in_flight(&young[0]));
	world.now += 1000;
	answer_next(200);
	tick(fixture);
	assert_true(is_in_flight(&old));
	answer_next(200);
	for (int i = 1; i < 3; i++) {
		tick(fixture);
		answer_next(200);
	}
	ended(&old, 200, NULL);
	assert_int_equal(old.lookup.response.attempts, 2);
	response_free(&old.lookup.response);
	for (int i = 0; i < 3; i++)
		response_free(&young[i].lookup.response);
}

static void never_more_calls_than_concurrency(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[50];
	for (uint64_t i = 0; i < 50; i++)
		submit(fixture, &asked[i], i, NULL);
	for (int i = 0; i < 50; i++) {
		tick(fixture);
		answer_next(200);
	}
	assert_int_equal(world.maximum, 4);
	for (int i = 0; i < 50; i++)
		response_free(&asked[i].lookup.response);
}

static void other_limits_hold_from_the_next_call_on(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[20];
	for (uint64_t i = 0; i < 20; i++)
		submit(fixture, &asked[i], i, NULL);
	tick(fixture);
	assert_int_equal(world.count, 4);
	size_t before = kept;
	fixture->upstreams[0].concurrency = 9;
	dispatch_retune(fixture->dispatch, world.now);
	assert_int_equal(kept, before + 5);
	tick(fixture);
	assert_int_equal(world.count, 9);
	fixture->upstreams[0].concurrency = 2;
	dispatch_retune(fixture->dispatch, world.now);
	for (size_t left = 8; left > 2; left--) { /* those in flight go on */
		answer_next(200);
		tick(fixture);
		assert_int_equal(world.count, left);
	}
	while (world.count) {
		answer_next(200);
		tick(fixture);
		assert_true(world.count <= 2);
	}
	for (int i = 0; i < 20; i++)
		response_free(&asked[i].lookup.response);
}

static void nothing_is_sent_that_has_no_room_for_its_answer(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];
	for (uint64_t i = 0; i < 3; i++)
		submit(fixture, &asked[i], i + 1, NULL);
	fixture->no_room = 2;
	assert_int_equal(tick(fixture), -1);
	assert_int_equal(world.count, 1);
	fixture->no_room = 3;
	fail_next(HTTP_RESET); /* the first one waits for its next attempt */
	tick(fixture);
	assert_int_equal(world.count, 1);
	assert_true(is_in_flight(&asked[1]));
	fixture->no_room = 0;
	tick(fixture);
	assert_int_equal(world.count, 2);
	for (int i = 0; i < 3; i++)
		dispatch_cancel(fixture->dispatch, &asked[i].lookup);
}

static bool grows(size_t i)
{
	return world.sent[i]->room(world.sent[i], 1000);
}

static void an_answer_without_room_takes_it_from_the_youngest(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];
	for (uint64_t i = 0; i < 3; i++)
		submit(fixture, &asked[i], i + 1, NULL);
	tick(fixture);
	assert_int_equal(world.count, 3);
	fixture->full = 1;
	assert_true(grows(0));
	assert_int_equal(world.count, 3); /* within curl nothing is cancelled, */
	assert_false(grows(2));           /* but its own next byte ends it */
	fixture->no_room = 3;
	tick(fixture);
	assert_int_equal(world.count, 2);
	assert_int_equal(world.cancelled, 1);
	assert_false(is_in_flight(&asked[2]));
	assert_true(asked[2].lookup.alone);
	assert_false(asked[1].lookup.alone);
	fixture->no_room = 0;
	tick(fixture);
	assert_true(is_in_flight(&asked[2]));
	assert_int_equal(asked[2].lookup.attempts, 0);
	while (world.count > 0)
		answer_next(200);
	for (int i = 0; i < 3; i++) {
		ended(&asked[i], 200, NULL);
		response_free(&asked[i].lookup.response);
	}
}

static void the_youngest_is_cut_itself_and_asked_again_without_an_attempt(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[2];
	for (uint64_t i = 0; i < 2; i++)
		submit(fixture, &asked[i], i + 1, NULL);
	tick(fixture);
	fixture->full = 1;
	assert_false(grows(1));
	take_off(world.sent[0]); /* the other one goes on, elsewhere */
	fail_next(HTTP_NO_ROOM);
	assert_int_equal(asked[1].done, 0);
	assert_int_equal(asked[1].lookup.attempts, 0);
	assert_int_equal(fixture->full, 0);
	assert_int_equal(metric(fixture, METRIC_HTTP_RETRIES, "wiki", "no_room"), 1);
	assert_int_equal(tick(fixture), -1);
	assert_true(is_in_flight(&asked[1]));
	answer_next(200);
	ended(&asked[1], 200, NULL);
	response_free(&asked[1].lookup.response);
	world.sent[world.count++] = &asked[0].lookup.call->transfer;
	dispatch_cancel(fixture->dispatch, &asked[0].lookup);
}

static void a_call_that_ends_before_it_is_cut_is_not_cut(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[2];
	for (uint64_t i = 0; i < 2; i++)
		submit(fixture, &asked[i], i + 1, NULL);
	tick(fixture);
	fixture->full = 1;
	assert_true(grows(0));
	answer_with(world.sent[1], 200, NULL, NULL, "{}");
	ended(&asked[1], 200, NULL);
	tick(fixture);
	assert_int_equal(world.cancelled, 0);
	answer_next(200);
	ended(&asked[0], 200, NULL);
	for (int i = 0; i < 2; i++)
		response_free(&asked[i].lookup.response);
}

static void one_upstream_does_not_hold_up_another(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[8], other = {0};
	for (uint64_t i = 0; i < 8; i++)
		submit(fixture, &asked[i], i, NULL);
	other.lookup.age = 99;
	other.lookup.request = (struct request){.upstream = 1, .method = "GET", .path = "/x"};
	dispatch_submit(fixture->dispatch, &other.lookup, world.now);
	tick(fixture);
	assert_int_equal(world.count, 5);
	assert_true(is_in_flight(&other));
	assert_string_equal(world.sent[4]->url, "http://127.0.0.1:7000/x");
	dispatch_cancel(fixture->dispatch, &other.lookup);
	for (int i = 0; i < 8; i++)
		dispatch_cancel(fixture->dispatch, &asked[i].lookup);
}

static void the_rate_is_kept(void **state)
{
	struct fixture *fixture = *state;
	static struct asked asked[100];
	fixture->upstreams[0].rate = 10;
	fixture->upstreams[0].concurrency = 1000;
	reopen(fixture);
	for (uint64_t i = 0; i < 100; i++)
		submit(fixture, &asked[i], i, NULL);
	int64_t start = world.now, due;
	while ((due = tick(fixture)) >= 0) {
		assert_true(due > world.now);
		assert_true(world.total <= 10 + (size_t)(world.now - start) / 100);
		while (world.count > 0)
			answer_next(200);
		world.now = due;
	}
	assert_int_equal(world.total, 100);
	assert_int_equal(world.now - start, 9000); /* ten at once, ninety at ten a second */
	while (world.count > 0)
		answer_next(200);
	for (int i = 0; i < 100; i++)
		response_free(&asked[i].lookup.response);
}

static void a_refused_status_ends_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "xx.wikipedia.org");
	tick(fixture);
	answer_next(404);
	ended(&one, 404, "HttpStatus");
	says(&one, "GET http://127.0.0.1:6500/w/api.php for host xx.wikipedia.org answered 404 (1 attempt)");
	assert_null(one.lookup.response.body);
	assert_int_equal(fixture->answers, 0);
	response_free(&one.lookup.response);
}

static void an_accepted_status_is_an_answer(void **state)
{
	struct fixture *fixture = *state;
	static const int statuses[] = {404, 503, 429};
	for (size_t i = 0; i < 3; i++) {
		struct asked one = {0};
		one.lookup.request =
		        (struct request){.method = "GET", .accept = {429, 404, 503}, .accept_count = 3};
		dispatch_submit(fixture->dispatch, &one.lookup, world.now);
		tick(fixture);
		answer_next(statuses[i]);
		ended(&one, statuses[i], NULL);
		response_free(&one.lookup.response);
	}
	assert_int_equal(fixture->answers, 3);
}

static void attempts_are_used_up(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(one.done, 0);
		tick_at(fixture, world.now + 60000);
		answer_next(500 + i);
	}
	ended(&one, 502, "HttpStatus");
	says(&one, "GET http://127.0.0.1:6500/w/api.php answered 502 (3 attempts)");
	assert_int_equal(one.lookup.response.attempts, 3);
	assert_true(metric(fixture, METRIC_HTTP_RETRIES, "wiki", "5xx") == 2);
	response_free(&one.lookup.response);
}

static void the_back_off_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, NULL);
	tick(fixture);
	answer_next(503);
	assert_int_equal(one.lookup.state, LOOKUP_BACKING_OFF);
	assert_int_equal(dispatch_waiting(fixture->dispatch), 1);
	assert_int_equal(tick(fixture), 1250); /* half of the first 500 ms */
	assert_int_equal(tick_at(fixture, 1249), 1250);
	assert_int_equal(world.count, 0);
	tick_at(fixture, 1250);
	assert_int_equal(world.count, 1);
	answer_next(503);
	assert_int_equal(tick(fixture), 1750);
	dispatch_cancel(fixture->dispatch, &one.lookup);
}

static void a_503_with_retry_after_waits_that_long_alone(void **state)
{
	struct fixture *fixture = *state;
	struct asked one, other;
	submit(fixture, &one, 1, "a");
	submit(fixture, &other, 2, "a");
	tick(fixture);
	answer_with(world.sent[0], 503, "retry-after", "7", "");
	assert_int_equal(tick(fixture), 8000);
	answer_next(200);
	ended(&other, 200, NULL);
	assert_int_equal(one.lookup.attempts, 1);
	dispatch_cancel(fixture->dispatch, &one.lookup);
	response_free(&other.lookup.response);
}

static void what_timed_out_in_our_sleep_is_asked_again_at_once_and_nobody_is_blamed(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	for (int i = 0; i < 9; i++) {
		tick(fixture);
		assert_int_equal(world.count, 1);
		fail_next(HTTP_OVERSLEPT);
		assert_int_equal(one.lookup.attempts, 0);
		assert_int_equal(one.lookup.host->failures, 0);
	}
	tick(fixture);
	answer_next(200);
	ended(&one, 200, NULL);
	assert_true(metric(fixture, METRIC_HTTP_RETRIES, "wiki", "overslept") == 9);
	response_free(&one.lookup.response);
}

static void the_deadline_ends_it_before_the_attempts(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, NULL);
	tick(fixture);
	world.now = 1000 + 600000;
	fail_next(HTTP_TIMEOUT);
	ended(&one, 0, "HttpTimeout");
	says(&one, "GET http://127.0.0.1:6500/w/api.php failed: as the test wants it (1 attempt); "
	           "the retry deadline allows no other");
	response_free(&one.lookup.response);
}

static void each_failure_has_its_type_and_reason(void **state)
{
	static const struct {
		enum http_failure failure;
		const char *type, *reason;
	} cases[] = {{HTTP_CONNECT, "HttpTransport", "connect"}, {HTTP_TIMEOUT, "HttpTimeout", "timeout"},
	        {HTTP_RESET, "HttpTransport", "reset"}, {HTTP_TRUNCATED, "HttpTransport", "truncated"},
	        {HTTP_MALFORMED, "HttpTransport", "malformed"}};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct asked one;
		submit(fixture, &one, 1, NULL);
		for (int attempt = 0; attempt < 3; attempt++) {
			tick_at(fixture, world.now + 60000);
			fail_next(cases[i].failure);
		}
		ended(&one, 0, cases[i].type);
		assert_true(metric(fixture, METRIC_HTTP_RETRIES, "wiki", cases[i].reason) == 2);
		response_free(&one.lookup.response);
	}
}

static void what_cannot_get_better_is_not_asked_again(void **state)
{
	struct fixture *fixture = *state;
	struct asked large, invalid;
	submit(fixture, &large, 1, NULL);
	tick(fixture);
	fail_next(HTTP_TOO_LARGE);
	ended(&large, 0, "ContentTooLarge");
	submit(fixture, &invalid, 1, NULL);
	tick(fixture);
	fail_next(HTTP_INVALID);
	ended(&invalid, 0, "HttpInvalid");
	response_free(&large.lookup.response);
	response_free(&invalid.lookup.response);
}

static void a_host_that_may_not_be_named_is_never_sent(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "user@evil.example");
	assert_int_equal(one.done, 0);
	tick(fixture);
	ended(&one, 0, "HttpInvalid");
	assert_int_equal(world.total, 0);
	assert_int_equal(dispatch_in_flight(fixture->dispatch), 0);
	response_free(&one.lookup.response);
}

static void a_host_that_says_429_pauses_alone(void **state)
{
	struct fixture *fixture = *state;
	struct asked slow[6], other;
	fixture->upstreams[0].host_concurrency = 4;
	for (uint64_t i = 0; i < 6; i++)
		submit(fixture, &slow[i], i, "slow");
	tick(fixture);
	for (int i = 0; i < 4; i++)
		answer_with(world.sent[0], 429, "retry-after", "5", "");
	submit(fixture, &other, 100, "other");
	assert_int_equal(tick(fixture), 6000);
	assert_int_equal(world.count, 1);
	assert_true(is_in_flight(&other));
	assert_int_equal(dispatch_waiting(fixture->dispatch), 6);
	tick_at(fixture, 5999);
	assert_int_equal(world.count, 1);
	tick_at(fixture, 6000);
	assert_int_equal(world.count, 4);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(is_in_flight(&slow[i])); /* oldest first again */
	assert_true(metric(fixture, METRIC_HTTP_THROTTLED, "wiki", "429") == 5);
	for (int i = 0; i < 6; i++)
		dispatch_cancel(fixture->dispatch, &slow[i].lookup);
	dispatch_cancel(fixture->dispatch, &other.lookup);
}

static void a_429_costs_no_attempt_and_no_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	for (int i = 0; i < 100; i++) {
		int64_t due = tick(fixture);
		if (due >= 0)
			tick_at(fixture, due);
		answer_with(world.sent[0], 429, "retry-after", "60", "");
		assert_int_equal(one.lookup.attempts, 0);
	}
	tick_at(fixture, tick(fixture)); /* 100 minutes have gone, the deadline is ten */
	answer_next(503);
	assert_int_equal(one.done, 0);
	assert_int_equal(one.lookup.attempts, 1);
	tick_at(fixture, tick(fixture));
	answer_next(200);
	ended(&one, 200, NULL);
	assert_int_equal(one.lookup.response.attempts, 102);
	response_free(&one.lookup.response);
}

static void a_retry_that_backs_off_at_a_paused_host_waits_for_it_too(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	tick(fixture);
	answer_next(503); /* due 250 ms from now */
	dispatch_pause_host(fixture->dispatch, 0, "A", world.now + 30000, world.now, "maxlag");
	assert_int_equal(tick(fixture), 1250);
	assert_int_equal(tick_at(fixture, 1250), 31000);
	assert_int_equal(one.lookup.state, LOOKUP_WAITING);
	tick_at(fixture, 31000);
	assert_int_equal(world.count, 1);
	answer_next(200);
	assert_int_equal(one.lookup.paused_ms, 30000);
	assert_true(metric(fixture, METRIC_HTTP_THROTTLED, "wiki", "retry") == 30);
	response_free(&one.lookup.response);
}

static void a_pause_is_one_minute_at_most(void **state)
{
	struct fixture *fixture = *state;
	static const char *const asked_for[] = {
	        "3600", "99999999999999999999", "Sun, 06 Nov 2094 08:49:37 GMT"};
	for (size_t i = 0; i < 3; i++) {
		struct asked one;
		submit(fixture, &one, 1, "a");
		tick(fixture);
		int64_t before = world.now;
		answer_with(world.sent[0], 429, "retry-after", asked_for[i], "");
		assert_int_equal(tick(fixture), before + 60000);
		dispatch_cancel(fixture->dispatch, &one.lookup);
		tick_at(fixture, before + 60000);
	}
}

static void nobody_can_pause_a_host_for_longer(void **state)
{
	struct fixture *fixture = *state;
	dispatch_pause_host(fixture->dispatch, 0, NULL, INT64_MAX, world.now, "retry");
	assert_int_equal(tick(fixture), world.now + 60000);
	dispatch_pause_host(fixture->dispatch, 0, NULL, world.now - 5, world.now, "retry");
	tick_at(fixture, world.now + 60000);
}

static void a_pause_before_its_time_does_not_lengthen_a_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct asked elder, one;
	submit(fixture, &elder, 1, "a");
	dispatch_pause_host(fixture->dispatch, 0, "a", world.now + 50000, world.now, "429");
	tick(fixture);
	world.now += 49000;
	submit(fixture, &one, 2, "a");
	int64_t submitted = world.now;
	tick_at(fixture, world.now + 1000);
	dispatch_cancel(fixture->dispatch, &elder.lookup);
	world.now = submitted + 601001; /* the deadline, and the second it was paused for */
	fail_next(HTTP_RESET);
	ended(&one, 0, "HttpTransport");
	assert_int_equal(one.lookup.paused_ms, 1000);
	response_free(&one.lookup.response);
}

static void throttling_is_no_refusal_even_after_the_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	tick(fixture);
	world.now += 700000;
	answer_next(429);
	assert_int_equal(one.done, 0);
	tick_at(fixture, tick(fixture));
	answer_next(200);
	ended(&one, 200, NULL);
	response_free(&one.lookup.response);
}

static void a_429_without_a_time_waits_a_random_while(void **state)
{
	struct fixture *fixture = *state;
	static const char *const none[] = {NULL, "0", "soon", "Sun, 06 Nov 1994 08:49:00 GMT"};
	srand(3);
	for (int i = 0; i < 400; i++) {
		struct asked one;
		world.random = rand() / (RAND_MAX + 1.0);
		submit(fixture, &one, 1, "a");
		tick(fixture);
		answer_with(world.sent[0], 429, none[i % 4] ? "retry-after" : NULL, none[i % 4], "");
		int64_t due = tick(fixture);
		assert_in_range(due - world.now, 1000, 1999);
		dispatch_cancel(fixture->dispatch, &one.lookup);
		tick_at(fixture, due);
	}
}

static void a_retry_after_may_be_a_date(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	tick(fixture);
	answer_with(world.sent[0], 429, "retry-after", "Sun, 06 Nov 1994 08:49:47 GMT",
	        ""); /* wall 10 s, now 1 s */
	assert_int_equal(tick(fixture), 10000);
	dispatch_cancel(fixture->dispatch, &one.lookup);
}

static void a_stale_connection_is_replaced_at_once_and_once(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, NULL);
	tick(fixture);
	assert_false(world.sent[0]->fresh);
	fail_next(HTTP_STALE);
	assert_int_equal(one.lookup.attempts, 0);
	tick(fixture);
	assert_int_equal(world.count, 1);
	assert_true(world.sent[0]->fresh);
	fail_next(HTTP_STALE); /* it cannot be, and would not be believed twice */
	assert_int_equal(one.lookup.attempts, 1);
	assert_int_equal(one.lookup.state, LOOKUP_BACKING_OFF);
	tick_at(fixture, world.now + 60000);
	assert_false(world.sent[0]->fresh);
	answer_next(200);
	ended(&one, 200, NULL);
	assert_int_equal(one.lookup.response.attempts, 3);
	response_free(&one.lookup.response);
}

static void an_answer_that_does_not_parse_is_asked_again(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	fixture->verdict = ANSWER_UNPARSABLE;
	snprintf(fixture->detail.message, sizeof fixture->detail.message, "expected ',' or '}' at byte 17");
	submit(fixture, &one, 1, NULL);
	for (int i = 0; i < 3; i++) {
		tick_at(fixture, world.now + 60000);
		answer_next(200);
	}
	ended(&one, 200, "HttpUnparsable");
	says(&one, "GET http://127.0.0.1:6500/w/api.php answered 200 with a body that is not JSON: "
	           "expected ',' or '}' at byte 17 (3 attempts)");
	response_free(&one.lookup.response);
}

static void a_split_that_says_retry_waits_and_counts_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	fixture->verdict = ANSWER_RETRY;
	fixture->detail = (struct answer_detail){.after = 2, .reason = "replica_lag"};
	submit(fixture, &one, 1, "a");
	for (int i = 0; i < 20; i++) {
		tick(fixture);
		answer_next(200);
		assert_int_equal(tick(fixture), world.now + 2000);
		world.now += 2000;
	}
	assert_int_equal(one.lookup.attempts, 0);
	fixture->verdict = ANSWER_OK;
	tick(fixture);
	answer_next(200);
	ended(&one, 200, NULL);
	response_free(&one.lookup.response);
}

static void a_split_that_says_retry_for_ever_ends_with_the_deadline(void **state)
{
	struct fixture *fixture = *state;
	static const double nonsense[] = {5, -1, 0, 1e300, -1e300};
	for (size_t i = 0; i <= sizeof nonsense / sizeof *nonsense; i++) {
		struct asked one;
		fixture->verdict = ANSWER_RETRY;
		fixture->detail.after = i == 0 ? (double)NAN : nonsense[i - 1];
		snprintf(fixture->detail.reason, sizeof fixture->detail.reason, "replica_lag");
		int64_t start = world.now;
		submit(fixture, &one, 1, "a");
		while (!one.done) {
			int64_t due = tick(fixture);
			if (due >= 0) {
				assert_true(due > world.now);
				tick_at(fixture, due);
			}
			answer_next(200);
		}
		ended(&one, 200, "RetryDeadline");
		assert_true(world.now - start <= 600000);
		response_free(&one.lookup.response);
	}
}

static void a_split_that_says_retry_for_the_host_pauses_it(void **state)
{
	struct fixture *fixture = *state;
	struct asked one, two;
	fixture->verdict = ANSWER_RETRY;
	fixture->detail = (struct answer_detail){.after = 5, .host_scope = true, .reason = "maxlag"};
	submit(fixture, &one, 1, "a");
	tick(fixture);
	answer_next(200);
	submit(fixture, &two, 2, "a");
	assert_int_equal(tick(fixture), 6000);
	assert_int_equal(world.count, 0);
	fixture->verdict = ANSWER_OK;
	tick_at(fixture, 6000);
	answer_next(200);
	answer_next(200);
	ended(&one, 200, NULL);
	ended(&two, 200, NULL);
	response_free(&one.lookup.response);
	response_free(&two.lookup.response);
}

static void a_split_that_says_fail_ends_it_with_its_words(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	fixture->verdict = ANSWER_FAIL;
	fixture->detail = (struct answer_detail){.reason = "AccessDenied", .message = "one unreadable page"};
	submit(fixture, &one, 1, NULL);
	tick(fixture);
	answer_next(200);
	ended(&one, 200, "AccessDenied");
	says(&one, "one unreadable page");
	response_free(&one.lookup.response);
}

static void cancelling_works_in_every_state(void **state)
{
	struct fixture *fixture = *state;
	struct asked idle = {0}, waiting_one, parked, backing_off, in_flight, done;
	dispatch_cancel(fixture->dispatch, &idle.lookup);
	submit(fixture, &waiting_one, 1, "a");
	dispatch_cancel(fixture->dispatch, &waiting_one.lookup);
	dispatch_cancel(fixture->dispatch, &waiting_one.lookup);

	submit(fixture, &backing_off, 1, "a");
	tick(fixture);
	answer_next(503);
	assert_int_equal(backing_off.lookup.state, LOOKUP_BACKING_OFF);
	dispatch_cancel(fixture->dispatch, &backing_off.lookup);

	submit(fixture, &in_flight, 1, "a");
	tick(fixture);
	assert_true(is_in_flight(&in_flight));
	dispatch_cancel(fixture->dispatch, &in_flight.lookup);
	assert_int_equal(world.cancelled, 1);
	assert_int_equal(dispatch_in_flight(fixture->dispatch), 0);

	submit(fixture, &done, 1, "b");
	tick(fixture);
	answer_next(200);
	dispatch_cancel(fixture->dispatch, &done.lookup);
	ended(&done, 200, NULL);
	response_free(&done.lookup.response);

	dispatch_pause_host(fixture->dispatch, 0, "a", world.now + 1000, world.now, "429");
	submit(fixture, &parked, 1, "a");
	tick(fixture);
	assert_int_equal(dispatch_waiting(fixture->dispatch), 1);
	dispatch_cancel(fixture->dispatch, &parked.lookup);
	assert_int_equal(dispatch_waiting(fixture->dispatch), 0);
	tick_at(fixture, world.now + 1000);
	assert_int_equal(waiting_one.done + backing_off.done + in_flight.done + parked.done, 0);
}

static void a_cancelled_one_may_be_submitted_anew(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	tick(fixture);
	dispatch_cancel(fixture->dispatch, &one.lookup);
	assert_int_equal(one.lookup.state, LOOKUP_IDLE);
	dispatch_submit(fixture->dispatch, &one.lookup, world.now);
	tick(fixture);
	answer_next(200);
	ended(&one, 200, NULL);
	response_free(&one.lookup.response);
}

static void done_may_submit_and_cancel_others(void **state)
{
	struct fixture *fixture = *state;
	struct asked first, second, third = {0};
	submit(fixture, &first, 1,
	        "bad host"); /* both are refused in one tick; the first's done cancels the second */
	submit(fixture, &second, 2, "bad host");
	third.lookup.request.method = "GET";
	fixture->victim = &second.lookup;
	fixture->next = &third.lookup;
	assert_int_equal(tick(fixture), world.now); /* there is something new to look at */
	ended(&first, 0, "HttpInvalid");
	assert_int_equal(second.done, 0);
	assert_int_equal(second.lookup.state, LOOKUP_IDLE);
	tick(fixture);
	assert_true(is_in_flight(&third));
	answer_next(200);
	ended(&third, 200, NULL);
	response_free(&first.lookup.response);
	response_free(&second.lookup.response);
	response_free(&third.lookup.response);
}

static void without_metrics_it_works_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct metrics *metrics = fixture->metrics;
	struct asked one;
	fixture->metrics = NULL;
	reopen(fixture);
	submit(fixture, &one, 1, "a");
	tick(fixture);
	answer_next(503);
	tick_at(fixture, world.now + 60000);
	answer_next(200);
	ended(&one, 200, NULL);
	response_free(&one.lookup.response);
	fixture->metrics = metrics;
}

static void calls_are_counted_by_code_and_attempt(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	tick(fixture);
	answer_next(503);
	tick_at(fixture, world.now + 60000);
	fail_next(HTTP_TIMEOUT);
	tick_at(fixture, world.now + 60000);
	answer_next(200);
	assert_true(*metrics_value(fixture->metrics, METRIC_HTTP_REQUESTS, "wiki", "503", "first") == 1);
	assert_true(*metrics_value(fixture->metrics, METRIC_HTTP_REQUESTS, "wiki", "error", "retry") == 1);
	assert_true(*metrics_value(fixture->metrics, METRIC_HTTP_REQUESTS, "wiki", "200", "retry") == 1);
	assert_true(*metrics_value(fixture->metrics, METRIC_HTTP_BYTES, "wiki") == 4);
	assert_true(*metrics_value(fixture->metrics, METRIC_HTTP_LIMIT, "wiki") == 4);
	response_free(&one.lookup.response);
}

/* --- one host in trouble --- */

static void forget_all(struct fixture *fixture, struct asked *asked, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		dispatch_cancel(fixture->dispatch, &asked[i].lookup);
		response_free(&asked[i].lookup.response);
	}
}

static size_t in_flight_to(const char *host)
{
	size_t count = 0;
	for (size_t i = 0; i < world.count; i++)
		count += strcmp(world.sent[i]->host, host) == 0;
	return count;
}

static struct http_transfer *sent_to(const char *host)
{
	for (size_t i = 0; i < world.count; i++)
		if (strcmp(world.sent[i]->host, host) == 0)
			return world.sent[i];
	fail_msg("nothing is in flight to %s", host);
	return NULL;
}

static void fail_one_to(const char *host, enum http_failure failure)
{
	struct http_transfer *transfer = sent_to(host);
	take_off(transfer);
	transfer->failure = failure;
	transfer->done(transfer);
}

/* Ends a lookup of that host well, so that it is one of those that were asked. */
static void ask_well(struct fixture *fixture, const char *host)
{
	struct asked one;
	submit(fixture, &one, 0, host);
	tick(fixture);
	answer_with(sent_to(host), 200, NULL, NULL, "{}");
	ended(&one, 200, NULL);
	response_free(&one.lookup.response);
}

static void a_host_whose_calls_hang_leaves_slots_to_the_others(void **state)
{
	struct fixture *fixture = *state;
	struct asked slow[20], other[20];
	fixture->upstreams[0].concurrency = 16;
	reopen(fixture);
	ask_well(fixture, "other");
	for (uint64_t i = 0; i < 20; i++)
		submit(fixture, &slow[i], i, "slow");
	tick(fixture);
	assert_int_equal(world.count, 8);
	for (uint64_t i = 0; i < 20; i++)
		submit(fixture, &other[i], 100 + i, "other"); /* younger all of them */
	tick(fixture);
	assert_int_equal(in_flight_to("other"), 8);
	for (int i = 0; i < 20; i++) { /* they come and go while the slow ones stay */
		if (in_flight_to("other"))
			answer_with(sent_to("other"), 200, NULL, NULL, "{}");
		tick(fixture);
		assert_int_equal(in_flight_to("slow"), 8);
	}
	for (int i = 0; i < 20; i++)
		ended(&other[i], 200, NULL);
	forget_all(fixture, slow, 20);
	forget_all(fixture, other, 20);
}

static void a_host_alone_has_all_slots_until_another_is_asked(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[8], other;
	for (uint64_t i = 0; i < 8; i++)
		submit(fixture, &asked[i], i, "a");
	tick(fixture);
	assert_int_equal(world.count, 4);
	submit(fixture, &other, 100, "b");
	tick(fixture);
	for (int i = 0; i < 2; i++) {
		answer_next(200);
		tick(fixture);
	}
	assert_true(is_in_flight(&other)); /* although younger than four that wait */
	answer_with(sent_to("b"), 200, NULL, NULL, "{}");
	tick(fixture);
	assert_int_equal(in_flight_to("a"), 2);
	tick_at(fixture, world.now + HOSTS_REMEMBERED_MS); /* b is forgotten */
	answer_next(200);
	tick(fixture);
	assert_int_equal(in_flight_to("a"), 4);
	forget_all(fixture, asked, 8);
	forget_all(fixture, &other, 1);
}

static void host_concurrency_is_kept_whoever_else_is_asked(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[8];
	fixture->upstreams[0].host_concurrency = 3;
	for (uint64_t i = 0; i < 8; i++)
		submit(fixture, &asked[i], i, "a");
	for (int i = 0; i < 8; i++) {
		tick(fixture);
		answer_next(200);
	}
	assert_int_equal(world.maximum, 3);
	forget_all(fixture, asked, 8);
}

static void a_host_that_only_fails_gets_fewer_slots_until_it_answers(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[40];
	fixture->upstreams[0].concurrency = 64;
	fixture->upstreams[0].retry.attempts = 100;
	reopen(fixture);
	for (int i = 0; i < 60; i++)
		ask_well(fixture, i % 2 ? "b" : "c");
	for (uint64_t i = 0; i < 40; i++)
		submit(fixture, &asked[i], i, "a");
	tick(fixture);
	assert_int_equal(in_flight_to("a"), 32);
	world.random = 0;
	for (int i = 0; i < 32; i++)
		answer_with(sent_to("a"), 503, NULL, NULL, "");
	tick(fixture);
	assert_int_equal(in_flight_to("a"), 4);
	answer_with(sent_to("a"), 200, NULL, NULL, "{}");
	tick(fixture);
	assert_int_equal(in_flight_to("a"), 32);
	forget_all(fixture, asked, 40);
}

static void auto_halves_on_503_429_and_timeouts_but_not_for_a_host_known_to_fail(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[12];
	fixture->upstreams[0].concurrency = 0;
	fixture->upstreams[0].retry.attempts = 100;
	reopen(fixture);
	world.random = 0;
	for (int i = 0; i < 20; i++)
		ask_well(fixture, i % 2 ? "b" : "c");
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) == LIMITER_AUTO_FIRST);
	for (uint64_t i = 0; i < 3; i++)
		submit(fixture, &asked[i], i, (const char *[]){"a", "d", "e"}[i]);
	tick_at(fixture, world.now + 10);
	answer_with(sent_to("a"), 429, "retry-after", "1", "");
	tick(fixture);
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) == LIMITER_AUTO_FIRST / 2);
	answer_with(sent_to("d"), 503, NULL, NULL, ""); /* was under way already */
	fail_one_to("e", HTTP_TIMEOUT);
	tick_at(fixture, world.now + 10);
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) == LIMITER_AUTO_FIRST / 2);
	fail_one_to("e", HTTP_TIMEOUT);
	tick_at(fixture, world.now + 10);
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) == LIMITER_AUTO_FIRST / 4);
	fail_one_to("d", HTTP_RESET); /* no sign of load */
	tick_at(fixture, world.now + 10);
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) == LIMITER_AUTO_FIRST / 4);
	dispatch_cancel(fixture->dispatch, &asked[2].lookup);
	for (int i = 0; i < 10; i++) {
		answer_with(sent_to("d"), 503, NULL, NULL, "");
		tick_at(fixture, world.now + 10);
	}
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) >= 1);
	struct limiter *limiter = &fixture->dispatch->upstreams[0].limiter;
	limiter->concurrency = 16;
	answer_with(sent_to("d"), 503, NULL, NULL, "");
	tick(fixture);
	assert_true(metric(fixture, METRIC_HTTP_LIMIT, "wiki", NULL) == 16);
	forget_all(fixture, asked, 3);
}

enum { SICK = 30 };

/* Thirty lookups of a host in trouble, four of them in flight, aged 1 to 30; "b" is well. */
static void one_in_trouble(struct fixture *fixture, struct asked *sick, int status)
{
	fixture->upstreams[0].concurrency = 8;
	fixture->upstreams[0].retry.attempts = 100;
	reopen(fixture);
	for (int i = 0; i < 40; i++)
		ask_well(fixture, "b");
	for (uint64_t i = 0; i < SICK; i++)
		submit(fixture, &sick[i], i + 1, "a");
	tick(fixture);
	world.random = 0.5;
	for (int i = 0; i < 8; i++) {
		answer_with(sent_to("a"), status, "retry-after", "30", "");
		tick(fixture);
	}
	dispatch_relieve(fixture->dispatch, SICK, SICK, 60, world.now + DISPATCH_TROUBLE_MS - 1);
	tick_at(fixture, world.now + DISPATCH_TROUBLE_MS);
	for (size_t i = 0; i < SICK; i++)
		assert_int_equal(sick[i].done, 0); /* it may have been a moment */
}

static void a_failing_host_that_holds_up_others_lets_its_oldest_go(void **state)
{
	struct fixture *fixture = *state;
	struct asked sick[SICK];
	one_in_trouble(fixture, sick, 503);
	dispatch_relieve(fixture->dispatch, 20, 0, 60, world.now);
	tick(fixture);
	size_t gone = 0;
	for (size_t i = 0; i < 20; i++) { /* waiting or backing off, but not those in flight */
		if (is_in_flight(&sick[i]))
			continue;
		ended(&sick[i], 0, "HostUnavailable");
		gone++;
	}
	assert_int_equal(gone, 20 - in_flight_to("a"));
	for (size_t i = 20; i < SICK; i++)
		assert_int_equal(sick[i].done, 0);
	assert_non_null(strstr(sick[0].lookup.response.error_message, "a failed its last 8 calls"));
	dispatch_relieve(fixture->dispatch, 20, 20, 60, world.now);
	assert_int_equal(in_flight_to("a"), 0); /* too late for those, too */
	tick(fixture);
	for (size_t i = 0; i < 20; i++)
		ended(&sick[i], 0, "HostUnavailable");
	forget_all(fixture, sick, SICK);
}

static void a_paused_host_that_holds_up_others_lets_its_oldest_go(void **state)
{
	struct fixture *fixture = *state;
	struct asked sick[SICK];
	fixture->upstreams[0].host_concurrency = 8;
	one_in_trouble(fixture, sick, 429);
	assert_int_equal(world.count, 0);
	dispatch_relieve(fixture->dispatch, 10, 0, 60, world.now);
	tick(fixture);
	for (size_t i = 0; i < 10; i++)
		ended(&sick[i], 0, "HostUnavailable");
	assert_int_equal(dispatch_waiting(fixture->dispatch), SICK - 10);
	assert_non_null(strstr(sick[0].lookup.response.error_message, "a asks for a pause"));
	ask_well(fixture, "b");
	forget_all(fixture, sick, SICK);
}

static void a_host_that_throttles_and_answers_in_between_loses_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct asked paced[SICK];
	ask_well(fixture, "b");
	for (uint64_t i = 0; i < SICK; i++)
		submit(fixture, &paced[i], i + 1, "a");
	tick(fixture);
	for (int i = 0; i < 20; i++) {
		answer_with(sent_to("a"), 200, NULL, NULL, "{}");
		answer_with(sent_to("a"), 429, "retry-after", "4", "");
		tick_at(fixture, world.now + 3000);
		dispatch_relieve(fixture->dispatch, SICK, SICK, 1000, world.now);
		tick_at(fixture, world.now + 1000);
	}
	for (size_t i = 0; i < SICK; i++)
		assert_null(paced[i].lookup.response.error_type);
	forget_all(fixture, paced, SICK);
}

static void a_host_that_fails_more_often_than_not_is_in_trouble_although_it_answers(void **state)
{
	struct fixture *fixture = *state;
	struct asked sick[SICK];
	fixture->upstreams[0].concurrency = 2 * SICK;
	fixture->upstreams[0].retry.attempts = 100;
	reopen(fixture);
	for (int i = 0; i < 40; i++)
		ask_well(fixture, "b");
	for (uint64_t i = 0; i < SICK; i++)
		submit(fixture, &sick[i], i + 1, "a");
	tick(fixture);
	for (int i = 0; i < SICK; i++)
		answer_next(i % 3 ? 503 : 200);
	assert_false(dispatch_host_failing(sick[1].lookup.host));
	dispatch_relieve(fixture->dispatch, 10, 10, 1000, world.now);
	tick(fixture);
	ended(&sick[1], 0, "HostUnavailable");
	assert_non_null(strstr(sick[1].lookup.response.error_message, "fails more often than not"));
	assert_int_equal(dispatch_waiting(fixture->dispatch) + dispatch_in_flight(fixture->dispatch), 14);
	forget_all(fixture, sick, SICK);
}

static void a_host_that_is_merely_slow_loses_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct asked slow[SICK];
	ask_well(fixture, "b");
	for (uint64_t i = 0; i < SICK; i++)
		submit(fixture, &slow[i], i + 1, "a");
	tick(fixture);
	dispatch_relieve(fixture->dispatch, SICK, SICK, 1000, world.now + 600000);
	tick(fixture);
	for (size_t i = 0; i < SICK; i++)
		assert_int_equal(slow[i].done, 0);
	forget_all(fixture, slow, SICK);
}

static void when_all_hosts_are_in_trouble_nothing_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[SICK];
	static const char *const names[] = {"a", "b", "c"};
	for (uint64_t i = 0; i < SICK; i++)
		submit(fixture, &asked[i], i + 1, names[i % 3]);
	for (size_t i = 0; i < 3; i++)
		dispatch_pause_host(fixture->dispatch, 0, names[i], world.now + 60000, world.now, "maxlag");
	tick_at(fixture, world.now + DISPATCH_TROUBLE_MS);
	dispatch_relieve(fixture->dispatch, SICK, SICK, SICK, world.now);
	tick(fixture);
	assert_int_equal(dispatch_waiting(fixture->dispatch), SICK);
	ask_well(fixture, "d"); /* three of four, and most of what is open is theirs */
	dispatch_relieve(fixture->dispatch, SICK, SICK, 2 * SICK - 1, world.now);
	tick(fixture);
	assert_int_equal(dispatch_waiting(fixture->dispatch), SICK);
	dispatch_relieve(fixture->dispatch, SICK, SICK, 2 * SICK, world.now); /* half of it is not most */
	tick(fixture);
	assert_int_equal(dispatch_waiting(fixture->dispatch), 0);
	forget_all(fixture, asked, SICK);
}

static void the_only_host_gives_back_pressure_and_loses_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[SICK];
	for (uint64_t i = 0; i < SICK; i++)
		submit(fixture, &asked[i], i + 1, NULL);
	dispatch_pause_host(fixture->dispatch, 0, NULL, world.now + 60000, world.now, "maxlag");
	tick_at(fixture, world.now + DISPATCH_TROUBLE_MS);
	dispatch_relieve(fixture->dispatch, SICK, SICK, 1000, world.now);
	tick(fixture);
	assert_int_equal(dispatch_waiting(fixture->dispatch), SICK);
	forget_all(fixture, asked, SICK);
}

/* --- the upstream in trouble --- */

static const char *circuit(struct fixture *fixture)
{
	tick(fixture);
	for (int i = 0; i < BREAKER_STATES; i++)
		if (metric(fixture, METRIC_HTTP_CIRCUIT, "wiki", breaker_state_name((enum breaker_state)i)) ==
		        1)
			return breaker_state_name((enum breaker_state)i);
	return "none";
}

enum { OUTAGE = 30 };

/* Thirty lookups of so many hosts are in flight when the upstream goes down; twenty of them failed. */
static void go_down(struct fixture *fixture, struct asked *asked, size_t hosts, unsigned attempts)
{
	static char names[OUTAGE][8];
	fixture->upstreams[0].concurrency = OUTAGE;
	fixture->upstreams[0].host_concurrency = OUTAGE;
	fixture->upstreams[0].retry.attempts = attempts;
	reopen(fixture);
	for (uint64_t i = 0; i < OUTAGE; i++) {
		snprintf(names[i], sizeof names[i], "h%d", (int)(i % hosts));
		submit(fixture, &asked[i], i + 1, names[i]);
	}
	tick(fixture);
	assert_int_equal(world.count, OUTAGE);
	for (int i = 0; i < 19; i++)
		fail_next(i % 2 ? HTTP_RESET : HTTP_TIMEOUT);
	assert_true(dispatch_takes(fixture->dispatch));
	answer_next(503);
}

static void when_most_lookups_fail_the_upstream_stands_still(void **state)
{
	struct fixture *fixture = *state;
	static const size_t hosts[] = {1, 2, 3, 30};
	for (size_t n = 0; n < sizeof hosts / sizeof *hosts; n++) {
		struct asked asked[OUTAGE];
		go_down(fixture, asked, hosts[n], 8);
		assert_false(dispatch_takes(fixture->dispatch));
		assert_true(dispatch_stands(fixture->dispatch));
		assert_string_equal(circuit(fixture), "open");
		tick_at(fixture, world.now + 4999);
		assert_int_equal(world.count, OUTAGE - 20); /* those in flight; nothing else is sent */
		for (int i = 20; i < OUTAGE; i++)
			fail_next(HTTP_CONNECT);
		for (size_t i = 0; i < OUTAGE; i++) {
			assert_int_equal(asked[i].done, 0);
			assert_int_equal(asked[i].lookup.attempts, 0); /* the upstream's fault, not theirs */
		}
		forget_all(fixture, asked, OUTAGE);
	}
}

static void nobody_fails_for_an_outage_however_long_it_lasts(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE];
	go_down(fixture, asked, 5, 2);
	for (int i = 20; i < OUTAGE; i++)
		fail_next(HTTP_RESET);
	int64_t end = world.now + 3600000;
	size_t before = world.total;
	while (world.now < end) {
		int64_t due = tick(fixture);
		assert_true(due > world.now);
		tick_at(fixture, due);
		assert_true(world.count <= 1);
		if (world.count)
			answer_next(503);
	}
	assert_in_range(world.total - before, 60, 66); /* a probe a minute, after the first ones */
	for (size_t i = 0; i < OUTAGE; i++)
		assert_int_equal(asked[i].done, 0);
	while (world.count == 0)
		tick_at(fixture, tick(fixture));
	assert_string_equal(circuit(fixture), "probing");
	answer_next(200);
	assert_string_equal(circuit(fixture), "closed");
	assert_true(dispatch_takes(fixture->dispatch));
	for (int i = 0; i < 100; i++) { /* the deadline of ten minutes has not run meanwhile */
		tick_at(fixture, world.now + 1000);
		while (world.count)
			answer_next(200);
	}
	for (size_t i = 0; i < OUTAGE; i++)
		ended(&asked[i], 200, NULL);
	assert_true(metric(fixture, METRIC_HTTP_THROTTLED, "wiki", "breaker") > 3600);
	forget_all(fixture, asked, OUTAGE);
}

static void one_host_of_many_does_not_stop_the_others(void **state)
{
	struct fixture *fixture = *state;
	static struct asked sick[200];
	fixture->upstreams[0].concurrency = 64;
	fixture->upstreams[0].retry.attempts = 1000;
	reopen(fixture);
	ask_well(fixture, "b"); /* else all that were asked would fail */
	for (uint64_t i = 0; i < 200; i++)
		submit(fixture, &sick[i], 1000 + i, "sick");
	for (int round = 0; round < 100; round++) {
		static const char *const names[] = {"b", "c", "d", "e"};
		tick_at(fixture, world.now + 200);
		while (in_flight_to("sick"))
			answer_with(sent_to("sick"), 503, NULL, NULL, "");
		for (int i = 0; i < 4; i++)
			if (round % 10 == 5) /* now and then something fails elsewhere, too */
				assert_true(dispatch_takes(fixture->dispatch));
			else
				ask_well(fixture, names[i]);
		assert_true(dispatch_takes(fixture->dispatch));
	}
	assert_string_equal(circuit(fixture), "closed");
	forget_all(fixture, sick, 200);
}

static void a_probe_is_best_what_was_never_asked(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE], fresh;
	go_down(fixture, asked, 3, 8);
	for (int i = 20; i < OUTAGE; i++)
		fail_next(HTTP_RESET);
	tick_at(fixture, world.now + 4999);
	assert_false(dispatch_takes(fixture->dispatch));
	world.now += 1;
	assert_int_equal(tick(fixture), world.now + 1000); /* so long for a new record */
	assert_true(dispatch_takes(fixture->dispatch));
	submit(fixture, &fresh, 100, "h2");
	assert_false(dispatch_takes(fixture->dispatch)); /* one is enough */
	tick(fixture);
	assert_true(is_in_flight(&fresh));
	assert_int_equal(world.count, 1);
	answer_next(200); /* those that fail by themselves do not keep it open */
	assert_string_equal(circuit(fixture), "closed");
	forget_all(fixture, &fresh, 1);
	forget_all(fixture, asked, OUTAGE);
}

static void where_nothing_new_comes_those_that_wait_probe_in_turn(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE];
	go_down(fixture, asked, 3, 8);
	for (int i = 20; i < OUTAGE; i++)
		fail_next(HTTP_RESET);
	for (int i = 0; i < OUTAGE; i++) {
		while (world.count == 0)
			tick_at(fixture, tick(fixture));
		assert_int_equal(world.count, 1);
		fail_next(HTTP_RESET);
	}
	for (size_t i = 0; i < OUTAGE; i++)
		assert_int_equal(asked[i].lookup.probes, 1);
	forget_all(fixture, asked, OUTAGE);
}

static void a_probe_that_is_cancelled_or_stale_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE];
	go_down(fixture, asked, 3, 8);
	for (int i = 20; i < OUTAGE; i++)
		fail_next(HTTP_RESET);
	tick_at(fixture, world.now + 6000);
	assert_string_equal(circuit(fixture), "probing");
	size_t probe = 0;
	while (!is_in_flight(&asked[probe]))
		probe++;
	dispatch_cancel(fixture->dispatch, &asked[probe].lookup);
	assert_string_equal(circuit(fixture), "open"); /* a second for one that was never asked */
	tick_at(fixture, world.now + 1000);
	assert_int_equal(world.count, 1);
	fail_next(HTTP_STALE);
	tick_at(fixture, world.now + 1000);
	assert_int_equal(world.count, 1);
	answer_with(world.sent[0], 429, "retry-after", "1", ""); /* whoever throttles is there */
	assert_string_equal(circuit(fixture), "closed");
	forget_all(fixture, asked, OUTAGE);
}

static void an_open_breaker_without_a_lookup_asks_for_one(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE], fresh;
	go_down(fixture, asked, 1, 8);
	forget_all(fixture, asked, OUTAGE); /* the partition went to somebody else */
	tick_at(fixture, world.now + 60000);
	assert_true(dispatch_takes(fixture->dispatch));
	submit(fixture, &fresh, 1, NULL);
	tick(fixture);
	answer_next(200);
	assert_string_equal(circuit(fixture), "closed");
	forget_all(fixture, &fresh, 1);
}

static void lookups_of_an_open_breaker_wait_for_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE], other;
	go_down(fixture, asked, 3, 8);
	submit(fixture, &other, 5, "h1");
	assert_true(dispatch_held(fixture->dispatch, &other.lookup));
	assert_false(dispatch_held(fixture->dispatch, &asked[OUTAGE - 1].lookup)); /* in flight */
	other.lookup.request.upstream = 0;
	forget_all(fixture, &other, 1);
	forget_all(fixture, asked, OUTAGE);
}

static void who_reads_to_an_end_is_told_of_failures(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[OUTAGE];
	fixture->no_breaker = true;
	go_down(fixture, asked, 1, 1);
	assert_true(dispatch_takes(fixture->dispatch));
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(asked[i].done, 1);
	forget_all(fixture, asked, OUTAGE);
}

/* --- everything at once --- */

static void end_some_call(struct fixture *fixture)
{
	static const int statuses[] = {200, 200, 200, 204, 404, 429, 500, 503, 301};
	struct http_transfer *transfer = world.sent[(size_t)rand() % world.count];
	world.random = rand() / (RAND_MAX + 1.0);
	fixture->verdict = rand() % 10 ? ANSWER_OK : (enum answer)(rand() % 4);
	fixture->detail.after = rand() % 3;
	fixture->detail.host_scope = rand() % 2;
	if (rand() % 3) {
		answer_with(transfer, statuses[rand() % 9], rand() % 2 ? "retry-after" : NULL, "2", "{}");
		return;
	}
	take_off(transfer);
	transfer->failure = (enum http_failure)(HTTP_CONNECT + rand() % (HTTP_FAILURES - HTTP_CONNECT));
	transfer->done(transfer);
}

static void ten_thousand_lookups_end_exactly_once_each(void **state)
{
	struct fixture *fixture = *state;
	static struct asked asked[MANY];
	static char *hosts[] = {"a", "b", "c", "d", "e", "bad host", NULL};
	size_t submitted = 0, cancelled = 0, turns = 0;
	srand(20261122);
	fixture->upstreams[0].concurrency = 64;
	fixture->upstreams[1].concurrency = 5;
	fixture->upstreams[1].rate = 500;
	reopen(fixture);
	memset(asked, 0, sizeof asked);
	while (submitted < MANY ||
	        dispatch_in_flight(fixture->dispatch) + dispatch_waiting(fixture->dispatch) > 0) {
		assert_true(++turns < 10000000);
		for (int i = rand() % 20; i > 0 && submitted < MANY; i--) {
			struct asked *one = &asked[submitted];
			one->lookup.age = submitted / 2;
			one->lookup.request = (struct request){
			        .upstream = (size_t)rand() % 2, .method = "GET", .host = hosts[rand() % 7]};
			dispatch_submit(fixture->dispatch, &one->lookup, world.now);
			submitted++;
		}
		int64_t due = tick(fixture);
		assert_true(fixture->dispatch->upstreams[0].limiter.in_flight <= 64);
		assert_true(fixture->dispatch->upstreams[1].limiter.in_flight <= 5);
		assert_int_equal(world.count, dispatch_in_flight(fixture->dispatch));
		assert_true(due == -1 || due >= world.now);
		for (int i = rand() % 20; i > 0 && world.count > 0; i--)
			end_some_call(fixture);
		if (rand() % 50 == 0 && submitted > 0) {
			struct lookup *victim = &asked[(size_t)rand() % submitted].lookup;
			cancelled += victim->state != LOOKUP_DONE && victim->state != LOOKUP_IDLE;
			dispatch_cancel(fixture->dispatch, victim);
		}
		world.now += submitted < MANY                      ? rand() % 5
		             : world.count == 0 && due > world.now ? due - world.now
		                                                   : 1;
	}
	size_t done = 0;
	for (size_t i = 0; i < MANY; i++) {
		struct lookup *lookup = &asked[i].lookup;
		assert_true(asked[i].done == (lookup->state == LOOKUP_DONE));
		assert_true(asked[i].done || lookup->state == LOOKUP_IDLE);
		assert_null(lookup->host);
		done += (size_t)asked[i].done;
		response_free(&lookup->response);
	}
	assert_int_equal(done + cancelled, MANY);
	assert_true(cancelled > 0);
}

static void a_watcher_sees_each_answer_and_why_it_is_asked_again(void **state)
{
	struct fixture *fixture = *state;
	struct asked one;
	submit(fixture, &one, 1, "a");
	tick(fixture);
	answer_with(world.sent[0], 503, NULL, NULL, "busy");
	tick_at(fixture, world.now + 1000);
	answer_with(world.sent[0], 429, "retry-after", "7", "slow");
	tick_at(fixture, world.now + 7000);
	answer_next(200);
	ended(&one, 200, NULL);
	response_free(&one.lookup.response);
	assert_string_equal(fixture->seen, "503 busy, 5xx in 250, 429 slow, 429 in 0 uncounted, 200 {}, ");
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        promise(a_lookup_is_asked_and_answered),
	        promise(an_empty_answer_is_an_empty_body),
	        promise(the_oldest_record_goes_first),
	        promise(a_retry_of_an_older_record_goes_before_younger_ones),
	        promise(never_more_calls_than_concurrency),
	        promise(other_limits_hold_from_the_next_call_on),
	        promise(nothing_is_sent_that_has_no_room_for_its_answer),
	        promise(an_answer_without_room_takes_it_from_the_youngest),
	        promise(the_youngest_is_cut_itself_and_asked_again_without_an_attempt),
	        promise(a_call_that_ends_before_it_is_cut_is_not_cut),
	        promise(one_upstream_does_not_hold_up_another),
	        promise(the_rate_is_kept),
	        promise(a_refused_status_ends_at_once),
	        promise(an_accepted_status_is_an_answer),
	        promise(attempts_are_used_up),
	        promise(the_back_off_is_waited_for),
	        promise(a_503_with_retry_after_waits_that_long_alone),
	        promise(what_timed_out_in_our_sleep_is_asked_again_at_once_and_nobody_is_blamed),
	        promise(the_deadline_ends_it_before_the_attempts),
	        promise(each_failure_has_its_type_and_reason),
	        promise(what_cannot_get_better_is_not_asked_again),
	        promise(a_host_that_may_not_be_named_is_never_sent),
	        promise(a_host_that_says_429_pauses_alone),
	        promise(a_429_costs_no_attempt_and_no_deadline),
	        promise(a_retry_that_backs_off_at_a_paused_host_waits_for_it_too),
	        promise(a_pause_is_one_minute_at_most),
	        promise(nobody_can_pause_a_host_for_longer),
	        promise(a_pause_before_its_time_does_not_lengthen_a_deadline),
	        promise(throttling_is_no_refusal_even_after_the_deadline),
	        promise(a_429_without_a_time_waits_a_random_while),
	        promise(a_retry_after_may_be_a_date),
	        promise(a_stale_connection_is_replaced_at_once_and_once),
	        promise(an_answer_that_does_not_parse_is_asked_again),
	        promise(a_split_that_says_retry_waits_and_counts_nothing),
	        promise(a_split_that_says_retry_for_ever_ends_with_the_deadline),
	        promise(a_split_that_says_retry_for_the_host_pauses_it),
	        promise(a_split_that_says_fail_ends_it_with_its_words),
	        promise(cancelling_works_in_every_state),
	        promise(a_cancelled_one_may_be_submitted_anew),
	        promise(done_may_submit_and_cancel_others),
	        promise(without_metrics_it_works_the_same),
	        promise(calls_are_counted_by_code_and_attempt),
	        promise(a_host_whose_calls_hang_leaves_slots_to_the_others),
	        promise(a_host_alone_has_all_slots_until_another_is_asked),
	        promise(host_concurrency_is_kept_whoever_else_is_asked),
	        promise(a_host_that_only_fails_gets_fewer_slots_until_it_answers),
	        promise(auto_halves_on_503_429_and_timeouts_but_not_for_a_host_known_to_fail),
	        promise(a_failing_host_that_holds_up_others_lets_its_oldest_go),
	        promise(a_paused_host_that_holds_up_others_lets_its_oldest_go),
	        promise(a_host_that_throttles_and_answers_in_between_loses_nothing),
	        promise(a_host_that_fails_more_often_than_not_is_in_trouble_although_it_answers),
	        promise(a_host_that_is_merely_slow_loses_nothing),
	        promise(when_all_hosts_are_in_trouble_nothing_is_let_go),
	        promise(the_only_host_gives_back_pressure_and_loses_nothing),
	        promise(when_most_lookups_fail_the_upstream_stands_still),
	        promise(nobody_fails_for_an_outage_however_long_it_lasts),
	        promise(one_host_of_many_does_not_stop_the_others),
	        promise(a_probe_is_best_what_was_never_asked),
	        promise(where_nothing_new_comes_those_that_wait_probe_in_turn),
	        promise(a_probe_that_is_cancelled_or_stale_is_replaced),
	        promise(an_open_breaker_without_a_lookup_asks_for_one),
	        promise(lookups_of_an_open_breaker_wait_for_nothing_else),
	        promise(who_reads_to_an_end_is_told_of_failures),
	        promise(a_watcher_sees_each_answer_and_why_it_is_asked_again),
	        promise(ten_thousand_lookups_end_exactly_once_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
