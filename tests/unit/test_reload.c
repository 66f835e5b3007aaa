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
#include <signal.h>

enum { PATIENCE_MS = 20000 };

/* ---- a pipeline that holds states and nothing else ---- */

static struct script *states[PIPELINE_SCRIPTS];
static size_t state_count, most_states;
static uint64_t state_number;
static int64_t retuned; /* retry.deadline that it was told last */
static bool clinging;   /* older states do not end */

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
	state_number++;
	most_states = ++state_count > most_states ? state_count : most_states;
	return true;
}

uint64_t pipeline_script_number(const struct pipeline *pipeline)
{
	(void)pipeline;
	return state_number;
}

void pipeline_retune(struct pipeline *pipeline, int64_t retry_deadline_ms)
{
	(void)pipeline;
	retuned = retry_deadline_ms;
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

/* What runs data tests in these stories: `$1` is "test", `$2` the file. */
static void tester(const char *body)
{
	char *text = mem_printf("#!/bin/sh\n%s\n", body);
	put("tester", text);
	mem_free(text);
	assert_int_equal(chmod("tester", 0755), 0);
}

struct fixture {
	struct event_base *base;
	struct metrics *metrics;
	struct config *config;
	struct script_world world;
	struct reload *reload;
	struct buf told;
	enum reload_outcome outcome; /* that was told last */
	size_t answers;
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
	tester("echo no tests are expected; exit 1");
	buf_init(&f->told, 0);
	*state = f;
	return 0;
}

static bool open_reload(struct fixture *f, struct err *err)
{
	struct config_report report = {0};
	f->config = config_load("job.yaml", &report);
	if (f->config == NULL)
		fail_msg("%s", report.text.data);
	config_report_free(&report);
	config_world(f->config, &f->world);
	struct reload_config config = {.config = f->config,
	        .live = f->config,
	        .world = &f->world,
	        .metrics = f->metrics,
	        .keeps = true,
	        .tester = "./tester"};
	f->reload = reload_open(f->base, &config, err);
	if (f->reload)
		reload_attach(f->reload, NULL);
	return f->reload != NULL;
}

static void start_more(struct fixture *f, const char *script, const char *more)
{
	struct err err = {""};
	put_config(script, more);
	if (!open_reload(f, &err))
		fail_msg("%s", err.text);
	assert_int_equal(state_count, 1);
}

static void start(struct fixture *f, const char *script)
{
	start_more(f, script, "");
}

static void stop(struct fixture *f)
{
	while (state_count > 0)
		drop_state(0);
	clinging = false;
	most_states = 0;
	reload_close(f->reload);
	config_free(f->config);
	mem_free((void *)(size_t)f->world.sinks);
	f->reload = NULL;
	f->config = NULL;
	f->world = (struct script_world){0};
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	stop(f);
	metrics_close(f->metrics);
	event_base_free(f->base);
	buf_free(&f->told);
	mem_free(f);
	char *command = mem_printf("rm -rf %s", home);
	int result = chdir("/") == 0 ? system(command) : -1;
	mem_free(command);
	return result;
}

/* ---- asking ---- */

static void turn_for(struct fixture *f, int ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_base_loopexit(f->base, &after);
	event_base_dispatch(f->base);
}

static void on_told(void *context, enum reload_outcome outcome, const char *message)
{
	struct fixture *f = context;
	f->outcome = outcome;
	f->answers++;
	buf_clear(&f->told);
	buf_append_text(&f->told, message);
}

static void ask(struct fixture *f)
{
	reload_ask(f->reload, "api", on_told, f);
}

static void await_answers(struct fixture *f, size_t count)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	while (f->answers < count && clock_now() < deadline)
		turn_for(f, 10);
	assert_int_equal(f->answers, count);
}

static enum reload_outcome now(struct fixture *f)
{
	size_t before = f->answers;
	ask(f);
	await_answers(f, before + 1);
	return f->outcome;
}

static void fails_with(struct fixture *f, const char *words)
{
	char *before = mem_strdup(reload_sha256(f->reload));
	struct script *present = states[0];
	enum reload_outcome outcome = now(f);
	if ((outcome != RELOAD_FAILED && outcome != RELOAD_TESTS_FAILED) ||
	        strstr(f->told.data, words) == NULL)
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
	metrics_print(f->metrics, METRICS_TEXT, &out);
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

static void changed_params_take_over(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: signal");
	char *sha = mem_strdup(reload_sha256(f->reload));
	put_config("params: {n: 2}", "nonsense: 1\n");
	fails_with(f, "job.yaml:7:1: unknown key 'nonsense'");
	put_config("params: {n: 2}", "");
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
	put_config("parms: {}", "");
	fails_with(f, "job.yaml:6:48: unknown key 'script.parms'");
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
	assert_non_null(strstr(status.data, "\"last_outcome\":null,\"last_error\":null,"));
	assert_non_null(strstr(status.data, "\"files\":[{\"name\":\"job.lua\",\"sha256\":\""));
	assert_non_null(strstr(status.data, "\"},{\"name\":\"lib/part.lua\",\"sha256\":\""));
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

/* ---- data tests ---- */

static size_t lines_of(const char *name)
{
	size_t lines = 0;
	FILE *file = fopen(name, "re");
	for (int byte; file && (byte = getc(file)) != EOF;)
		lines += byte == '\n';
	if (file)
		fclose(file);
	return lines;
}

static void await_lines(struct fixture *f, const char *name, size_t count)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	while (lines_of(name) < count && clock_now() < deadline)
		turn_for(f, 10);
	assert_int_equal(lines_of(name), count);
}

static void a_script_takes_over_when_its_tests_have_passed(void **state)
{
	struct fixture *f = *state;
	put("scripts/job_test.yaml", "tests: []\n");
	tester("echo \"$1 $2 $3\" >> runs; while [ ! -e go ]; do sleep 0.01; done");
	start(f, "params: {n: 1}, reload: signal");
	assert_int_equal(lines_of("runs"), 0); /* none at the start */
	put_script("b");
	ask(f);
	await_lines(f, "runs", 1);
	turn_for(f, 50);
	assert_int_equal(f->answers, 0);
	marks("a-p-1");
	ask(f); /* of the same files: waits for the same tests */
	put("go", "");
	await_answers(f, 2);
	assert_int_equal(f->outcome, RELOAD_SWAPPED);
	marks("b-p-1");
	assert_int_equal(lines_of("runs"), 1);
	char line[200] = "";
	FILE *runs = fopen("runs", "re");
	assert_non_null(fgets(line, sizeof line, runs));
	fclose(runs);
	assert_non_null(strstr(line, "test "));
	assert_non_null(strstr(line, "scripts/job_test.yaml --quiet\n"));
}

static void a_script_whose_tests_fail_changes_nothing(void **state)
{
	struct fixture *f = *state;
	put("scripts/job_test.yaml", "tests: []\n");
	tester("echo 'two'; echo '  job_test.yaml:9 expected 1' >&2; exit 1");
	start(f, "params: {n: 1}, reload: signal");
	put_script("b");
	fails_with(f, "scripts/job_test.yaml: its tests do not pass: two\n  job_test.yaml:9 expected 1");
	assert_true(outcomes(f, "tests_failed") == 1 && outcomes(f, "failed") == 0);
	put("scripts/job.lua", "broken");
	fails_with(f, "scripts/job.lua:1: ");
	assert_true(outcomes(f, "tests_failed") == 1 && outcomes(f, "failed") == 1);
	put_script("b");
	tester("kill -9 $$");
	fails_with(f, "its tests were ended by signal 9");
	unlink("tester");
	fails_with(f, "./tester cannot be started: No such file");
	marks("a-p-1");
	tester("exit 0");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("b-p-1");
}

static void tests_are_run_where_there_are_any_that_can_say_something(void **state)
{
	struct fixture *f = *state;
	tester("echo ran >> runs; exit 1");
	start(f, "params: {n: 1}, reload: signal");
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED); /* there are none */
	put("scripts/job_test.yaml", "tests: []\n");
	assert_int_equal(now(f), RELOAD_UNCHANGED);
	put_config("params: {n: 2}", "");
	assert_int_equal(now(f), RELOAD_SWAPPED); /* the text has not changed, and tests name their params */
	put_config("params: {n: 2}, tests: false", "");
	put_script("c");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	assert_int_equal(lines_of("runs"), 0);
	put_config("params: {n: 2}", "");
	put_script("d");
	fails_with(f, "do not pass");
	put_config("params: {n: 2}", "");
	put("scripts/lib/part.lua", "return 'q'\n");
	put_script("c");
	fails_with(f, "do not pass");
	assert_int_equal(lines_of("runs"), 2);
}

static void what_changes_during_the_tests_is_tested_again(void **state)
{
	struct fixture *f = *state;
	put("scripts/job_test.yaml", "tests: []\n");
	tester("echo ran >> runs; [ -e changed ] || { touch changed; sed -i s/b-/c-/ scripts/job.lua; }");
	start(f, "params: {n: 1}, reload: signal");
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("c-p-1");
	assert_int_equal(lines_of("runs"), 2);
	tester("echo ran >> runs; grep -q quick scripts/job.lua || sleep 1000");
	put_script("slow");
	ask(f);
	await_lines(f, "runs", 3);
	put_script("quick");
	ask(f);
	await_answers(f, 3);
	assert_int_equal(f->outcome, RELOAD_SWAPPED);
	marks("quick-p-1");
	assert_int_equal(lines_of("runs"), 4);
	assert_true(outcomes(f, "swapped") == 2);
}

static void the_watch_tests_what_it_sees(void **state)
{
	struct fixture *f = *state;
	put("scripts/job_test.yaml", "expect: b\n");
	tester("echo ran >> runs; grep -q \"$(cut -d' ' -f2 $2)-\" scripts/job.lua");
	start(f, "params: {n: 1}, reload: watch");
	put_script("b");
	await_outcomes(f, "swapped", 1);
	put_script("c");
	await_outcomes(f, "tests_failed", 1);
	marks("b-p-1");
	put("scripts/job_test.yaml", "expect: c\n"); /* the test was wrong */
	await_outcomes(f, "swapped", 2);
	marks("c-p-1");
}

static void tests_end_with_the_engine(void **state)
{
	struct fixture *f = *state;
	put("scripts/job_test.yaml", "tests: []\n");
	tester("echo $$ >> runs; sleep 1000");
	start(f, "params: {n: 1}, reload: signal");
	put_script("b");
	ask(f);
	await_lines(f, "runs", 1);
	stop(f);
	assert_int_equal(f->answers, 0);
	FILE *runs = fopen("runs", "re");
	int pid = 0;
	assert_int_equal(fscanf(runs, "%d", &pid), 1);
	fclose(runs);
	assert_int_equal(kill(pid, 0), -1);
	start(f, "params: {n: 1}, reload: signal");
}

/* ---- how a new script fares ---- */

static void end_records(struct fixture *f, const char *type, int count)
{
	while (count-- > 0)
		reload_decided(f->reload, state_number, type,
		        type ? "hook 'transform': scripts/job.lua:5: oh no" : NULL);
	turn_for(f, 20);
}

static void has_status(struct fixture *f, const char *words)
{
	struct buf status;
	buf_init(&status, 0);
	reload_status(f->reload, &status);
	if (strstr(status.data, words) == NULL)
		fail_msg("no %s in %s", words, status.data);
	buf_free(&status);
}

static void a_script_that_fails_its_records_gives_way_to_the_one_before(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: watch");
	end_records(f, NULL, 200);
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	unlink("scripts/lib/part.lua"); /* it comes back from memory */
	put("scripts/lib/part.lua", "return 'q'\n");
	put("scripts/lib/part.lua", "return 'p'\n");
	reload_decided(f->reload, state_number - 1, "ScriptError", "of an older one");
	end_records(f, "HttpTimeout", 300);
	end_records(f, "ScriptError", 19);
	marks("b-p-1");
	end_records(f, "ScriptError", 1);
	marks("a-p-1");
	assert_true(outcomes(f, "rolled_back") == 1 && outcomes(f, "swapped") == 1);
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) == 0);
	has_status(f, "was rolled back to");
	has_status(f,
	        "20 of 20 records failed by errors of the script, most often (20 times): hook 'transform': "
	        "scripts/job.lua:5: oh no");
	assert_null(reload_trouble(f->reload));
	/* Not by itself: whatever else changes. */
	put("scripts/notes.lua", "-- not required\n");
	await_outcomes(f, "refused", 1);
	marks("a-p-1");
	/* But for somebody who asks; and a changed one by itself. */
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("b-p-1");
	end_records(f, "ScriptTimeout", 20);
	assert_true(outcomes(f, "rolled_back") == 2);
	marks("a-p-1");
	put_script("c");
	await_outcomes(f, "swapped", 3);
	marks("c-p-1");
	end_records(f, NULL, 200);
	end_records(f, "ScriptError", 1000);
	marks("c-p-1");
}

static void going_back_goes_to_the_last_that_was_good(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: signal");
	end_records(f, "ScriptError", 200); /* there is nothing to go back to */
	marks("a-p-1");
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	end_records(f, NULL, 200);
	put_script("c");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	put_config("params: {n: 2}", "");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	assert_int_equal(pipeline_scripts(NULL), 1);
	clinging = true;
	put_script("d");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	put_script("e");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	put_script("f");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	end_records(f, "ScriptError", 20);
	marks("f-p-2"); /* four states live */
	clinging = false;
	await_outcomes(f, "rolled_back", 1);
	marks("b-p-1");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("f-p-2");
}

static void nothing_is_rolled_back_where_nobody_wants_it(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: signal, rollback: {share: off}");
	end_records(f, NULL, 200);
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	end_records(f, "ScriptError", 500);
	marks("b-p-1");
	put_config("params: {n: 1}, rollback: {share: 0.1, records: 5}", "");
	put_script("c");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	end_records(f, NULL, 4);
	end_records(f, "ScriptError", 1);
	marks("a-p-1");
}

/* ---- the last good script on disk ---- */

#define KEPT "checkpoint: {dir: store}\n"

static void await_kept(struct fixture *f, const char *words)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	char text[8192] = "";
	while (strstr(text, words) == NULL && clock_now() < deadline) {
		FILE *file = fopen("store/job/script-last-good.json", "re");
		size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
		text[size] = '\0';
		if (file)
			fclose(file);
		turn_for(f, 10);
	}
	if (strstr(text, words) == NULL)
		fail_msg("no %s in %s", words, text);
}

static void a_start_with_a_bad_script_runs_the_last_good_one(void **state)
{
	struct fixture *f = *state;
	mkdir("store", 0755);
	start_more(f, "params: {n: 1}, reload: signal", KEPT);
	end_records(f, NULL, 200);
	await_kept(f, "event.mark = 'a-'");
	stop(f);
	put("scripts/job.lua", "return broken\n");
	start_more(f, "params: {n: 9}, reload: watch", KEPT);
	marks("a-p-1");
	assert_non_null(strstr(reload_trouble(f->reload), "scripts/job.lua: a script returns a table"));
	has_status(f, "\"stands_in\":\"scripts/job.lua: a script");
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) == 0);
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_STANDS_IN, NULL) == 1);
	end_records(f, "ScriptError", 500); /* it is the last: nothing to go back to */
	marks("a-p-1");
	put_script("b");
	await_outcomes(f, "swapped", 1);
	marks("b-p-9");
	assert_null(reload_trouble(f->reload));
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) == 1);
	assert_true(*metrics_value_at(f->metrics, METRIC_SCRIPT_STANDS_IN, NULL) == 0);
	end_records(f, NULL, 200);
	await_kept(f, "event.mark = 'b-'");
}

static void without_a_last_good_one_a_bad_script_does_not_start(void **state)
{
	struct fixture *f = *state;
	struct err err = {""};
	mkdir("store", 0755);
	put("scripts/job.lua", "return broken\n");
	put_config("params: {n: 1}", KEPT);
	assert_false(open_reload(f, &err));
	assert_non_null(strstr(err.text, "scripts/job.lua: a script returns a table"));
	stop(f);
	mkdir("store/job", 0755);
	put("store/job/script-last-good.json", "{\"version\":1}\n");
	err.text[0] = '\0';
	assert_false(open_reload(f, &err));
	assert_non_null(strstr(err.text, "scripts/job.lua: a script returns a table"));
}

static void what_was_rolled_back_is_remembered_over_a_restart(void **state)
{
	struct fixture *f = *state;
	mkdir("store", 0755);
	start_more(f, "params: {n: 1}, reload: signal", KEPT);
	end_records(f, NULL, 200);
	put_script("b");
	assert_int_equal(now(f), RELOAD_SWAPPED);
	end_records(f, "ScriptAnswer", 20);
	marks("a-p-1");
	await_kept(f, "\"refused\":");
	stop(f);
	start_more(f, "params: {n: 1}, reload: signal", KEPT);
	marks("a-p-1");
	assert_non_null(strstr(reload_trouble(f->reload), "was rolled back to"));
	assert_int_equal(now(f), RELOAD_SWAPPED);
	marks("b-p-1");
	end_records(f, NULL, 200);
	await_kept(f, "event.mark = 'b-'");
	stop(f);
	start_more(f, "params: {n: 1}, reload: signal", KEPT);
	marks("b-p-1");
	assert_null(reload_trouble(f->reload));
}

static void a_first_script_may_be_rolled_back_to_what_ran_before_the_start(void **state)
{
	struct fixture *f = *state;
	mkdir("store", 0755);
	start_more(f, "params: {n: 1}, reload: signal", KEPT);
	end_records(f, NULL, 200);
	await_kept(f, "event.mark = 'a-'");
	stop(f);
	put_script("b");
	start_more(f, "params: {n: 1}, reload: signal", KEPT);
	marks("b-p-1");
	assert_null(reload_trouble(f->reload));
	end_records(f, "ScriptError", 20);
	marks("a-p-1");
	assert_non_null(strstr(reload_trouble(f->reload), "was rolled back to"));
}

/* ---- the rest of the configuration ---- */

static void what_needs_no_restart_changes_with_it(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: signal");
	const struct upstream_config *upstream = &f->config->upstreams[0];
	put("job.lua", "");
	put_config("params: {n: 1}", "drain: 7s\nlimits: {records: 5}\n");
	fails_with(f, "duplicate key 'limits'");
	assert_true(f->config->drain_ms == 25000 && outcomes(f, "failed") == 1);
	assert_true(*metrics_value_at(f->metrics, METRIC_CONFIG_RELOAD_OK, NULL) == 0);
	put_config("params: {n: 1}, reload: signal, memory: 64MiB",
	        "drain: 7s\norder: none\nadmin: {listen: \"127.0.0.1:1\"}\n");
	assert_int_equal(now(f), RELOAD_UNCHANGED);
	assert_non_null(strstr(f->told.data,
	        "; changed: drain; a restart is needed for script.memory, order, admin.listen"));
	assert_int_equal(f->config->drain_ms, 7000);
	assert_int_equal(retuned, 600000);
	has_status(f, "\"restart_needed\":[\"script.memory\",\"order\",\"admin.listen\"]");
	assert_true(*metrics_value_at(f->metrics, METRIC_CONFIG_RELOAD_OK, NULL) == 1);
	char *text = mem_strdup(before_script), *at = strstr(text, "endpoint:");
	char *yaml =
	        mem_printf("%.*srate: 5/s, retry: {deadline: 1m}, %slog: {level: error}\n"
	                   "script: {path: scripts/job.lua, params: {n: 1}, reload: signal, budget: 300ms}\n",
	                (int)(at - text), text, at);
	put("job.yaml", yaml);
	assert_int_equal(now(f), RELOAD_SWAPPED); /* a state has its budget for life */
	assert_true(upstream->rate == 5 && upstream->retry.deadline_ms == 60000);
	assert_int_equal(retuned, 60000);
	has_status(f, "\"restart_needed\":[]");
	mem_free(yaml);
	mem_free(text);
}

static void new_and_deleted_modules_are_seen_and_another_path_is_followed(void **state)
{
	struct fixture *f = *state;
	start(f, "params: {n: 1}, reload: watch");
	put("scripts/lib/more.lua", "return 'more'\n");
	put("scripts/lib/part.lua", "return require 'lib.more'\n");
	await_outcomes(f, "swapped", 1);
	marks("a-more-1");
	unlink("scripts/lib/more.lua");
	await_outcomes(f, "failed", 1);
	marks("a-more-1");
	put("scripts/lib/part.lua", "return 'alone'\n");
	await_outcomes(f, "swapped", 2);
	marks("a-alone-1");
	mkdir("elsewhere", 0755);
	put("elsewhere/job.lua", "return {api = 1, transform = function(e) e.mark = 'else' return e end}\n");
	char *yaml = mem_printf("%sscript: {path: elsewhere/job.lua}\n", before_script);
	put("job.yaml", yaml);
	mem_free(yaml);
	await_outcomes(f, "swapped", 3);
	marks("else");
	turn_for(f, 300);
	put("elsewhere/job.lua", "return {api = 1, transform = function(e) e.mark = 'anew' return e end}\n");
	await_outcomes(f, "swapped", 4);
	marks("anew");
}

static int run_all(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        STORY(a_changed_script_takes_over_and_the_same_does_not),
	        STORY(changed_params_take_over),
	        STORY(whatever_is_broken_is_told_with_its_line_and_the_old_script_goes_on),
	        STORY(metrics_and_status_name_the_script_that_runs),
	        STORY(records_finish_on_the_state_they_began_on),
	        STORY(a_fifth_state_waits_until_one_has_ended),
	        STORY(a_change_on_disk_is_taken_over_once),
	        STORY(what_was_loaded_on_demand_is_not_loaded_again_by_the_watch),
	        STORY(a_broken_script_is_tried_once_and_again_when_its_module_comes),
	        STORY(a_file_of_params_elsewhere_is_watched_from_when_it_is_named),
	        STORY(a_script_takes_over_when_its_tests_have_passed),
	        STORY(a_script_whose_tests_fail_changes_nothing),
	        STORY(tests_are_run_where_there_are_any_that_can_say_something),
	        STORY(what_changes_during_the_tests_is_tested_again),
	        STORY(the_watch_tests_what_it_sees),
	        STORY(tests_end_with_the_engine),
	        STORY(a_script_that_fails_its_records_gives_way_to_the_one_before),
	        STORY(going_back_goes_to_the_last_that_was_good),
	        STORY(nothing_is_rolled_back_where_nobody_wants_it),
	        STORY(a_start_with_a_bad_script_runs_the_last_good_one),
	        STORY(without_a_last_good_one_a_bad_script_does_not_start),
	        STORY(what_was_rolled_back_is_remembered_over_a_restart),
	        STORY(a_first_script_may_be_rolled_back_to_what_ran_before_the_start),
	        STORY(what_needs_no_restart_changes_with_it),
	        STORY(new_and_deleted_modules_are_seen_and_another_path_is_followed),
	        STORY(two_hundred_reloads_leave_no_memory_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run_all);
}
