/* What was recorded answers the same question again, and holds nothing that is secret. */
#include "cassette.h"
#include "mem.h"
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct upstream_config wiki = {
        .name = "wiki", .url = "http://127.0.0.1:6500/w/api.php", .max_body = 1 << 20};
static struct upstream_config spread = {
        .name = "spread", .url = "https://{host}/w/api.php", .max_body = 1 << 20};

struct folder {
	char path[64];
};

static int make_folder(void **state)
{
	struct folder *folder = mem_zalloc(1, sizeof *folder);
	snprintf(folder->path, sizeof folder->path, "/tmp/cassette-XXXXXX");
	*state = folder;
	return mkdtemp(folder->path) == NULL;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", folder->path);
	int code = system(command);
	mem_free(folder);
	return code;
}

static char *path_in(const struct folder *folder, const char *file)
{
	return mem_printf("%s/%s", folder->path, file);
}

static char *text_of(const struct folder *folder, const char *file)
{
	char *path = path_in(folder, file), *text = mem_zalloc(1, 65536);
	FILE *open = fopen(path, "r");
	assert_non_null(open);
	text[fread(text, 1, 65535, open)] = '\0';
	fclose(open);
	mem_free(path);
	return text;
}

static void put(const struct folder *folder, const char *file, const char *text)
{
	char *path = path_in(folder, file);
	FILE *open = fopen(path, "w");
	assert_non_null(open);
	fputs(text, open);
	fclose(open);
	mem_free(path);
}

static struct http_transfer ask(const struct upstream_config *upstream, const char *host, const char *url)
{
	struct http_transfer transfer = {.upstream = upstream, .method = "GET", .host = host, .url = url};
	buf_init(&transfer.answer, upstream->max_body);
	return transfer;
}

static void note(const struct folder *folder, struct cassette_writer *writer, struct http_transfer *transfer,
        const char *merge, int status, const char *body, size_t size)
{
	struct err err;
	(void)folder;
	transfer->status = status;
	buf_append(&transfer->answer, body, size);
	if (!cassette_note(writer, transfer, merge, &err))
		fail_msg("%s", err.text);
	buf_free(&transfer->answer);
}

static struct cassette_writer *record(const struct folder *folder)
{
	struct err err;
	struct cassette_writer *writer = cassette_record(folder->path, &err);
	if (writer == NULL)
		fail_msg("%s", err.text);
	return writer;
}

static struct cassette *replay(const struct folder *folder)
{
	struct err err;
	struct cassette *cassette = cassette_open(folder->path, &err);
	if (cassette == NULL)
		fail_msg("%s", err.text);
	return cassette;
}

static void expect_answer(
        struct cassette *cassette, struct http_transfer transfer, int status, const char *body)
{
	struct buf why = {0};
	if (cassette_play(cassette, &transfer, false, NULL, &why) < 0)
		fail_msg("%s", why.data);
	assert_int_equal(transfer.failure, HTTP_ANSWERED);
	assert_int_equal(transfer.status, status);
	assert_string_equal(transfer.answer.data, body);
	http_transfer_free(&transfer);
	buf_free(&why);
}

static void expect_nothing(struct cassette *cassette, struct http_transfer transfer, const char *told)
{
	struct buf why = {0};
	assert_int_equal(cassette_play(cassette, &transfer, false, NULL, &why), -1);
	assert_string_equal(why.data, told);
	http_transfer_free(&transfer);
	buf_free(&why);
}

static void what_was_asked_is_answered_again(void **state)
{
	struct folder *folder = *state;
	struct cassette_writer *writer = record(folder);
	struct http_transfer one =
	        ask(&wiki, "de.wikipedia.org", "http://127.0.0.1:6500/w/api.php?a=b%20c&revids=7&x=1&x=2");
	note(folder, writer, &one, "revids", 200, "{\"n\":1.0}", 9);
	struct http_transfer two = ask(&spread, NULL, "https://fr.wikipedia.org/w/api.php/page/M%C3%BChle");
	note(folder, writer, &two, NULL, 404, "nothing", 7);
	assert_int_equal(cassette_written(writer), 2);
	cassette_finish(writer);
	char *text = text_of(folder, "de.wikipedia.org-7.json");
	assert_string_equal(text, "{\n"
	                          "  \"request\": {\n"
	                          "    \"method\": \"GET\",\n"
	                          "    \"upstream\": \"wiki\",\n"
	                          "    \"host\": \"de.wikipedia.org\",\n"
	                          "    \"path\": \"\",\n"
	                          "    \"query\": {\n"
	                          "      \"a\": \"b c\",\n"
	                          "      \"revids\": \"7\",\n"
	                          "      \"x\": [\"1\", \"2\"]\n"
	                          "    },\n"
	                          "    \"merge\": \"revids\",\n"
	                          "    \"headers\": {}\n"
	                          "  },\n"
	                          "  \"answers\": [\n"
	                          "    {\n"
	                          "      \"status\": 200,\n"
	                          "      \"headers\": {},\n"
	                          "      \"json\": {\n"
	                          "        \"n\": 1.0\n"
	                          "      },\n"
	                          "      \"elapsed\": 0.000\n"
	                          "    }\n"
	                          "  ]\n"
	                          "}\n");
	mem_free(text);
	struct cassette *cassette = replay(folder);
	assert_int_equal(cassette_count(cassette), 2);
	struct upstream_config moved = wiki;
	moved.url = "http://elsewhere:80/api";
	expect_answer(cassette,
	        ask(&moved, "de.wikipedia.org", "http://elsewhere:80/api?x=1&revids=7&a=b+c&x=2"), 200,
	        "{\n        \"n\": 1.0\n      }");
	expect_answer(cassette, ask(&spread, NULL, "https://fr.wikipedia.org/w/api.php/page/M%C3%BChle"), 404,
	        "nothing");
	cassette_close(cassette);
}

static void another_question_is_told_with_the_nearest(void **state)
{
	struct folder *folder = *state;
	put(folder, "one.json",
	        "{\"request\": {\"upstream\": \"wiki\", \"host\": \"de\", \"path\": \"\", \"query\": "
	        "{\"revids\": \"7\", \"a\": \"b\"}},"
	        "\"answers\": [{\"json\": {}}]}");
	struct cassette *cassette = replay(folder);
	expect_nothing(cassette, ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php?a=b&revids=8"),
	        "nothing recorded answers GET de ?a=b&revids=8; the nearest is one.json, which has another "
	        "revids: \"7\"");
	expect_nothing(cassette, ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php?a=b"),
	        "nothing recorded answers GET de ?a=b; the nearest is one.json, which has another query: "
	        "{\"revids\": \"7\", \"a\": \"b\"}");
	expect_nothing(cassette, ask(&wiki, "fr", "http://127.0.0.1:6500/w/api.php?a=b&revids=7"),
	        "nothing recorded answers GET fr ?a=b&revids=7; the nearest is one.json, which has another "
	        "host: \"de\"");
	expect_nothing(cassette,
	        ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php/more?a=b&revids=7&token=abc"),
	        "nothing recorded answers GET de /more?a=b&revids=7&token=(redacted); the nearest is "
	        "one.json, which has another path: \"\"");
	cassette_close(cassette);
}

static void a_shared_call_answers_each_of_its_values(void **state)
{
	struct folder *folder = *state;
	struct cassette_writer *writer = record(folder);
	struct http_transfer shared = ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php?revids=7%7C8%7C9");
	note(folder, writer, &shared, "revids", 200, "{}", 2);
	cassette_finish(writer);
	struct cassette *cassette = replay(folder);
	expect_answer(cassette, ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php?revids=8"), 200, "{}");
	expect_answer(cassette, ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php?revids=9%7C7"), 200, "{}");
	struct http_transfer other = ask(&wiki, "de", "http://127.0.0.1:6500/w/api.php?revids=8%7C10");
	assert_int_equal(cassette_play(cassette, &other, false, NULL, NULL), -1);
	http_transfer_free(&other);
	cassette_close(cassette);
}

static void of_shared_calls_the_smallest_answers(void **state)
{
	const struct folder *folder = *state;
	struct cassette_writer *writer = record(folder);
	static const char *const urls[] = {"http://127.0.0.1:6500/w/api.php?revids=1%7C2%7C3",
	        "http://127.0.0.1:6500/w/api.php?revids=2%7C3", "http://127.0.0.1:6500/w/api.php?revids=3"};
	static const int statuses[] = {503, 200, 404};
	for (size_t i = 0; i < 3; i++) {
		struct http_transfer transfer = ask(&wiki, NULL, urls[i]);
		note(folder, writer, &transfer, "revids", statuses[i], "{}", 2);
	}
	cassette_finish(writer);
	struct cassette *cassette = replay(folder);
	expect_answer(cassette, ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?revids=1"), 503, "{}");
	expect_answer(cassette, ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?revids=2"), 200, "{}");
	expect_answer(cassette, ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?revids=3"), 404, "{}");
	cassette_close(cassette);
}

static void answers_come_in_their_order_and_the_last_again(void **state)
{
	struct folder *folder = *state;
	struct cassette_writer *writer = record(folder);
	struct http_transfer one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?q=1");
	note(folder, writer, &one, NULL, 503, "busy", 4);
	one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?q=1");
	one.failure = HTTP_TIMEOUT;
	one.elapsed = 2.5;
	note(folder, writer, &one, NULL, 0, "", 0);
	one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?q=1");
	note(folder, writer, &one, NULL, 200, "\xff\x00\xfe", 3);
	cassette_finish(writer);
	struct cassette *cassette = replay(folder);
	for (int round = 0; round < 2; round++) {
		expect_answer(cassette, ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?q=1"), 503, "busy");
		one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?q=1");
		assert_int_equal(cassette_play(cassette, &one, true, NULL, NULL), 2500);
		assert_int_equal(one.failure, HTTP_TIMEOUT);
		http_transfer_free(&one);
		for (int again = 0; again < 2; again++) {
			one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?q=1");
			assert_int_equal(cassette_play(cassette, &one, false, NULL, NULL), 0);
			assert_int_equal(one.answer.size, 3);
			assert_memory_equal(one.answer.data, "\xff\x00\xfe", 3);
			http_transfer_free(&one);
		}
		cassette_rewind(cassette);
	}
	cassette_close(cassette);
}

static void no_secret_reaches_the_disk_and_all_are_matched(void **state)
{
	struct folder *folder = *state;
	char body[] = "{\"user\":\"u\",\"api_key\":\"hush1\",\"deep\":[{\"password\":\"hush2\"}]}";
	struct header asked[] = {{"Authorization", "Bearer hush3"}, {"X-Api-Key", "hush4"}, {"Accept", "x"}};
	struct header answered[] = {{"set-cookie", "session=hush5"}, {"content-type", "application/json"},
	        {"content-length", "2"}};
	struct cassette_writer *writer = record(folder);
	struct http_transfer one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?token=hush6&b=1");
	one.method = "POST";
	one.body = body;
	one.body_size = sizeof body - 1;
	one.headers = asked;
	one.header_count = 3;
	one.answer_headers = answered;
	one.answer_header_count = 3;
	note(folder, writer, &one, NULL, 200, "{\"secret\":\"hush7\"}", 18);
	cassette_finish(writer);
	char *text = text_of(folder, "wiki.json");
	assert_null(strstr(text, "hush"));
	assert_non_null(strstr(text, "\"Accept\": \"x\""));
	assert_non_null(strstr(text, "\"content-type\": \"application/json\""));
	assert_null(strstr(text, "content-length"));
	mem_free(text);
	struct cassette *cassette = replay(folder);
	one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?token=other&b=1");
	one.method = "POST";
	one.body = "{\"api_key\":\"now\",\"deep\":[{\"password\":\"another\"}],\"user\":\"u\"}";
	one.body_size = strlen(one.body);
	expect_answer(cassette, one, 200, "{\n        \"secret\": \"(redacted)\"\n      }");
	one = ask(&wiki, NULL, "http://127.0.0.1:6500/w/api.php?token=other&b=1");
	one.method = "POST";
	one.body = "{\"api_key\":\"now\",\"deep\":[{\"password\":\"another\"}],\"user\":\"v\"}";
	one.body_size = strlen(one.body);
	assert_int_equal(cassette_play(cassette, &one, false, NULL, NULL), -1);
	http_transfer_free(&one);
	cassette_close(cassette);
}

static void recording_again_replaces_and_names_never_clash(void **state)
{
	struct folder *folder = *state;
	for (int round = 0; round < 2; round++) {
		struct cassette_writer *writer = record(folder);
		static const char *const urls[] = {"?a=1", "?a=2", "/../../etc/passwd", "/%2e%2e/x"};
		for (size_t i = 0; i < 4; i++) {
			char url[100];
			snprintf(url, sizeof url, "http://127.0.0.1:6500/w/api.php%s", urls[i]);
			struct http_transfer one = ask(&wiki, "../h", url);
			note(folder, writer, &one, NULL, 200, round ? "2" : "1", 1);
		}
		cassette_finish(writer);
	}
	struct cassette *cassette = replay(folder);
	assert_int_equal(cassette_count(cassette), 4);
	expect_answer(cassette, ask(&wiki, "../h", "http://127.0.0.1:6500/w/api.php?a=2"), 200, "2");
	cassette_close(cassette);
}

static void events_stand_a_line_each(void **state)
{
	struct folder *folder = *state;
	struct err err;
	struct cassette_writer *writer = record(folder);
	assert_true(cassette_event(writer, "{\"a\":1}", 7, &err));
	assert_true(cassette_event(writer, "{\n\"b\":2}", 8, &err));
	cassette_finish(writer);
	char *text = text_of(folder, CASSETTE_EVENTS);
	assert_string_equal(text, "{\"a\":1}\n{ \"b\":2}\n");
	mem_free(text);
}

static void what_is_no_cassette_is_refused_with_its_place(void **state)
{
	struct folder *folder = *state;
	static const struct {
		const char *text, *said;
	} cases[] = {
	        {"{\n\"request\": {},\n]", "bad.json:3: not JSON: expected a key in double quotes"},
	        {"{\"request\": {}}",
	                "bad.json: a recorded exchange has `request` (an object) and `answers` (a list)"},
	        {"[]", "bad.json: a recorded exchange has `request` (an object) and `answers` (a list)"},
	        {"{\"request\": {}, \"answers\": []}",
	                "bad.json: `answers` is empty: a recorded question has at least one"},
	        {"{\"request\": {},\n\"answers\": [\n{\"fault\": \"tired\"}]}",
	                "bad.json:3: `fault` is one of connect, timeout, reset, truncated, stale, too_large, "
	                "malformed"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err;
		put(folder, "bad.json", cases[i].text);
		assert_null(cassette_open(folder->path, &err));
		if (strstr(err.text, cases[i].said) == NULL)
			fail_msg("expected %s, got %s", cases[i].said, err.text);
	}
	struct err err;
	put(folder, "notes.txt", "mine");
	assert_null(cassette_record(folder->path, &err));
	assert_non_null(strstr(err.text, "holds notes.txt, which is no part of a cassette"));
	assert_null(cassette_open("/tmp/there/is/none", &err));
	assert_null(cassette_record("/proc/none", &err));
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
	        IN_A_FOLDER(what_was_asked_is_answered_again),
	        IN_A_FOLDER(another_question_is_told_with_the_nearest),
	        IN_A_FOLDER(a_shared_call_answers_each_of_its_values),
	        IN_A_FOLDER(of_shared_calls_the_smallest_answers),
	        IN_A_FOLDER(answers_come_in_their_order_and_the_last_again),
	        IN_A_FOLDER(no_secret_reaches_the_disk_and_all_are_matched),
	        IN_A_FOLDER(recording_again_replaces_and_names_never_clash),
	        IN_A_FOLDER(events_stand_a_line_each),
	        IN_A_FOLDER(what_is_no_cassette_is_refused_with_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
