/* What a lookup costs through dispatch and curl, without Kafka and Lua.
 *
 * usage: bench_http URL LOOKUPS CONCURRENCY [2]. One lookup a call, of seven hosts in turn, as bare_http.c
 * asks; 2: over HTTP/2 with prior knowledge. */
#include "clock.h"
#include "dispatch.h"
#include "mem.h"
#include "usage.h"

#include <event2/event.h>
#include <stdlib.h>

enum { HOSTS = 7, AHEAD = 4 }; /* lookups waiting for each one in flight */

struct bench {
	struct dispatch *dispatch;
	struct lookup *lookups;
	size_t wanted, submitted, ended, failed;
};

static double some_random(void)
{
	return rand() / (RAND_MAX + 1.0);
}

static void submit_one(struct bench *bench, struct lookup *lookup)
{
	static char *const names[HOSTS] = {"w0.example.org", "w1.example.org", "w2.example.org",
	        "w3.example.org", "w4.example.org", "w5.example.org", "w6.example.org"};
	static char query[] =
	        "action=query&format=json&formatversion=2&prop=revisions&rvslots=*&rvprop=ids%7Ctimestamp%7C"
	        "size%7Csha1%7Ccontent%7Ccontentmodel%7Cslotsize%7Cslotsha1%7Cflags&revids=1234567";
	size_t n = bench->submitted++;
	*lookup = (struct lookup){.age = n};
	lookup->request = (struct request){.method = "GET", .host = names[n % HOSTS], .query = query};
	dispatch_submit(bench->dispatch, lookup, clock_now());
}

static enum answer take_answer(void *context, struct call *call, struct answer_detail *detail)
{
	(void)context, (void)call, (void)detail;
	return ANSWER_OK;
}

static void take_done(void *context, struct lookup *lookup)
{
	struct bench *bench = context;
	bench->ended++;
	bench->failed += lookup->response.error_type != NULL;
	response_free(&lookup->response);
	if (bench->submitted < bench->wanted)
		submit_one(bench, lookup);
}

static void run_client(struct bench *bench, const struct upstream_config *upstream, size_t open)
{
	struct event_base *base = event_base_new();
	struct http_config http_config = {.user_agent = "millrace-bench/1.0"};
	struct http *http = http_open(base, &http_config, NULL);
	struct dispatch_config config = {.upstreams = upstream, .upstream_count = 1, .random = some_random};
	struct dispatch_hooks hooks = {.context = bench, .answer = take_answer, .done = take_done};
	bench->dispatch = dispatch_open(http, &config, &hooks, NULL);
	bench->lookups = mem_zalloc(open, sizeof *bench->lookups);
	struct usage before = usage_now();
	for (size_t i = 0; i < open && bench->submitted < bench->wanted; i++)
		submit_one(bench, &bench->lookups[i]);
	while (bench->ended < bench->wanted) {
		dispatch_tick(bench->dispatch, clock_now());
		event_base_loop(base, EVLOOP_ONCE);
	}
	usage_print(before, usage_now(), bench->ended);
	fprintf(stderr, "%zu connections, %zu failed\n", http_connections_opened(http), bench->failed);
	dispatch_close(bench->dispatch);
	http_close(http);
	event_base_free(base);
	mem_free(bench->lookups);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: bench_http URL LOOKUPS CONCURRENCY [2]\n", stderr);
		return 2;
	}
	unsigned concurrency = (unsigned)strtoul(argv[3], NULL, 10);
	struct upstream_config upstream = {.name = "bench",
	        .url = argv[1],
	        .timeout_ms = 60000,
	        .connect_timeout_ms = 5000,
	        .concurrency = concurrency,
	        .http2 = argc > 4,
	        .max_body = 58720256,
	        .max_idle_ms = 3500,
	        .retry = {.attempts = 3, .base_ms = 100, .cap_ms = 1000}};
	struct bench bench = {.wanted = strtoul(argv[2], NULL, 10)};
	run_client(&bench, &upstream, (size_t)concurrency * AHEAD);
	return bench.failed != 0;
}
