/* Lookups that share a call, on invented time: stories of one call each, and random histories against a wiki
 * that truncates, refuses and fails. MILLRACE_SEED=N runs one history, MILLRACE_ROUNDS=N so many. */
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

#include "unit.h"

enum { MOST = 400, HOSTS = 3, ROUNDS = 150, KIB = 1024 };

static const char *const host_names[HOSTS] = {"en.example.org", "de.example.org", "ja.example.org"};

/* What the wiki has to say about a value. */
enum manner { GOOD, UNKNOWN, DENIED, BROKEN, HUGE, MANNERS };

struct asked {
	struct lookup lookup;
	char value[16], id[16];
	struct header header;
	enum manner manner;
	int done;
	bool open;
	int64_t ready_since; /* -1 = it does not wait */
};

static struct {
	struct dispatch *dispatch;
	struct upstream_config upstream;
	struct metrics *metrics;
	struct asked asked[MOST];
	size_t count;
	struct call *sent[MOST];
	size_t sent_count, calls, largest;
	size_t capacity; /* bytes of an answer; 0 = no end */
	size_t rooms;    /* lookups that may still be sent, SIZE_MAX = all */
	int64_t now;
	double luck;
	unsigned seed;
} world;

int64_t fake_clock_now(void)
{
	return world.now;
}

int64_t fake_clock_wall(void)
{
	return world.now;
}

void fake_http_keep_connections(struct http *http, size_t count)
{
	(void)http;
	(void)count;
}

size_t fake_http_connections_opened(const struct http *http)
{
	(void)http;
	return 0;
}

static unsigned dice(unsigned sides)
{
	world.seed = world.seed * 1103515245 + 12345;
	return (world.seed >> 16) % sides;
}

static struct asked *of(struct lookup *lookup)
{
	return container_of(lookup, struct asked, lookup);
}

#define each_of(call, asked)                                                                                 \
	list_each (&(call)->lookups, node, after)                                                            \
		for (struct asked *asked = of(container_of(node, struct lookup, node)); asked; asked = NULL)

/* The bounds of every call, whatever the history. */
static void check_call(struct call *call)
{
	struct asked *first = of(dispatch_oldest_of(call));
	size_t count = 0, bytes = 0;
	char url[8192] = "http://127.0.0.1:6500/w/api.php?action=query&revids=";
	each_of(call, asked)
	{
		strcat(url, count ? "%7C" : "");
		strcat(url, asked->value);
		bytes += batch_bytes(&asked->lookup.item);
		count++;
		assert_ptr_equal(asked->lookup.host, first->lookup.host);
		assert_ptr_equal(asked->lookup.script, first->lookup.script);
		assert_string_equal(asked->lookup.request.query, first->lookup.request.query);
		list_each (&call->lookups, other, next)
			if (other != node)
				assert_string_not_equal(
				        asked->value, of(container_of(other, struct lookup, node))->value);
	}
	assert_int_equal(count, call->lookup_count);
	assert_true(count <= first->lookup.request.merge_max);
	assert_true(count == 1 || bytes <= DISPATCH_BATCH_BYTES);
	assert_string_equal(call->url, url);
	/* A merged call sends its oldest lookup's headers. */
	assert_string_equal(call->transfer.headers[0].value, first->id);
	if (count > world.largest)
		world.largest = count;
	/* Oldest first: whoever was left behind is younger than the first, or goes with others. */
	for (size_t i = 0; i < world.count; i++) {
		struct lookup *left = &world.asked[i].lookup;
		if (world.asked[i].open && left->state == LOOKUP_WAITING && !left->alone &&
		        !first->lookup.alone && left->item.likeness == first->lookup.item.likeness &&
		        left->item.part == first->lookup.item.part)
			assert_true(dispatch_is_older(&first->lookup, left));
	}
}

void fake_http_send(struct http *http, struct http_transfer *transfer)
{
	(void)http;
	struct call *call = container_of(transfer, struct call, transfer);
	check_call(call);
	world.sent[world.sent_count++] = call;
	world.calls++;
}

static void take_off(const struct call *call)
{
	size_t at = 0;
	while (world.sent[at] != call)
		assert_true(++at < world.sent_count);
	world.sent_count--;
	memmove(&world.sent[at], &world.sent[at + 1], (world.sent_count - at) * sizeof *world.sent);
}

void fake_http_cancel(struct http *http, struct http_transfer *transfer)
{
	(void)http;
	take_off(container_of(transfer, struct call, transfer));
}

/* --- the wiki --- */

static enum answer on_answer(void *context, struct call *call, struct answer_detail *detail)
{
	(void)context;
	size_t left = world.capacity ? world.capacity : SIZE_MAX;
	each_of(call, asked) if (asked->manner == DENIED)
	{
		snprintf(detail->reason, sizeof detail->reason, "AccessDenied");
		return ANSWER_FAIL;
	}
	each_of(call, asked)
	{
		size_t size = batch_bytes(&asked->lookup.item);
		bool fits = size <= left && asked->manner != UNKNOWN && asked->manner != HUGE;
		asked->lookup.part = fits ? 7 : -2;
		left -= fits ? size : 0;
	}
	return ANSWER_OK;
}

static void answer(struct call *call, int status)
{
	struct http_transfer *transfer = &call->transfer;
	take_off(call);
	transfer->failure = HTTP_ANSWERED;
	transfer->status = status;
	buf_init(&transfer->answer, 0);
	buf_append_text(&transfer->answer, "{}");
	transfer->came = 1000;
	transfer->answer_headers = mem_zalloc(1, sizeof *transfer->answer_headers);
	transfer->answer_headers[0] = (struct header){mem_strdup("a"), mem_strdup("b")};
	transfer->answer_header_count = 1;
	transfer->done(transfer);
}

static void fail_call(struct call *call, enum http_failure failure)
{
	take_off(call);
	call->transfer.failure = failure;
	snprintf(call->transfer.reason, sizeof call->transfer.reason, "as the test wants it");
	call->transfer.done(&call->transfer);
}

/* As the values of the call deserve. */
static void serve(struct call *call)
{
	bool broken = false;
	each_of(call, asked) broken |= asked->manner == BROKEN;
	answer(call, broken ? 503 : 200);
}

static void on_done(void *context, struct lookup *lookup)
{
	(void)context;
	of(lookup)->done++;
	of(lookup)->open = false;
}

static bool on_room(void *context, struct lookup *lookup)
{
	(void)context;
	(void)lookup;
	if (world.rooms == 0)
		return false;
	world.rooms -= world.rooms != SIZE_MAX;
	return true;
}

static double on_random(void)
{
	return world.luck;
}

/* --- set-up --- */

static void open_world(unsigned concurrency, unsigned attempts)
{
	static char *headers[] = {(char *)"X-Request-Id"};
	world.upstream = (struct upstream_config){.name = (char *)"wiki",
	        .url = (char *)"http://127.0.0.1:6500/w/api.php",
	        .timeout_ms = 60000,
	        .concurrency = concurrency,
	        .merge = true,
	        .per_record_headers = headers,
	        .per_record_header_count = 1,
	        .retry = {.attempts = attempts, .base_ms = 500, .cap_ms = 30000, .deadline_ms = 0}};
	struct dispatch_config config = {
	        .upstreams = &world.upstream, .upstream_count = 1, .random = on_random, .no_breaker = true};
	struct dispatch_hooks hooks = {.room = on_room, .answer = on_answer, .done = on_done};
	world.metrics = metrics_open();
	world.dispatch = dispatch_open(NULL, &config, &hooks, world.metrics);
}

static int set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	world.now = 1000;
	world.luck = 0.5;
	world.rooms = SIZE_MAX;
	log_set_level(LOG_ERROR);
	open_world(4, 4);
	return 0;
}

static void close_world(void)
{
	for (size_t i = 0; i < world.count; i++) {
		dispatch_cancel(world.dispatch, &world.asked[i].lookup);
		response_free(&world.asked[i].lookup.response);
	}
	assert_int_equal(world.sent_count, 0);
	dispatch_close(world.dispatch);
	metrics_close(world.metrics);
}

static int tear_down(void **state)
{
	(void)state;
	close_world();
	return 0;
}

static struct asked *ask_bytes(size_t host, unsigned value, enum manner manner, size_t bytes)
{
	struct asked *asked = &world.asked[world.count++];
	struct lookup *lookup = &asked->lookup;
	assert_true(world.count <= MOST);
	snprintf(asked->value, sizeof asked->value, "%u", value);
	snprintf(asked->id, sizeof asked->id, "id-%zu", world.count);
	asked->header = (struct header){(char *)"X-Request-Id", asked->id};
	asked->manner = manner;
	asked->open = true;
	asked->ready_since = -1;
	lookup->age = world.count;
	lookup->request = (struct request){.method = (char *)"GET",
	        .host = (char *)host_names[host],
	        .query = (char *)"action=query",
	        .headers = &asked->header,
	        .header_count = 1,
	        .merge_param = (char *)"revids",
	        .merge_value = asked->value,
	        .merge_max = 50,
	        .merge_bytes = bytes,
	        .split = (char *)"revisions"};
	dispatch_submit(world.dispatch, lookup, world.now);
	return asked;
}

static struct asked *ask_for(unsigned value, enum manner manner)
{
	return ask_bytes(0, value, manner, 100);
}

static int64_t tick(void)
{
	return dispatch_tick(world.dispatch, world.now);
}

static void serve_all(void)
{
	for (int rounds = 0; rounds < 1000; rounds++) {
		int64_t due = tick();
		if (world.sent_count > 0)
			serve(world.sent[0]);
		else if (due > world.now)
			world.now = due;
		else
			return;
	}
	fail_msg("it does not end");
}

static void answered(const struct asked *asked, bool part)
{
	assert_int_equal(asked->done, 1);
	assert_null(asked->lookup.response.error_type);
	assert_int_equal(asked->lookup.response.status, 200);
	assert_int_equal(asked->lookup.part >= 0, part);
}

static void refused(const struct asked *asked, const char *type)
{
	assert_int_equal(asked->done, 1);
	assert_non_null(asked->lookup.response.error_type);
	assert_string_equal(asked->lookup.response.error_type, type);
}

/* --- who waits --- */

static void what_waits_when_a_host_is_idle_goes_at_once_in_one_call(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		ask_for(100 + i, GOOD);
	tick();
	assert_int_equal(world.calls, 1);
	assert_int_equal(world.sent[0]->lookup_count, 20);
	serve_all();
	for (size_t i = 0; i < 20; i++)
		answered(&world.asked[i], true);
}

static void each_lookup_takes_headers_and_no_body(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	ask_for(2, GOOD);
	serve_all();
	for (size_t i = 0; i < 2; i++) {
		struct response *response = &world.asked[i].lookup.response;
		assert_string_equal(headers_get(response->headers, response->header_count, "A"), "b");
		assert_null(response->body);
		assert_int_equal(response->body_size, 0);
		assert_int_equal(world.asked[i].lookup.came, 500); /* its share */
	}
}

static void one_that_comes_while_a_call_is_in_flight_waits_for_company_but_not_long(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	tick();
	ask_for(2, GOOD);
	assert_int_equal(tick(), world.now + DISPATCH_LINGER_MS);
	assert_int_equal(world.calls, 1);
	world.now += DISPATCH_LINGER_MS - 1;
	ask_for(3, GOOD);
	tick();
	assert_int_equal(world.calls, 1);
	world.now++;
	tick();
	assert_int_equal(world.calls, 2);
	assert_int_equal(world.sent[1]->lookup_count, 2);
	serve_all();
}

static void the_end_of_a_call_lets_those_that_gathered_go(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	tick();
	ask_for(2, GOOD);
	ask_for(3, GOOD);
	tick();
	serve(world.sent[0]);
	tick();
	assert_int_equal(world.calls, 2);
	assert_int_equal(world.sent[0]->lookup_count, 2);
	serve_all();
}

static void a_full_call_does_not_wait(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	tick();
	for (unsigned i = 0; i < 60; i++)
		ask_for(100 + i, GOOD);
	tick();
	assert_int_equal(world.calls, 2);
	assert_int_equal(world.sent[1]->lookup_count, 50);
	serve_all();
}

static void bytes_fill_a_call_too(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	tick();
	for (unsigned i = 0; i < 4; i++)
		ask_bytes(0, 100 + i, GOOD, 2 << 20);
	tick();
	assert_int_equal(world.sent[1]->lookup_count, 3); /* 6 MiB; 6.4 fit */
	serve_all();
}

static void one_too_large_for_company_goes_alone(void **state)
{
	(void)state;
	struct asked *large = ask_bytes(0, 1, GOOD, 100 << 20);
	ask_for(2, GOOD);
	tick();
	assert_int_equal(world.sent[0]->lookup_count, 1);
	serve_all();
	answered(large, true);
}

static void at_the_limit_what_waits_fills_the_next_call(void **state)
{
	(void)state;
	for (size_t host = 0; host < 3; host++)
		ask_bytes(host, 1, GOOD, 100);
	world.dispatch->upstreams[0].limiter.concurrency = 1;
	tick();
	for (unsigned i = 0; i < 30; i++)
		ask_bytes(1, 100 + i, GOOD, 100);
	world.now += 1000;
	tick();
	assert_int_equal(world.calls, 1);
	serve(world.sent[0]);
	tick();
	assert_int_equal(world.sent[0]->lookup_count, 31);
	serve_all();
}

static void lookups_that_differ_share_no_call(void **state)
{
	(void)state;
	struct asked *asked[7];
	for (unsigned i = 0; i < 7; i++) {
		asked[i] = ask_for(i + 1, GOOD);
		dispatch_cancel(world.dispatch, &asked[i]->lookup);
	}
	static int other_state;
	struct header two[] = {{(char *)"X-Request-Id", (char *)"id-6"}, {(char *)"X-Role", (char *)"b"}};
	asked[1]->lookup.request.path = (char *)"/other";
	asked[2]->lookup.request.timeout_ms = 5;
	asked[3]->lookup.script = &other_state;
	asked[4]->lookup.request.accept[0] = 404;
	asked[4]->lookup.request.accept_count = 1;
	asked[5]->lookup.request.headers = two;
	asked[5]->lookup.request.header_count = 2;
	asked[6]->lookup.request.merge_max = 1;
	world.upstream.concurrency = 100;
	world.dispatch->upstreams[0].limiter.concurrency = 100;
	for (unsigned i = 0; i < 7; i++) {
		asked[i]->lookup.request.query = (char *)"action=query";
		if (i != 1)
			dispatch_submit(world.dispatch, &asked[i]->lookup, world.now);
	}
	tick();
	world.now += DISPATCH_LINGER_MS;
	tick();
	assert_int_equal(world.calls, 6);
	serve_all();
}

static void two_lookups_of_one_value_are_asked_one_after_the_other(void **state)
{
	(void)state;
	struct asked *one = ask_for(5, GOOD), *two = ask_for(5, GOOD), *other = ask_for(6, GOOD);
	tick();
	assert_int_equal(world.sent[0]->lookup_count, 2);
	assert_ptr_equal(one->lookup.call, other->lookup.call);
	serve_all();
	assert_int_equal(world.calls, 2);
	answered(one, true);
	answered(two, true);
}

static void what_has_no_room_stays_behind(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		ask_for(100 + i, GOOD);
	world.rooms = 4;
	tick();
	assert_int_equal(world.sent[0]->lookup_count, 4);
	world.rooms = SIZE_MAX;
	serve_all();
}

static void the_rate_counts_lookups(void **state)
{
	(void)state;
	struct limiter *limiter = &world.dispatch->upstreams[0].limiter;
	limiter_init(limiter, 4, 10, world.now);
	for (unsigned i = 0; i < 30; i++)
		ask_for(100 + i, GOOD);
	tick();
	assert_int_equal(world.calls, 1); /* a full bucket, and a debt */
	serve(world.sent[0]);
	struct asked *next = ask_for(200, GOOD);
	assert_true(tick() >= world.now + 2000);
	assert_int_equal(next->lookup.state, LOOKUP_WAITING);
	serve_all();
}

/* --- what is asked again --- */

static void what_a_truncated_answer_leaves_out_is_asked_again_and_the_rest_is_not(void **state)
{
	(void)state;
	world.capacity = 1 << 20;
	for (unsigned i = 0; i < 10; i++)
		ask_bytes(0, 100 + i, GOOD, 300 * KIB);
	serve_all();
	for (size_t i = 0; i < 10; i++) {
		answered(&world.asked[i], true);
		assert_int_equal(world.asked[i].lookup.attempts, 0);
	}
	/* 3 of 10, and from then on as many as fit. */
	assert_int_equal(world.calls, 4);
	assert_int_equal(world.asked[0].lookup.calls, 1);
}

static void a_host_is_asked_for_less_after_a_truncated_answer_and_for_more_in_time(void **state)
{
	(void)state;
	world.capacity = 1 << 20;
	for (unsigned i = 0; i < 10; i++)
		ask_bytes(0, 100 + i, GOOD, 300 * KIB);
	serve_all();
	const struct upstream *upstream = &world.dispatch->upstreams[0];
	const struct host *host = host_of(list_first(&upstream->hosts.all));
	size_t learned = bytes_of_call(upstream, host);
	assert_in_range(learned, 900 * KIB, 1200 * KIB);
	world.capacity = 0;
	for (unsigned n = 0; n < 30; n++) {
		ask_for(1000 + 2 * n, GOOD);
		ask_for(1001 + 2 * n, GOOD);
		serve_all();
	}
	assert_int_equal(bytes_of_call(upstream, host), DISPATCH_BATCH_BYTES);
}

static void without_progress_each_is_asked_alone_and_then_has_no_part(void **state)
{
	(void)state;
	ask_for(1, UNKNOWN);
	ask_for(2, UNKNOWN);
	ask_for(3, HUGE);
	serve_all();
	assert_int_equal(world.calls, 4);
	for (size_t i = 0; i < 3; i++)
		answered(&world.asked[i], false);
}

static void nobody_joins_what_an_answer_left_out(void **state)
{
	(void)state;
	struct asked *unknown = ask_for(1, UNKNOWN);
	ask_for(2, GOOD);
	tick();
	ask_for(3, GOOD);
	serve(world.sent[0]);
	tick();
	assert_int_equal(unknown->lookup.call->lookup_count, 1);
	serve_all();
	answered(unknown, false);
	assert_int_equal(unknown->lookup.response.attempts, 2);
}

static void a_refusal_of_all_is_halved_down_to_the_culprit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++)
		ask_for(100 + i, i == 37 ? DENIED : GOOD);
	serve_all();
	for (size_t i = 0; i < 50; i++)
		if (i == 37)
			refused(&world.asked[i], "AccessDenied");
		else
			answered(&world.asked[i], true);
	assert_in_range(world.calls, 8, 1 + 2 * 6);
	assert_int_equal(world.asked[0].lookup.attempts, 0);
}

static void a_refused_status_is_halved_too(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	ask_for(2, GOOD);
	tick();
	answer(world.sent[0], 404);
	tick();
	assert_int_equal(world.sent_count, 2);
	answer(world.sent[0], 404);
	serve_all();
	refused(&world.asked[0], "HttpStatus");
	answered(&world.asked[1], true);
}

static void an_accepted_status_that_is_no_success_is_an_answer_for_one_only(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct asked *asked = ask_for(i + 1, GOOD);
		dispatch_cancel(world.dispatch, &asked->lookup);
		asked->lookup.request.accept[0] = 404;
		asked->lookup.request.accept_count = 1;
		dispatch_submit(world.dispatch, &asked->lookup, world.now);
	}
	tick();
	assert_int_equal(world.sent[0]->lookup_count, 2);
	answer(world.sent[0], 404);
	tick();
	answer(world.sent[0], 404);
	serve_all();
	assert_int_equal(world.asked[0].lookup.response.status, 404);
	assert_null(world.asked[0].lookup.response.error_type);
	answered(&world.asked[1], true);
}

static void one_that_breaks_the_server_costs_its_neighbours_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++)
		ask_for(100 + i, i == 11 ? BROKEN : GOOD);
	serve_all();
	for (size_t i = 0; i < 50; i++) {
		if (i == 11)
			refused(&world.asked[i], "HttpStatus");
		else
			answered(&world.asked[i], true);
		assert_true(world.asked[i].lookup.attempts <= 4);
	}
	assert_int_equal(world.asked[11].lookup.calls, 4);
}

static void with_one_attempt_nobody_is_refused_for_a_neighbour(void **state)
{
	(void)state;
	close_world();
	world.count = 0;
	open_world(4, 1);
	ask_for(1, GOOD);
	ask_for(2, BROKEN);
	serve_all();
	answered(&world.asked[0], true);
	refused(&world.asked[1], "HttpStatus");
}

static void a_timeout_halves_and_both_halves_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ask_for(100 + i, GOOD);
	tick();
	fail_call(world.sent[0], HTTP_TIMEOUT);
	int64_t due = tick();
	assert_int_equal(world.sent_count, 0);
	assert_int_equal(due, world.now + 250);
	world.now = due;
	tick();
	assert_int_equal(world.sent_count, 2);
	assert_int_equal(world.sent[0]->lookup_count, 2);
	serve_all();
}

static void a_shared_call_that_is_cut_is_asked_again_in_halves(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ask_for(100 + i, GOOD);
	tick();
	fail_call(world.sent[0], HTTP_NO_ROOM);
	tick();
	assert_int_equal(world.sent_count, 2);
	assert_int_equal(world.asked[0].lookup.attempts, 0);
	fail_call(world.sent[0], HTTP_NO_ROOM);
	tick();
	assert_int_equal(world.sent_count, 3);
	assert_true(world.asked[0].lookup.alone);
	serve_all();
}

static void a_stale_connection_splits_nothing(void **state)
{
	(void)state;
	ask_for(1, GOOD);
	ask_for(2, GOOD);
	tick();
	fail_call(world.sent[0], HTTP_STALE);
	tick();
	assert_int_equal(world.sent_count, 1);
	assert_true(world.sent[0]->transfer.fresh);
	assert_int_equal(world.sent[0]->lookup_count, 2);
	serve_all();
}

static void a_cancelled_lookup_leaves_the_others_their_call(void **state)
{
	(void)state;
	struct asked *one = ask_for(1, GOOD), *two = ask_for(2, GOOD), *three = ask_for(3, GOOD);
	tick();
	dispatch_cancel(world.dispatch, &one->lookup);
	assert_int_equal(world.sent_count, 1);
	serve_all();
	assert_int_equal(one->done, 0);
	answered(two, true);
	answered(three, true);
}

static void a_throttled_host_keeps_its_lookups_together(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		ask_for(100 + i, GOOD);
	tick();
	answer(world.sent[0], 429);
	int64_t before = world.now;
	for (int64_t due; (due = tick()) >= 0 && world.sent_count == 0;)
		world.now = due;
	assert_true(world.now >= before + 1000);
	assert_int_equal(world.sent_count, 1);
	assert_int_equal(world.sent[0]->lookup_count, 10);
	assert_int_equal(world.asked[0].lookup.attempts, 0);
	serve_all();
}

static void one_culprit_does_not_open_the_breaker(void **state)
{
	(void)state;
	world.dispatch->config.no_breaker = false;
	for (unsigned i = 0; i < 50; i++)
		ask_for(100 + i, i == 0 ? BROKEN : GOOD);
	serve_all();
	assert_false(dispatch_stands(world.dispatch));
	refused(&world.asked[0], "HttpStatus");
}

static void calls_that_fail_side_by_side_open_the_breaker(void **state)
{
	(void)state;
	world.dispatch->config.no_breaker = false;
	for (unsigned i = 0; i < 50; i++)
		ask_for(100 + i, GOOD);
	tick();
	answer(world.sent[0], 503);
	assert_false(dispatch_stands(world.dispatch));
	world.now = tick();
	tick();
	assert_int_equal(world.sent_count, 2);
	answer(world.sent[0], 503);
	assert_false(dispatch_stands(world.dispatch));
	answer(world.sent[0], 503);
	assert_true(dispatch_stands(world.dispatch));
	assert_int_equal(world.asked[0].lookup.attempts, 1); /* the one on the way there is given back */
	serve_all();
	for (size_t i = 0; i < 50; i++)
		answered(&world.asked[i], true);
}

static void a_host_that_is_not_there_splits_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		ask_for(100 + i, GOOD);
	tick();
	fail_call(world.sent[0], HTTP_CONNECT);
	world.now = tick();
	tick();
	assert_int_equal(world.sent_count, 1);
	assert_int_equal(world.sent[0]->lookup_count, 10);
	assert_int_equal(world.asked[0].lookup.attempts, 1);
	serve_all();
}

static void calls_lookups_and_splits_are_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ask_for(100 + i, i == 0 ? DENIED : GOOD);
	serve_all();
	assert_float_equal(*metrics_value(world.metrics, METRIC_HTTP_LOOKUPS, "wiki"), 4 + 4 + 2, 0);
	assert_float_equal(*metrics_value(world.metrics, METRIC_HTTP_REQUESTS, "wiki", "200", "first"), 1, 0);
	assert_float_equal(*metrics_value(world.metrics, METRIC_HTTP_REQUESTS, "wiki", "200", "retry"), 4, 0);
	assert_float_equal(*metrics_value(world.metrics, METRIC_HTTP_SPLITS, "wiki", "fail"), 2, 0);
}

static void without_the_setting_nothing_is_shared(void **state)
{
	(void)state;
	world.upstream.merge = false;
	for (unsigned i = 0; i < 4; i++)
		ask_for(100 + i, GOOD);
	serve_all();
	assert_int_equal(world.calls, 4);
}

/* --- random histories --- */

static bool has_slot_for(const struct lookup *lookup)
{
	const struct upstream *upstream = &world.dispatch->upstreams[0];
	return !limiter_is_full(&upstream->limiter) && !host_is_paused(lookup->host) &&
	       has_slot(upstream, lookup->host);
}

/* After a tick: nobody waits at an idle host, and nobody for longer than the linger, while there is a slot.
 */
static void check_waiting(void)
{
	for (size_t i = 0; i < world.count; i++) {
		struct asked *asked = &world.asked[i];
		bool waits =
		        asked->open && asked->lookup.state == LOOKUP_WAITING && has_slot_for(&asked->lookup);
		if (!waits) {
			asked->ready_since = -1;
			continue;
		}
		assert_false(list_empty(&asked->lookup.host->calls));
		if (asked->ready_since < 0)
			asked->ready_since = world.now;
		assert_true(world.now - asked->ready_since < DISPATCH_LINGER_MS);
	}
}

static void check_end(const struct asked *asked)
{
	if (asked->done == 0)
		return; /* cancelled */
	if (asked->manner == DENIED)
		refused(asked, "AccessDenied");
	else if (asked->manner == BROKEN)
		refused(asked, "HttpStatus");
	else
		answered(asked, asked->manner == GOOD);
	assert_true(asked->lookup.attempts <= world.upstream.retry.attempts);
}

static void submit_some(void)
{
	static const size_t sizes[] = {0, 100, 3000, 70000, 1 << 20, 3 << 20};
	for (unsigned n = dice(40); n > 0 && world.count < MOST; n--) {
		enum manner manner = dice(12) ? GOOD : (enum manner)dice(MANNERS);
		/* Each has a manner of its own, whoever else asks for the value. */
		unsigned value = manner == GOOD ? 1 + dice(60) : (unsigned)(1000 + world.count);
		ask_bytes(dice(HOSTS), value, manner, sizes[dice(6)]);
	}
}

static void happen(void)
{
	struct call *call = world.sent_count ? world.sent[dice((unsigned)world.sent_count)] : NULL;
	switch (dice(12)) {
	case 0: submit_some(); break;
	case 1: world.now += dice(30); break;
	case 2: world.now += dice(300); break;
	case 3:
		if (world.count && !dice(4)) {
			struct asked *asked = &world.asked[dice((unsigned)world.count)];
			asked->open = asked->open && asked->lookup.state == LOOKUP_DONE;
			dispatch_cancel(world.dispatch, &asked->lookup);
		}
		break;
	case 4:
		if (call && !dice(3))
			fail_call(call, call->transfer.fresh || dice(2) ? HTTP_NO_ROOM : HTTP_STALE);
		break;
	case 5:
		if (call && !dice(4))
			answer(call, 429);
		break;
	default:
		if (call)
			serve(call);
	}
}

static void history(unsigned seed)
{
	world.seed = seed;
	world.luck = dice(100) / 100.0;
	world.capacity = dice(2) ? 4 << 20 : 8 << 20;
	for (int i = 0; i < 1500; i++) {
		happen();
		tick();
		check_waiting();
	}
	serve_all();
	for (size_t i = 0; i < world.count; i++) {
		if (world.asked[i].open)
			fail_msg("seed %u: lookup %zu (value %s) never ended", seed, i, world.asked[i].value);
		assert_true(world.asked[i].done <= 1);
		check_end(&world.asked[i]);
	}
}

static void every_history_answers_each_lookup_once_within_the_bounds(void **state)
{
	(void)state;
	unsigned seed = unit_seed();
	const char *rounds = getenv("MILLRACE_ROUNDS");
	unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : getenv("MILLRACE_SEED") ? 1 : ROUNDS;
	size_t largest = 0;
	for (unsigned i = 0; i < count; i++) {
		history(seed + i);
		largest = world.largest > largest ? world.largest : largest;
		close_world();
		set_up(NULL);
	}
	if (count > 1)
		assert_true(largest > 20);
}

#define promise(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        promise(what_waits_when_a_host_is_idle_goes_at_once_in_one_call),
	        promise(each_lookup_takes_headers_and_no_body),
	        promise(one_that_comes_while_a_call_is_in_flight_waits_for_company_but_not_long),
	        promise(the_end_of_a_call_lets_those_that_gathered_go),
	        promise(a_full_call_does_not_wait),
	        promise(bytes_fill_a_call_too),
	        promise(one_too_large_for_company_goes_alone),
	        promise(at_the_limit_what_waits_fills_the_next_call),
	        promise(lookups_that_differ_share_no_call),
	        promise(two_lookups_of_one_value_are_asked_one_after_the_other),
	        promise(what_has_no_room_stays_behind),
	        promise(the_rate_counts_lookups),
	        promise(what_a_truncated_answer_leaves_out_is_asked_again_and_the_rest_is_not),
	        promise(a_host_is_asked_for_less_after_a_truncated_answer_and_for_more_in_time),
	        promise(without_progress_each_is_asked_alone_and_then_has_no_part),
	        promise(nobody_joins_what_an_answer_left_out),
	        promise(a_refusal_of_all_is_halved_down_to_the_culprit),
	        promise(a_refused_status_is_halved_too),
	        promise(an_accepted_status_that_is_no_success_is_an_answer_for_one_only),
	        promise(one_that_breaks_the_server_costs_its_neighbours_nothing),
	        promise(with_one_attempt_nobody_is_refused_for_a_neighbour),
	        promise(a_timeout_halves_and_both_halves_wait),
	        promise(a_shared_call_that_is_cut_is_asked_again_in_halves),
	        promise(a_stale_connection_splits_nothing),
	        promise(a_cancelled_lookup_leaves_the_others_their_call),
	        promise(a_throttled_host_keeps_its_lookups_together),
	        promise(one_culprit_does_not_open_the_breaker),
	        promise(calls_that_fail_side_by_side_open_the_breaker),
	        promise(a_host_that_is_not_there_splits_nothing),
	        promise(calls_lookups_and_splits_are_counted),
	        promise(without_the_setting_nothing_is_shared),
	        promise(every_history_answers_each_lookup_once_within_the_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
