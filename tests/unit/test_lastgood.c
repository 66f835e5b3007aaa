/* A script that was good can be had again, whatever has become of its files. */
#include "lastgood.h"
#include "script_fixture.h"

#include <dirent.h>

static char home[64];

static void put(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	(void)state;
	snprintf(home, sizeof home, "/tmp/millrace-lastgood-XXXXXX");
	if (mkdtemp(home) == NULL || chdir(home) != 0 || mkdir("lib", 0755) || mkdir("store", 0755))
		return -1;
	put("job.lua", "local millrace, part = require 'millrace', require 'lib.part'\n"
	               "return {api = 1, transform = function(event)\n"
	               "  event.mark = part .. millrace.params.word\n  return event\nend}\n");
	put("lib/part.lua", "-- \xc3\xa4\n\treturn \"p\\1\"\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char *command = mem_printf("rm -rf %s", home);
	int result = chdir("/") == 0 ? system(command) : -1;
	mem_free(command);
	return result;
}

static const struct script_config limits = {
        .path = "job.lua", .memory = MEMORY, .budget_ms = 1000, .max_event = 1 << 20, .max_depth = 100};

static struct lastgood *keep(const char *params)
{
	struct err err = {""};
	struct script_config config = limits;
	config.params_json = params;
	struct script *script = script_open(&config, &world, &err);
	if (script == NULL)
		fail_msg("%s", err.text);
	struct lastgood *good = lastgood_of(script, params, 1790000000123, &err);
	if (good == NULL)
		fail_msg("%s", err.text);
	script_release(script);
	return good;
}

static void marks(const struct lastgood *good, const char *mark)
{
	struct err err = {""};
	struct script *script = lastgood_load(good, &limits, &world, &err);
	if (script == NULL)
		fail_msg("%s", err.text);
	struct script_result result = fixture_transform(script, NULL);
	expect_output(&result, mark);
	script_release(script);
}

static void it_runs_again_without_its_files(void **state)
{
	(void)state;
	struct lastgood *good = keep("{\"word\":\"w\"}");
	put("job.lua", "broken");
	unlink("lib/part.lua");
	marks(good, "p\\u0001w");
	struct lastgood *copy = lastgood_copy(good);
	lastgood_free(good);
	marks(copy, "p\\u0001w");
	lastgood_free(copy);
}

static void it_comes_back_from_disk_as_it_was(void **state)
{
	(void)state;
	struct err err = {""};
	assert_null(lastgood_read("store", "my/group", &err));
	assert_string_equal(err.text, "");
	struct lastgood *good = keep("{\"word\":\"\\\"w\\\"\"}");
	lastgood_refuse(good, good->identity, "half of it failed: \"no\"");
	assert_true(lastgood_write("store", "my/group", good, &err));
	assert_true(lastgood_write("store", "my/group", good, &err));
	struct lastgood *back = lastgood_read("store", "my/group", &err);
	if (back == NULL)
		fail_msg("%s", err.text);
	assert_string_equal(back->identity, good->identity);
	assert_string_equal(back->refused, good->identity);
	assert_string_equal(back->refused_reason, "half of it failed: \"no\"");
	assert_int_equal(back->time, 1790000000123);
	unlink("lib/part.lua");
	marks(back, "p\\u0001\\\"w\\\"");
	lastgood_free(back);
	lastgood_refuse(good, NULL, NULL);
	assert_true(lastgood_write("store", "my/group", good, &err));
	back = lastgood_read("store", "my/group", &err);
	assert_string_equal(back->refused, "");
	lastgood_free(back);
	lastgood_free(good);
}

static void one_file_stays_and_only_its_owner_reads_it(void **state)
{
	(void)state;
	struct err err = {""};
	struct lastgood *good = keep("{\"word\":\"w\"}");
	for (int i = 0; i < 3; i++)
		assert_true(lastgood_write("store", "g", good, &err));
	int count = 0;
	DIR *dir = opendir("store/g");
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(dir);
	assert_int_equal(count, 1);
	struct stat status;
	assert_int_equal(stat("store/g/script-last-good.json", &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_false(lastgood_write("nowhere", "g", good, &err));
	assert_non_null(strstr(err.text, "nowhere"));
	lastgood_free(good);
}

static void what_is_not_what_it_was_is_not_run(void **state)
{
	(void)state;
	struct err err = {""};
	struct lastgood *good = keep("{\"word\":\"w\"}");
	struct buf text;
	buf_init(&text, 0);
	lastgood_print(good, &text);
	lastgood_free(good);
	char *at = strstr(text.data, "return \\\"p");
	at[9] = 'q';
	good = lastgood_parse(text.data, text.size, &err);
	assert_non_null(good);
	assert_null(lastgood_load(good, &limits, &world, &err));
	assert_string_equal(err.text, "what was kept of job.lua is not what it was");
	lastgood_free(good);
	for (size_t size = 0; size + 1 < text.size; size++) /* but the last byte, a line's end */
		assert_null(lastgood_parse(text.data, size, &err));
	static const char *const nonsense[] = {"[]", "{}", "null", "{\"version\":1}", "{\"version\":\"1\"}",
	        "{\"version\":1,\"files\":[{\"name\":\"\"}]}", "{\"version\":1,\"files\":[[]]}"};
	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
		assert_null(lastgood_parse(nonsense[i], strlen(nonsense[i]), &err));
	buf_free(&text);
}

static void what_cannot_be_kept_says_why(void **state)
{
	(void)state;
	struct err err = {""};
	struct script_config config = limits;
	put("lib/part.lua", "return '\xff'\n");
	config.params_json = "{}";
	struct script *script = script_open(&config, &world, &err);
	assert_non_null(script);
	assert_null(lastgood_of(script, "{}", 1, &err));
	assert_string_equal(err.text, "job.lua: module lib.part is not UTF-8");
	script_release(script);
	char *large = mem_alloc(SCRIPT_SOURCES_MAX + 1);
	memset(large, '-', SCRIPT_SOURCES_MAX);
	large[SCRIPT_SOURCES_MAX] = '\0';
	put("lib/part.lua", large);
	mem_free(large);
	script = script_open(&config, &world, &err);
	assert_non_null(script);
	assert_null(lastgood_of(script, "{}", 1, &err));
	assert_string_equal(err.text, "job.lua has more than 4 MiB with its modules");
	script_release(script);
}

static int run_all(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        STORY(it_runs_again_without_its_files),
	        STORY(it_comes_back_from_disk_as_it_was),
	        STORY(one_file_stays_and_only_its_owner_reads_it),
	        STORY(what_is_not_what_it_was_is_not_run),
	        STORY(what_cannot_be_kept_says_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run_all);
}
