/* A script for the fuzzers, and the event that it sees, as the engine runs them. */
#ifndef MILLRACE_FUZZ_SCRIPT_H
#define MILLRACE_FUZZ_SCRIPT_H

#include "fuzz.h"
#include "mem.h"
#include "script_private.h"

#include <unistd.h>

enum { FUZZ_MEMORY = 16 << 20 };

static const struct key_field fuzz_key[] = {{"id", "id"}};
static char *fuzz_hosts[] = {"*.example.org", "wiki.test"};
static const struct upstream_config fuzz_upstreams[] = {
        {.name = "first", .url = "http://api.test:6500/w/api.php"},
        {.name = "hosts",
                .url = "https://{host}/w/api.php?format=json",
                .hosts = fuzz_hosts,
                .host_count = 2},
        {.name = "root", .url = "http://127.0.0.1:8000/", .hosts = fuzz_hosts, .host_count = 2},
};
enum { FUZZ_UPSTREAMS = sizeof fuzz_upstreams / sizeof *fuzz_upstreams };
static const struct script_sink fuzz_sinks[] = {
        {.name = "plain", .max_bytes = 4000},
        {.name = "stamped",
                .stream = "s.v1",
                .schema = "/s/1.0.0",
                .key = fuzz_key,
                .key_count = 1,
                .max_bytes = 4000},
};
static const struct script_world fuzz_world = {.upstreams = fuzz_upstreams,
        .upstream_count = FUZZ_UPSTREAMS,
        .sinks = fuzz_sinks,
        .sink_count = 2,
        .key = fuzz_key,
        .key_count = 1,
        .engine = "millrace/fuzz"};

/* From its text, through a file that is gone again. */
static inline struct script *fuzz_script(const char *text)
{
	char folder[] = "/tmp/millrace-fuzz-XXXXXX", path[64];
	struct err err = {""};
	fuzz_require(mkdtemp(folder), "no folder");
	snprintf(path, sizeof path, "%s/fuzz.lua", folder);
	FILE *file = fopen(path, "w");
	fuzz_require(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
	struct script_config config = {
	        .path = path, .memory = FUZZ_MEMORY, .budget_ms = 10000, .max_event = 1 << 20};
	struct script *script = script_open(&config, &fuzz_world, &err);
	unlink(path);
	rmdir(folder);
	fuzz_require(script, "%s", err.text);
	return script;
}

/* A decoded event; hooks may be run on it. */
static inline void fuzz_event(struct script *script, struct script_event *event, struct script_input *input)
{
	static const char text[] =
	        "{\"$schema\":\"/a/b/"
	        "1.0.0\",\"id\":1,\"meta\":{\"id\":\"d86946db-187d-489b-a4d2-9a9effaf5c22\","
	        "\"stream\":\"t\",\"dt\":\"2026-11-22T13:26:29Z\"}}";
	struct script_result failure = {0};
	*input = (struct script_input){
	        .topic = "t", .offset = 7, .timestamp = 1763814388123, .value = {text, sizeof text - 1}};
	fuzz_require(script_decode(event, script, input, &failure), "%s", failure.message);
}

/* Leaves the table that the hooks will see as `event` on the stack. */
static inline lua_State *fuzz_push_event(const struct script_event *event)
{
	lua_State *L = event->script->L;
	lua_rawgeti(L, LUA_REGISTRYINDEX, event->run->ref);
	lua_rawgeti(L, -1, RUN_EVENT);
	lua_remove(L, -2);
	return L;
}

#endif
