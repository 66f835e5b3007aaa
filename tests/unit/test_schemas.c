/* Schemas on invented repositories: which one is found, what is kept, when it is asked for again. */
#include "clock.h"
#include "mem.h"
#include "schemas.h"
#include "unit.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- paths and versions ---- */

static void only_paths_of_a_title_and_a_version_are_asked_for(void **state)
{
	static const char *const good[] = {
	        "/a/1.0.0", "/mediawiki/page/change/1.2.0", "/a/latest", "/A_b-c.d/1"};
	static const char *const bad[] = {"", "/", "/a", "a/1.0.0", "/a//1.0.0", "/a/../1.0.0", "/a/1.0.0/",
	        "/a/./1", "/a/1.0.0?x", "/a/1.0.0#x", "/a b/1", "/%2e%2e/1", "//host/1", "http://host/a/1",
	        "/a\n/1", "/a/.."};
	char *long_one = mem_zalloc(1, 400);
	(void)state;
	memset(long_one, 'a', 300);
	memcpy(long_one, "/a/", 3);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(schemarepo_path_valid(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (schemarepo_path_valid(bad[i]))
			fail_msg("\"%s\" is taken for a path", bad[i]);
	assert_false(schemarepo_path_valid(long_one));
	mem_free(long_one);
	assert_int_equal(schemarepo_title_size("/mediawiki/page/change/1.2.0"), 22);
}

static void versions_are_compared_number_by_number(void **state)
{
	static const char *const rising[] = {
	        "latest", "0.9.9", "1.0.0", "1.2.0", "1.9.12", "1.10.0", "1.10.1", "2.0.0", "10.0.0"};
	(void)state;
	for (size_t i = 0; i < sizeof rising / sizeof *rising; i++)
		for (size_t j = 0; j < sizeof rising / sizeof *rising; j++) {
			int order = schemarepo_compare_versions(rising[i], rising[j]);
			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

/* ---- an invented repository ---- */

struct document {
	const char *url, *text; /* text NULL: it does not answer */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const struct document *documents;
static bool all_away;
static size_t asked;

static enum fetch_outcome invented_get(
        const struct fetch_config *config, const char *url, struct buf *out, struct err *err)
{
	enum fetch_outcome outcome = FETCH_ABSENT;
	(void)config;
	pthread_mutex_lock(&mutex);
	asked++;
	for (const struct document *at = documents; at->url; at++) {
		if (strncmp(at->url, url, strlen(at->url)) != 0 || (at->text && strcmp(at->url, url) != 0))
			continue;
		outcome = at->text ? FETCH_GOT : FETCH_AWAY;
		if (at->text)
			buf_append_text(out, at->text);
		break;
	}
	if (all_away)
		outcome = FETCH_AWAY;
	pthread_mutex_unlock(&mutex);
	err_set(err, outcome == FETCH_AWAY ? "nobody answers" : "absent");
	return outcome;
}

static void serve(const struct document *these, bool away)
{
	pthread_mutex_lock(&mutex);
	documents = these;
	all_away = away;
	pthread_mutex_unlock(&mutex);
}

static const char *const uris[] = {"http://one/jsonschema/", "http://two"};
static const struct schemarepo repo = {.uris = uris, .uri_count = 2, .get = invented_get};

static const char open_schema[] = "{\"title\":\"open\"}";

static void repositories_are_tried_in_order_with_each_ending(void **state)
{
	static const struct document these[] = {{"http://one/jsonschema/a/1.0.0.json", "first"},
	        {"http://two/a/1.0.0", "second"}, {"http://two/b/1.0.0.yaml", "third"}, {NULL, NULL}};
	static const struct {
		const char *path, *text;
	} cases[] = {{"/a/1.0.0", "first"}, {"/b/1.0.0", "third"}};
	struct buf text;
	(void)state;
	serve(these, false);
	for (size_t i = 0; i < 2; i++) {
		buf_init(&text, 0);
		assert_int_equal(schemarepo_find(&repo, cases[i].path, &text, NULL), FETCH_GOT);
		assert_string_equal(text.data, cases[i].text);
		buf_free(&text);
	}
	buf_init(&text, 0);
	assert_int_equal(schemarepo_find(&repo, "/c/1.0.0", &text, NULL), FETCH_ABSENT);
	buf_free(&text);
}

static void what_is_in_no_repository_that_answers_may_be_in_one_that_does_not(void **state)
{
	static const struct document these[] = {
	        {"http://one/", NULL}, {"http://two/a/1.0.0", "here"}, {NULL, NULL}};
	struct buf text;
	struct err err = {""};
	(void)state;
	serve(these, false);
	buf_init(&text, 0);
	assert_int_equal(schemarepo_find(&repo, "/a/1.0.0", &text, &err), FETCH_GOT);
	assert_int_equal(schemarepo_find(&repo, "/a/2.0.0", &text, &err), FETCH_AWAY);
	assert_string_equal(err.text, "nobody answers");
	buf_free(&text);
}

static void the_newest_is_what_latest_says_of_itself(void **state)
{
	static const struct document these[] = {
	        {"http://one/jsonschema/a/latest",
	                "title: a\nproperties: {x: {$id: /a/b/9.0.0}}\n$id: /a/1.9.0\n"},
	        {"http://two/a/latest.json", "{\"$id\": \"/a/1.10.0\"}"}, {"http://two/b/latest", "{}"},
	        {NULL, NULL}};
	struct buf path;
	struct err err = {""};
	(void)state;
	serve(these, false);
	buf_init(&path, 0);
	assert_int_equal(schemarepo_newest(&repo, "/a", &path, &err), FETCH_GOT);
	assert_string_equal(path.data, "/a/1.10.0");
	buf_clear(&path);
	assert_int_equal(schemarepo_newest(&repo, "/b", &path, &err), FETCH_GOT);
	assert_string_equal(path.data, "/b/latest");
	assert_int_equal(schemarepo_newest(&repo, "/c", &path, &err), FETCH_ABSENT);
	assert_string_equal(err.text, "no repository has a schema of the title c");
	buf_free(&path);
}

static void put_file(const char *folder, const char *name)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	mem_free(path);
}

static void in_a_folder_the_newest_is_the_highest_version(void **state)
{
	static const char *const files[] = {
	        "1.9.0.yaml", "1.10.0.yaml", "1.2.0", "latest", "current.yaml", "README"};
	char root[] = "/tmp/millrace-schemas-XXXXXX";
	(void)state;
	assert_non_null(mkdtemp(root));
	char *uri = mem_printf("file://%s", root), *folder = mem_printf("%s/a", root);
	const char *const only[] = {uri};
	const struct schemarepo here = {.uris = only, .uri_count = 1, .fetch = {.max_bytes = 1000}};
	struct buf path;
	struct err err = {""};
	buf_init(&path, 0);
	assert_int_equal(schemarepo_newest(&here, "/a", &path, &err), FETCH_ABSENT);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(schemarepo_newest(&here, "/a", &path, &err), FETCH_ABSENT);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		put_file(folder, files[i]);
	assert_int_equal(schemarepo_newest(&here, "/a", &path, &err), FETCH_GOT);
	assert_string_equal(path.data, "/a/1.10.0");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char *file = mem_printf("%s/%s", folder, files[i]);
		unlink(file);
		mem_free(file);
	}
	rmdir(folder);
	rmdir(root);
	assert_int_equal(schemarepo_newest(&here, "/a", &path, &err), FETCH_AWAY);
	assert_int_equal(schemarepo_find(&here, "/a/1.0.0", &path, &err), FETCH_AWAY);
	buf_free(&path);
	mem_free(folder);
	mem_free(uri);
}

/* ---- the cache ---- */

struct fixture {
	struct event_base *base;
	struct metrics *metrics;
	struct schemas *schemas;
	int64_t now;
	size_t changes;
};

static void changed(void *context)
{
	((struct fixture *)context)->changes++;
}

static void begin(struct fixture *fixture, const struct document *these, bool away)
{
	struct schemas_config config = {.repo = repo, .forget_ms = 1, .changed = changed, .context = fixture};
	serve(these, away);
	*fixture = (struct fixture){.base = event_base_new(), .metrics = metrics_open(), .now = clock_now()};
	fixture->schemas = schemas_open(fixture->base, &config, fixture->metrics, NULL);
	assert_non_null(fixture->schemas);
}

static void end(struct fixture *fixture)
{
	schemas_close(fixture->schemas, 60000);
	metrics_close(fixture->metrics);
	event_base_free(fixture->base);
}

/* Turns until the state is no longer LOADING. */
static enum schemas_state await(struct fixture *fixture, const char *path, struct schemas_answer *answer)
{
	enum schemas_state state;
	while ((state = schemas_get(fixture->schemas, path, clock_now(), answer)) == SCHEMAS_LOADING)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	return state;
}

static void a_schema_is_loading_once_and_then_kept_for_ever(void **state)
{
	static const struct document these[] = {{"http://two/a/1.0.0", open_schema}, {NULL, NULL}};
	struct fixture f;
	struct schemas_answer answer;
	(void)state;
	begin(&f, these, false);
	assert_int_equal(schemas_get(f.schemas, "/a/1.0.0", f.now, &answer), SCHEMAS_LOADING);
	assert_int_equal(await(&f, "/a/1.0.0", &answer), SCHEMAS_READY);
	assert_true(answer.exact);
	assert_string_equal(answer.path, "/a/1.0.0");
	assert_int_equal(f.changes, 1);
	size_t before = asked;
	serve(these, true);
	assert_int_equal(schemas_get(f.schemas, "/a/1.0.0", f.now + 1000000000, &answer), SCHEMAS_READY);
	assert_int_equal(schemas_turn(f.schemas, f.now + 1000000000), -1);
	assert_int_equal(asked, before);
	end(&f);
}

static void an_unknown_version_stands_for_the_newest_until_it_is_there(void **state)
{
	static const struct document before[] = {{"http://two/a/1.11.0", open_schema},
	        {"http://two/a/latest", "{\"$id\":\"/a/1.11.0\"}"}, {NULL, NULL}};
	static const struct document after[] = {{"http://two/a/1.12.0", open_schema}, {NULL, NULL}};
	struct fixture f;
	struct schemas_answer answer;
	(void)state;
	begin(&f, before, false);
	assert_int_equal(await(&f, "/a/1.12.0", &answer), SCHEMAS_READY);
	assert_false(answer.exact);
	assert_string_equal(answer.path, "/a/1.11.0");
	serve(after, false);
	do { /* what stands in for it serves meanwhile */
		event_base_loop(f.base, EVLOOP_NONBLOCK);
		usleep(1000);
		assert_int_equal(schemas_get(f.schemas, "/a/1.12.0", clock_now(), &answer), SCHEMAS_READY);
	} while (!answer.exact);
	assert_string_equal(answer.path, "/a/1.12.0");
	end(&f);
}

static void an_unknown_title_is_asked_for_again_after_a_while(void **state)
{
	static const struct document none[] = {{NULL, NULL}};
	static const struct document these[] = {
	        {"http://one/jsonschema/a/1.0.0.yaml", "title: a\n"}, {NULL, NULL}};
	struct fixture f;
	struct schemas_answer answer;
	(void)state;
	begin(&f, none, false);
	assert_int_equal(await(&f, "/a/1.0.0", &answer), SCHEMAS_UNKNOWN);
	assert_string_equal(answer.why, "no repository has a schema of the title a");
	assert_int_equal(schemas_get(f.schemas, NULL, f.now, &answer), SCHEMAS_UNKNOWN);
	serve(these, false);
	usleep(2000);
	assert_int_equal(await(&f, "/a/1.0.0", &answer), SCHEMAS_READY);
	end(&f);
}

static void a_schema_that_cannot_be_used_says_why(void **state)
{
	static const struct document these[] = {{"http://one/jsonschema/a/1.0.0", "{\"type\":\"nonsense\"}"},
	        {"http://one/jsonschema/b/1.0.0", "{\"$ref\":\"/gone/1.0.0#\"}"}, {NULL, NULL}};
	struct fixture f;
	struct schemas_answer answer;
	(void)state;
	begin(&f, these, false);
	assert_int_equal(await(&f, "/a/1.0.0", &answer), SCHEMAS_BROKEN);
	assert_non_null(strstr(answer.why, "nonsense"));
	assert_int_equal(await(&f, "/b/1.0.0", &answer), SCHEMAS_BROKEN);
	assert_non_null(strstr(answer.why, "/gone/1.0.0"));
	end(&f);
}

static void while_a_repository_is_away_it_is_asked_again_at_longer_and_longer_times(void **state)
{
	static const struct document these[] = {{"http://two/a/1.0.0", open_schema}, {NULL, NULL}};
	struct fixture f;
	struct schemas_answer answer;
	int64_t waits[8];
	(void)state;
	begin(&f, these, true);
	assert_int_equal(await(&f, "/a/1.0.0", &answer), SCHEMAS_AWAY);
	assert_string_equal(answer.why[0] ? "said" : "", "said");
	for (int i = 0; i < 8; i++) {
		int64_t now = clock_now();
		assert_int_equal(schemas_get(f.schemas, "/a/1.0.0", now, &answer), SCHEMAS_AWAY);
		int64_t due = schemas_turn(f.schemas, now);
		waits[i] = due - now;
		size_t changes = f.changes;
		schemas_turn(f.schemas, due); /* asks at once */
		while (f.changes == changes)
			event_base_loop(f.base, EVLOOP_ONCE);
	}
	assert_in_range(waits[0], 1, 1000);
	for (int i = 1; i < 8; i++)
		assert_in_range(waits[i], 0, 60000);
	assert_true(waits[7] > 32000);
	serve(these, false);
	schemas_refresh(f.schemas, clock_now()); /* somebody asks for it: no more waiting */
	while (schemas_get(f.schemas, "/a/1.0.0", clock_now(), &answer) != SCHEMAS_READY)
		event_base_loop(f.base, EVLOOP_ONCE);
	end(&f);
}

static void a_refresh_takes_what_is_new_and_keeps_what_it_cannot_get(void **state)
{
	static const struct document these[] = {{"http://two/a/1.0.0", "{\"title\":\"old\"}"}, {NULL, NULL}};
	static const struct document changed_ones[] = {
	        {"http://two/a/1.0.0", "{\"title\":\"new\"}"}, {NULL, NULL}};
	static const struct document broken[] = {{"http://two/a/1.0.0", "{\"type\":7}"}, {NULL, NULL}};
	static const struct document none[] = {{NULL, NULL}};
	static const struct {
		const struct document *served;
		bool away;
		const char *title;
	} steps[] = {{changed_ones, false, "new"}, {broken, false, "new"}, {none, false, "new"},
	        {these, true, "new"}};
	struct fixture f;
	struct schemas_answer answer;
	(void)state;
	begin(&f, these, false);
	assert_int_equal(await(&f, "/a/1.0.0", &answer), SCHEMAS_READY);
	assert_string_equal(schema_title(answer.schema), "old");
	for (size_t i = 0; i < 4; i++) {
		size_t changes = f.changes;
		serve(steps[i].served, steps[i].away);
		schemas_refresh(f.schemas, clock_now());
		while (f.changes == changes)
			event_base_loop(f.base, EVLOOP_ONCE);
		assert_int_equal(schemas_get(f.schemas, "/a/1.0.0", clock_now(), &answer), SCHEMAS_READY);
		assert_string_equal(schema_title(answer.schema), steps[i].title);
	}
	end(&f);
}

static void invented_versions_do_not_fill_the_memory(void **state)
{
	static const struct document none[] = {{NULL, NULL}};
	struct fixture f;
	struct schemas_answer answer;
	char path[64];
	(void)state;
	begin(&f, none, false);
	for (int i = 0; i < 1500; i++) {
		snprintf(path, sizeof path, "/a/%d.0.0", i);
		assert_int_equal(await(&f, path, &answer), SCHEMAS_UNKNOWN);
	}
	assert_true(schemas_entries(f.schemas) <= 1000);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_paths_of_a_title_and_a_version_are_asked_for),
	        cmocka_unit_test(versions_are_compared_number_by_number),
	        cmocka_unit_test(repositories_are_tried_in_order_with_each_ending),
	        cmocka_unit_test(what_is_in_no_repository_that_answers_may_be_in_one_that_does_not),
	        cmocka_unit_test(the_newest_is_what_latest_says_of_itself),
	        cmocka_unit_test(in_a_folder_the_newest_is_the_highest_version),
	        cmocka_unit_test(a_schema_is_loading_once_and_then_kept_for_ever),
	        cmocka_unit_test(an_unknown_version_stands_for_the_newest_until_it_is_there),
	        cmocka_unit_test(an_unknown_title_is_asked_for_again_after_a_while),
	        cmocka_unit_test(a_schema_that_cannot_be_used_says_why),
	        cmocka_unit_test(while_a_repository_is_away_it_is_asked_again_at_longer_and_longer_times),
	        cmocka_unit_test(a_refresh_takes_what_is_new_and_keeps_what_it_cannot_get),
	        cmocka_unit_test(invented_versions_do_not_fill_the_memory),
	};
	evthread_use_pthreads();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
