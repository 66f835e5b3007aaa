/* A script is exchanged while records are on their way, and a broken one changes nothing. */
#include "clock.h"
#include "config.h"
#include "log.h"
#include "metrics.h"
#include "reload.h"
#include "script_fixture.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <malloc.h>

enum { PATIENCE_MS = 20000 };

/* ---- a pipeline that holds states and nothing else ---- */

static struct script *states[PIPELINE_SCRIPTS];
static size_t state_count, most_states;
static bool clinging; /* older states do not end */

static void drop_state(size_t i)
{
	script_release(states[i]);
	memmove(states + i, states + i + 1, (--state_count - i) * sizeof *states);
}

size_t pipeline_scripts(struct pipeline *pipeline)
{
	(void)pipeline;
	for (size_t i = state_count; !clinging && i-- > 1;)
		if (script_usage(states[i]).events == 0)
			drop_state(i);
	return state_count;
}

bool pipeline_use_script(struct pipeline *pipeline, struct script *script)
{
	if (pipeline_scripts(pipeline) == PIPELINE_SCRIPTS)
		return false;
	script_hold(script);
	memmove(states + 1, states, state_count * sizeof *states);
	states[0] = script;
	most_states = ++state_count > most_states ? state_count : most_states;
	return true;
}

/* ---- the folder ---- */

static char home[64];

/* At once: the watch's own thread must not find it half written and count one change twice. */
static void put(const char *name, const char *text)
{
	char draft[200];
	snprintf(draft, sizeof draft, "%s.draft", name);
	FILE *file = fopen(draft, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(rename(draft, name), 0);
}

static const char before_script[] = "name: job\n"
                                    "source: {topics: [in], kafka: {bootstrap.servers: \"localhost:1\"}}\n"
                                    "http: {user_agent: t, endpoint: \"http://localhost/\"}\n"
                                    "sink: {topic: out, kafka: {bootstrap.servers: \"localhost:1\"}}\n"
                                    "limits: {memory: 700MiB}\n";

static void put_config(const char *script, const char *more)
{
	char *text = mem_printf(
	        "%sscript: {path: scripts/job.lua, budget: 100ms, %s}\n%s", before_script, script, more);
	put("job.yaml", text);
	mem_free(text);
}

/* A job that marks what it makes with its version, the module's and the params'. */
static void put_script(const char *version)
{
	char *text = mem_printf("local millrace = require 'millrace'\n"
	                        "local part = require 'lib.part'\n"
	                        "return {api = 1, transform = function(event)\n"
	                        "  event.mark = '%s-' .. part .. '-' .. tostring(millrace.params.n)\n"
	                        "  return event\n"
	                        "end}\n",
	        version);
	put("scripts/job.lua", text);
	mem_free(text);
}

struct fixture {
	struct event_base *base;
	struct metrics *metrics;
	struct config *config;
	struct script_world world;
	struct reload *reload;
	struct buf told;
};

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof *f);
	evthread_use_pthreads();
	log_init(LOG_TEXT, LOG_ERROR + 1, "test");
	snprintf(home, sizeof home, "/tmp/millrace-reload-XXXXXX");
	if (mkdtemp(home) == NULL || chdir(home) != 0 || mkdir("scripts", 0755) || mkdir("scripts/lib", 0755))
		return -1;
	put_script("a");
	put("scripts/lib/part.lua", "return 'p'\n");
	put("params.yaml", "n: 1\n");
	f->base = event_base_new();
	f->metrics = metrics_open();
	buf_init(&f->told, 0);
	*state = f;
	return 0;
}

static void start(struct fixture *f, const char *script)
{
	struct config_report report = {0};
	struct err err = {""};
	put_config(script, "");
	f->config = config_load("job.yaml", &report);
	if (f->config == NULL)
		fail_msg("%s", report.text.data);
	config_report_free(&report);
	config_world(f->config, &f->world);
	f->reload = reload_open(f->base, f->config, &f->world, f->metrics, &err);
	if (f->reload == NULL)
		fail_msg("%s", err.text);
	reload_attach(f->reload, NULL);
	assert_int_equal(state_count, 1);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	while (state_count > 0)
		drop_state(0);
	clinging = false;
	most_states = 0;
	reload_close(f->reload);
	config_free(f->config);
	metrics_close(f->metrics);
	event_base_free(f->base);
	mem_free((void *)(size_t)f->world.sinks);
	buf_free(&f->told);
	mem_free(f);
	char *command = mem_printf("rm -rf %s", home);
	int result = chdir("/") == 0 ? system(command) : -1;
	mem_free(command);
	return result;
}

/* ---- asking ---- */

static enum reload_outcome now(struct fixture *f)
{
	buf_clear(&f->told);
	return reload_now(f->reload, "api", &f->told);
}

static void fails_with(struct fixture *f, const char *words)
{
	char *before = mem_strdup(reload_sha256(f->reload));
	struct script *present = states[0];
	enum reload_outcome outcome = now(f);
	if (outcome != RELOAD_FAILED || strstr(f->told.data, words) == NULL)
		fail_msg("%s: %s; expected ...%s...", reload_outcome_name(outcome), f->told.data, words);
	assert_string_equal(reload_sha256(f->reload), before);
	assert_ptr_equal(states[0], present);
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) == 0);
	mem_free(before);
}

/* The present state marks an event like this. */
static void marks(const char *mark)
{
	struct script_result result = fixture_transform(states[0], NULL);
	expect_output(&result, mark);
}

static double outcomes(struct fixture *f, const char *outcome)
{
	return *metrics_value(f->metrics, METRIC_SCRIPT_RELOADS, outcome);
}

static char *printed(struct fixture *f)
{
	struct buf out;
	buf_init(&out, 0);
	metrics_print(f->metrics, &out);
	return buf_steal(&out, NULL);
}

static size_t count_of(const char *text, const char *words)
{
	size_t count = 0;
	while ((text = strstr(text, words)) != NULL) {
		text += strlen(words);
		count++;
	}
	return count;
}

static void turn_for(struct fixture *f, int ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_base_loopexit(f->base, &after);
	event_base_dispatch(f->base);
}

static void await_outcomes(struct fixture *f, const char *outcome, double count)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	while (outcomes(f, outcome) < count && clock_now() < deadline)
		turn_for(f, 20);
	assert_true(outcomes(f, outcome) == count);
}

/* ---- the stories ---- */

static void a_changed_script_takes_over_and_the_same_does_not(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: signal");
	marks("a-p-1");
	assert_int_equal(now(f), RELOAD_UNCHANGED);
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("b-p-1");
	assert_non_null(strstr(f->told.data, "scripts/job.lua "));
	put("scripts/lib/part.lua", "return 'q'\n");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("b-q-1");
	assert_int_equal(now(f), RELOAD_UNCHANGED);
	assert_true(outcomes(f, "swapped") == 2 && outcomes(f, "unchanged") == 2);
	assert_int_equal(pipeline_scripts(NULL), 1);
}

static void changed_params_take_over_whatever_the_rest_of_the_file_says(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: signal");
	char *sha = mem_strdup(reload_sha256(f->reload));
	put_config("params: {n: 2}", "nonsense: 1\n");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("a-p-2");
	assert_string_equal(reload_sha256(f->reload), sha);
	put_config("params: {n: 2}, params_file: params.yaml", "");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("a-p-1");
	put("params.yaml", "n: 3\n");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("a-p-3");
	assert_int_equal(now(f), RELOAD_UNCHANGED);
	mem_free(sha);
}

static void whatever_is_broken_is_told_with_its_line_and_the_old_script_goes_on(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, params_file: params.yaml, reload: signal");
	put("scripts/job.lua", "return {api = 1,\n  transform = function(event) retrun event end}\n");
	fails_with(f, "scripts/job.lua:2: ");
	put("scripts/job.lua",
	        "local m = require 'millrace'\nlocal p = require 'lib.nowhere'\nreturn {api = 1}\n");
	fails_with(f, "lib/nowhere.lua: No such file");
	put("scripts/job.lua", "return {api = 1, transform = function() end,\n"
	                       "selftest = function()\n  error 'two is not one'\nend}\n");
	fails_with(f, "scripts/job.lua:3: two is not one");
	put("scripts/job.lua", "return {api = 1, transform = function() end,\n"
	                       "selftest = function() while true do end end}\n");
	fails_with(f, "scripts/job.lua");
	put("scripts/job.lua", "");
	fails_with(f, "scripts/job.lua");
	unlink("scripts/job.lua");
	fails_with(f, "job.yaml:6:");
	put_script("b");
	put("params.yaml", "n: 1\nm: [\n");
	fails_with(f, "params.yaml:");
	put("params.yaml", "n: 1\nm: .inf\n");
	fails_with(f, "params.yaml:2:4: .inf has no form in JSON");
	put("job.yaml", "script:\n  path: scripts/job.lua\n  parms: {}\n");
	fails_with(f, "job.yaml:3:3: unknown key 'script.parms'");
	unlink("job.yaml");
	fails_with(f, "job.yaml: there is no such file");
	assert_true(outcomes(f, "failed") == 10);
	marks("a-p-1");
	assert_int_equal(most_states, 1);
	put_config("params: {n: 1}", "");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("b-p-1");
}

static void metrics_and_status_name_the_script_that_runs(void **state)
{
	struct fixture *f = *state;
	struct buf status;
	buf_init(&status, 0);
	start(f, "params: {n: 1}, reload: signal");
	reload_status(f->reload, &status);
	assert_non_null(strstr(status.data, "\"last_outcome\":null,\"last_error\":null}"));
	put_script("b");
	now(f);
	put("scripts/job.lua", "\"broken\n");
	now(f);
	char *text = printed(f), *info = mem_printf("sha256=\"%.12s\"} 1\n", reload_sha256(f->reload));
	assert_int_equal(count_of(text, "\nmillrace_script_info{"), 1);
	assert_non_null(strstr(text, info));
	assert_non_null(strstr(text, "\nmillrace_script_last_reload_successful 0\n"));
	buf_clear(&status);
	reload_status(f->reload, &status);
	assert_non_null(strstr(status.data, "\"states\":1,"));
	assert_non_null(
	        strstr(status.data, "\"last_outcome\":\"failed\",\"last_error\":\"scripts/job.lua:1: "));
	mem_free(text);
	mem_free(info);
	put_script("b");
	assert_int_equal(now(f), RELOAD_UNCHANGED);
	text = printed(f);
	assert_non_null(strstr(text, "\nmillrace_script_last_reload_successful 1\n"));
	mem_free(text);
	buf_free(&status);
}

static void records_finish_on_the_state_they_began_on(void **state)
{
	struct fixture *f = *state;
	struct script_event first, second;
	struct script_result result;
	start(f, "params: {n: 1}, reload: signal");
	fixture_decode(states[0], &first, edit);
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	assert_int_equal(pipeline_scripts(NULL), 2);
	fixture_decode(states[0], &second, edit);
	script_transform(&second, NULL, 0, &result);
	expect_output(&result, "b-p-1");
	script_transform(&first, NULL, 0, &result);
	expect_output(&result, "a-p-1");
	script_forget(&second);
	assert_int_equal(pipeline_scripts(NULL), 2);
	script_forget(&first);
	assert_int_equal(pipeline_scripts(NULL), 1);
}

static void a_fifth_state_waits_until_one_has_ended(void **state)
{
	struct fixture *f = *state;
	static const char *const versions[] = {"b", "c", "d"};
	start(f, "params: {n: 1}, reload: signal");
	clinging = true;
	for (size_t i = 0; i < 3; i++) {
		put_script(versions[i]);
		assert_int_equal(now(f), RELOAD_SWAPPED);
	}
	put("scripts/job.lua", "broken, but not even loaded");
	assert_int_equal(now(f), RELOAD_BUSY);
	put_script("e");
	assert_non_null(strstr(f->told.data, "3 older states still finish their records"));
	turn_for(f, 500);
	marks("d-p-1");
	assert_true(outcomes(f, "busy") == 1);
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) == 1);
	clinging = false;
	await_outcomes(f, "swapped", 4);
	marks("e-p-1");
	assert_int_equal(most_states, PIPELINE_SCRIPTS);
	turn_for(f, 300);
	assert_true(outcomes(f, "busy") + outcomes(f, "unchanged") + outcomes(f, "failed") == 1);
}

static void a_change_on_disk_is_taken_over_once(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, params_file: params.yaml, reload: watch");
	put_script("b");
	await_outcomes(f, "swapped", 1);
	put("scripts/lib/part.lua", "return 'q'\n");
	await_outcomes(f, "swapped", 2);
	put("params.yaml", "n: 2\n");
	await_outcomes(f, "swapped", 3);
	marks("b-q-2");
	put("scripts/notes.txt", "nothing to load\n");
	turn_for(f, 600);
	assert_true(outcomes(f, "unchanged") == 0 && outcomes(f, "failed") == 0);
}

static void what_was_loaded_on_demand_is_not_loaded_again_by_the_watch(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: watch");
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	put("scripts/job.lua", "broken");
	assert_int_equal(now(f), RELOAD_FAILED);
	turn_for(f, 800);
	assert_true(
	        outcomes(f, "swapped") == 1 && outcomes(f, "failed") == 1 && outcomes(f, "unchanged") == 0);
}

static void a_broken_script_is_tried_once_and_again_when_its_module_comes(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: watch");
	put("scripts/job.lua",
	        "local more = require 'lib.more'\n"
	        "return {api = 1, transform = function(event) event.mark = more return event end}\n");
	await_outcomes(f, "failed", 1);
	turn_for(f, 600);
	assert_true(outcomes(f, "failed") == 1);
	marks("a-p-1");
	put("scripts/lib/more.lua", "return 'now it is here'\n");
	await_outcomes(f, "swapped", 1);
	marks("now it is here");
}

static void a_file_of_params_elsewhere_is_watched_from_when_it_is_named(void **state)
{
	struct fixture *f = *state;
	mkdir("elsewhere", 0755);
	put("elsewhere/p.yaml", "n: 7\n");
	start(f, "params: {n: 1}, reload: watch");
	put_config("params: {n: 1}, params_file: elsewhere/p.yaml", "");
	await_outcomes(f, "swapped", 1);
	marks("a-p-7");
	turn_for(f, 300);
	put("elsewhere/p.yaml", "n: 8\n");
	await_outcomes(f, "swapped", 2);
	marks("a-p-8");
}

static void two_hundred_reloads_leave_no_memory_behind(void **state)
{
	struct fixture *f = *state;
	size_t after_20 = 0;
	start(f, "params: {n: 1}, reload: watch");
	for (int i = 1; i <= 200; i++) {
		char version[32];
		snprintf(version, sizeof version, "v%d", i);
		put_script(version);
		if (i % 5 == 0)
			put("scripts/job.lua", i % 2 ? "broken" : "return {api = 1, selftest = error}");
		assert_int_equal(now(f), i % 5 ? RELOAD_SWAPPED : RELOAD_FAILED);
		assert_int_equal(pipeline_scripts(NULL), 1);
		if (i % 20 == 0)
			turn_for(f, 20);
		if (i == 20)
			after_20 = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks <= after_20 * 11 / 10);
	char *text = printed(f);
	assert_int_equal(count_of(text, "\nmillrace_script_info{"), 1);
	mem_free(text);
}

static int run_all(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        STORY(a_changed_script_takes_over_and_the_same_does_not),
	        STORY(changed_params_take_over_whatever_the_rest_of_the_file_says),
	        STORY(whatever_is_broken_is_told_with_its_line_and_the_old_script_goes_on),
	        STORY(metrics_and_status_name_the_script_that_runs),
	        STORY(records_finish_on_the_state_they_began_on),
	        STORY(a_fifth_state_waits_until_one_has_ended),
	        STORY(a_change_on_disk_is_taken_over_once),
	        STORY(what_was_loaded_on_demand_is_not_loaded_again_by_the_watch),
	        STORY(a_broken_script_is_tried_once_and_again_when_its_module_comes),
	        STORY(a_file_of_params_elsewhere_is_watched_from_when_it_is_named),
	        STORY(two_hundred_reloads_leave_no_memory_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run_all);
}
