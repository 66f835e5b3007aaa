/* Answers of the EventStreamConfig API, and what is left of them when it is away. */
#include "streams.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char answer[] =
        "{\"streams\":{\"mediawiki.page_change.v1\":{\"stream\":\"mediawiki.page_change.v1\","
        "\"schema_title\":\"mediawiki\\/page\\/change\",\"topic_prefixes\":[\"eqiad.\",\"codfw.\"],"
        "\"topics\":[\"eqiad.mediawiki.page_change.v1\",\"codfw.mediawiki.page_change.v1\"],"
        "\"message_key_fields\":{\"wiki_id\":\"wiki_id\",\"page_id\":\"page.page_id\"},\"canary_events_"
        "enabled\":true},"
        "\"plain\":{\"topics\":[\"plain\",7],\"message_key_fields\":{\"n\":1}}}}";

static void expect_url(const char *uri, const char *const *names, size_t count, const char *expected)
{
	struct buf url;
	buf_init(&url, 0);
	streams_url(uri, names, count, &url);
	assert_string_equal(url.data, expected);
	buf_free(&url);
}

static void the_question_names_all_streams(void **state)
{
	static const char *const names[] = {"mediawiki.page_change.v1", "a b|c"};
	(void)state;
	expect_url("http://localhost/w/api.php", names, 2,
	        "http://localhost/w/api.php?action=streamconfigs&format=json&formatversion=2&streams="
	        "mediawiki.page_change.v1%7Ca%20b%7Cc");
	expect_url("http://localhost/w/api.php?x=1", names, 1,
	        "http://localhost/w/api.php?x=1&action=streamconfigs&format=json&formatversion=2&streams="
	        "mediawiki.page_change.v1");
}

static void an_answer_tells_topics_title_and_key_in_their_order(void **state)
{
	struct streams streams;
	struct err err = {""};
	(void)state;
	assert_true(streams_parse(answer, strlen(answer), &streams, &err));
	const struct stream *stream = streams_find(&streams, "mediawiki.page_change.v1");
	assert_non_null(stream);
	assert_string_equal(stream->schema_title, "mediawiki/page/change");
	assert_int_equal(stream->topic_count, 2);
	assert_string_equal(stream->topics[1], "codfw.mediawiki.page_change.v1");
	assert_int_equal(stream->key_count, 2);
	assert_string_equal(stream->key[0].name, "wiki_id");
	assert_string_equal(stream->key[1].path, "page.page_id");
	stream = streams_find(&streams, "plain"); /* what is no text is left out */
	assert_int_equal(stream->topic_count, 1);
	assert_int_equal(stream->key_count, 0);
	assert_null(stream->schema_title);
	assert_null(streams_find(&streams, "other"));
	streams_free(&streams);
}

static void what_is_no_answer_is_told(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {{"<html>", "not JSON"}, {"{}", "no 'streams'"}, {"[]", "no 'streams'"},
	        {"{\"error\":{\"code\":\"x\",\"info\":\"Unrecognized value\"}}", "Unrecognized value"},
	        {"{\"streams\":7}", "no 'streams'"}, {"{\"streams\":[1]}", "no 'streams'"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct streams streams;
		struct err err = {""};
		assert_false(streams_parse(cases[i].text, strlen(cases[i].text), &streams, &err));
		if (strstr(err.text, cases[i].said) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].said);
		streams_free(&streams);
	}
	struct streams none;
	assert_true(streams_parse("{\"streams\":[]}", 14, &none, NULL)); /* PHP's empty map */
	assert_int_equal(none.count, 0);
	streams_free(&none);
}

static void the_last_answer_serves_while_the_api_is_away(void **state)
{
	static const char *const names[] = {"mediawiki.page_change.v1"}, *const other[] = {
	                                                                         "mediawiki.page_change.v1",
	                                                                         "new"};
	char folder[] = "/tmp/millrace-streams-XXXXXX", cache[100];
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(cache, sizeof cache, "%s/streams.json", folder);
	struct streams_source source = {.uri = "http://127.0.0.1:1/w/api.php",
	        .cache = cache,
	        .fetch = {.user_agent = "test/1", .timeout_ms = 5000, .max_bytes = 100000}};
	struct streams streams;
	struct err err = {""};
	assert_int_equal(streams_ask(&source, names, 1, &streams, &err), STREAMS_UNKNOWN);
	assert_non_null(strstr(err.text, "http://127.0.0.1:1/"));
	streams_free(&streams);
	FILE *file = fopen(cache, "w");
	fputs(answer, file);
	fclose(file);
	assert_int_equal(streams_ask(&source, names, 1, &streams, &err), STREAMS_CACHED);
	assert_non_null(strstr(err.text, "going on with the answer of 20"));
	assert_non_null(streams_find(&streams, names[0]));
	streams_free(&streams);
	/* What the old answer does not know is not made up. */
	assert_int_equal(streams_ask(&source, other, 2, &streams, &err), STREAMS_UNKNOWN);
	assert_int_equal(streams.count, 0);
	streams_free(&streams);
	assert_int_equal(truncate(cache, 20), 0);
	assert_int_equal(streams_ask(&source, names, 1, &streams, &err), STREAMS_UNKNOWN);
	streams_free(&streams);
	unlink(cache);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_question_names_all_streams),
	        cmocka_unit_test(an_answer_tells_topics_title_and_key_in_their_order),
	        cmocka_unit_test(what_is_no_answer_is_told),
	        cmocka_unit_test(the_last_answer_serves_while_the_api_is_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
