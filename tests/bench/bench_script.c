/* What the limits of hooks cost: the shipped script's walk of one record, as the engine ships it, without the
 * budget of CPU time, and with the JIT compiler on. Runs in the repository's root.
 *
 * The watchdog is linked around (-Wl,--wrap): the engine itself has no way to go without it. */
#include "mem.h"
#include "page_text.h"
#include "row.h"
#include "sample.h"
#include "script_private.h"
#include "watchdog.h"

#include <luajit.h>

enum { RECORDS = 2000 /* of a round */ };

static bool unwatched;

void __real_watchdog_begin(int64_t budget_ns, void (*interrupt)(void *context), void *context);
bool __real_watchdog_end(int64_t *cpu_ns);
void __wrap_watchdog_begin(int64_t budget_ns, void (*interrupt)(void *context), void *context);
bool __wrap_watchdog_end(int64_t *cpu_ns);

void __wrap_watchdog_begin(int64_t budget_ns, void (*interrupt)(void *context), void *context)
{
	if (!unwatched)
		__real_watchdog_begin(budget_ns, interrupt, context);
}

bool __wrap_watchdog_end(int64_t *cpu_ns)
{
	if (!unwatched)
		return __real_watchdog_end(cpu_ns);
	if (cpu_ns)
		*cpu_ns = 0;
	return false;
}

static void require(bool held, const char *what, const struct script_result *result)
{
	if (held)
		return;
	fprintf(stderr, "bench_script: %s: %s\n", what,
	        result->message ? result->message : "another verdict");
	exit(1);
}

/* Decoded, asked, answered, made, forgotten: all that a record does in Lua. */
static void walk(struct script *script, const struct script_input *input, const struct response *response)
{
	struct script_event event = {0};
	struct script_result asked = {0}, split = {0}, made = {0};
	int part;
	require(script_decode(&event, script, input, &asked), "decode", &asked);
	script_request(&event, 1, &asked);
	require(asked.verdict == VERDICT_ASK && asked.request_count == 1, "request", &asked);
	const struct request *request = &asked.requests[0];
	const char *value = request->merge_value;
	enum script_answer answer = script_answer(script, request, response, &value, 1, &part, &split);
	require(answer == SCRIPT_ANSWER_OK, "split", &split);
	struct script_answer_part parts = {.response = response, .request = request, .part = part};
	script_transform(&event, &parts, 1, &made);
	require(made.verdict == VERDICT_OUTPUT && made.output_count == 1, "transform", &made);
	script_result_free(&made);
	script_result_free(&split);
	script_result_free(&asked);
	script_forget(&event);
}

/* Microseconds a record. */
static double measure(
        struct script *script, const struct script_input *input, const struct response *response)
{
	lua_gc(script->L, LUA_GCCOLLECT, 0);
	double start = cpu_ns();
	for (int i = 0; i < RECORDS; i++) {
		walk(script, input, response);
		if (i % 10 == 9)
			script_collect(script);
	}
	return (cpu_ns() - start) / RECORDS / 1000;
}

static struct script *open_script(void)
{
	static const struct key_field key[] = {{"wiki_id", "wiki_id"}, {"page_id", "page.page_id"}};
	static const struct script_sink sink = {
	        .name = "sink", .stream = "mediawiki.page_content_change.v1", .max_bytes = 10 << 20};
	static const struct upstream_config upstream = {
	        .name = "mediawiki", .url = "http://localhost:6500/w/api.php"};
	static const struct script_world world = {.upstreams = &upstream,
	        .upstream_count = 1,
	        .sinks = &sink,
	        .sink_count = 1,
	        .key = key,
	        .key_count = 2,
	        .engine = "millrace/bench"};
	const struct script_config config = {.path = "scripts/page_content_change.lua",
	        .memory = 128 << 20,
	        .budget_ms = 1000,
	        .max_event = 64 << 20,
	        .max_depth = 100};
	struct err err;
	struct script *script = script_open(&config, &world, &err);
	if (script == NULL) {
		fprintf(stderr, "bench_script: %s\n", err.text);
		exit(1);
	}
	return script;
}

static char *make_answer(size_t bytes)
{
	char *text = page_text(bytes);
	char *answer = mem_printf("{\"batchcomplete\":true,\"query\":{\"pages\":[{\"pageid\":4321987,\"ns\":"
	                          "0,\"title\":\"Alpha Centauri\","
	                          "\"revisions\":[{\"revid\":1187654321,\"minor\":false,\"slots\":{\"main\":{"
	                          "\"size\":%zu,\"contentmodel\":"
	                          "\"wikitext\",\"contentformat\":\"text/x-wiki\",\"content\":\"%s\"}}}]}]}}",
	        bytes, text);
	free(text);
	return answer;
}

/* Each state of things has a Lua state of its own: what the JIT compiler made stays. */
static void compare(
        struct script *plain, struct script *compiled, const struct script_input *input, size_t bytes)
{
	double shipped[ROUNDS], free_of_budget[ROUNDS], jit[ROUNDS];
	char name[100], *body = make_answer(bytes);
	const struct response response = {
	        .status = 200, .body = body, .body_size = strlen(body), .attempts = 1};
	for (int i = 0; i < ROUNDS; i++) {
		shipped[i] = measure(plain, input, &response);
		unwatched = true;
		free_of_budget[i] = measure(plain, input, &response);
		unwatched = false;
		jit[i] = measure(compiled, input, &response);
	}
	snprintf(name, sizeof name, "a record, page of %zu kB", bytes / 1000);
	row(name, "us", shipped, "without script.budget", free_of_budget, 1.05);
	row(name, "us", shipped, "with the JIT compiler", jit, 0);
	mem_free(body);
}

int main(void)
{
	struct script *plain = open_script(), *compiled = open_script();
	struct buf event;
	buf_init(&event, 0);
	sample_event(&event, "", 0);
	const struct script_input input = {.topic = "page_change",
	        .timestamp = 1700000000000,
	        .key = {"{}", 2},
	        .value = {event.data, event.size}};
	if (!luaJIT_setmode(compiled->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON)) {
		fputs("bench_script: this LuaJIT has no JIT compiler\n", stderr);
		return 1;
	}
	group("Hooks", "the shipped script: decode, request, split, transform, encode; one thread, CPU time");
	compare(plain, compiled, &input, 1000);
	compare(plain, compiled, &input, 10000);
	script_release(plain);
	script_release(compiled);
	buf_free(&event);
	return 0;
}
