/* The URL of a call. */
#include "url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static char *some_hosts[] = {"*.wikipedia.org", "www.wikidata.org"};

static const struct upstream_config plain = {.name = "mediawiki", .url = "http://localhost:6500/w/api.php"};
static const struct upstream_config direct = {
        .name = "direct", .url = "https://{host}/w/rest.php/v1/", .hosts = some_hosts, .host_count = 2};

static void is_built(
        const struct upstream_config *upstream, const struct request *request, const char *expected)
{
	struct buf url;
	struct err err;
	buf_init(&url, 0);
	const char *values[] = {request->merge_value};
	assert_true(url_build(&url, upstream, request, values, request->merge_value ? 1 : 0, &err));
	assert_string_equal(url.data, expected);
	buf_free(&url);
}

static void is_refused(
        const struct upstream_config *upstream, const struct request *request, const char *words)
{
	struct buf url;
	struct err err;
	buf_init(&url, 0);
	assert_false(url_build(&url, upstream, request, NULL, 0, &err));
	if (strstr(err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	assert_int_equal(url.size, 0);
	buf_free(&url);
}

static void path_and_query_are_appended_as_they_are(void **state)
{
	(void)state;
	is_built(&plain, &(struct request){.path = ""}, "http://localhost:6500/w/api.php");
	is_built(&plain, &(struct request){.path = "", .query = "a=b%20c&d"},
	        "http://localhost:6500/w/api.php?a=b%20c&d");
	is_built(&plain, &(struct request){.path = "/x", .query = ""}, "http://localhost:6500/w/api.php/x");
	is_built(&plain, &(struct request){.path = "?x=1", .query = "y=2"},
	        "http://localhost:6500/w/api.php?x=1&y=2");
}

static void the_merged_value_is_encoded(void **state)
{
	(void)state;
	is_built(&plain, &(struct request){.query = "a=b", .merge_param = "revids", .merge_value = "17"},
	        "http://localhost:6500/w/api.php?a=b&revids=17");
	is_built(&plain, &(struct request){.merge_param = "titles", .merge_value = "C# & co|\xc3\xa9"},
	        "http://localhost:6500/w/api.php?titles=C%23%20%26%20co%7C%C3%A9");
}

static void several_values_are_joined(void **state)
{
	(void)state;
	struct buf url;
	const char *const values[] = {"1", "2 3", "4"};
	buf_init(&url, 0);
	assert_true(url_build(&url, &plain, &(struct request){.merge_param = "ids"}, values, 3, NULL));
	assert_string_equal(url.data, "http://localhost:6500/w/api.php?ids=1%7C2%203%7C4");
	buf_free(&url);
}

static void a_host_stands_in_the_url_where_it_is_asked_for(void **state)
{
	(void)state;
	is_built(&direct, &(struct request){.host = "de.wikipedia.org", .path = "/page/A"},
	        "https://de.wikipedia.org/w/rest.php/v1/page/A");
	is_built(&plain, &(struct request){.host = "anything.example"}, "http://localhost:6500/w/api.php");
	assert_true(url_holds_host(&direct));
	assert_false(url_holds_host(&plain));
}

static void a_host_that_may_not_be_named_is_refused(void **state)
{
	(void)state;
	static const char *const strangers[] = {"wikipedia.org", "evilwikipedia.org",
	        "de.wikipedia.org.evil.example", "169.254.169.254", ".wikipedia.org"};
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
		is_refused(&direct, &(struct request){.host = (char *)strangers[i]},
		        "not among the `hosts` of upstream direct");
	is_refused(&direct, &(struct request){0}, "names no host");
	assert_true(url_host_allowed(&direct, "WWW.Wikidata.org"));
	assert_true(url_host_allowed(&direct, "a.b.wikipedia.org"));
}

static void a_star_means_any_host(void **state)
{
	(void)state;
	char *any[] = {"*"};
	struct upstream_config open = {
	        .name = "open", .url = "https://{host}/", .hosts = any, .host_count = 1};
	assert_true(url_host_allowed(&open, "de.wikipedia.org"));
	assert_true(url_host_allowed(&open, "localhost:8080"));
	assert_false(url_host_allowed(&open, "a/b"));
	assert_false(url_host_matches("de.wikipedia.org", "*.org.example"));
}

static void a_host_is_nothing_but_a_host(void **state)
{
	(void)state;
	static const char *const tricks[] = {"", "a/b", "user@de.wikipedia.org",
	        "evil.example/.wikipedia.org", "evil.example?.wikipedia.org", "evil.example#.wikipedia.org",
	        "a b", "a\r\nX: y", "%2e"};
	for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
		is_refused(&direct, &(struct request){.host = (char *)tricks[i]}, "not the name of a host");
		is_refused(&plain, &(struct request){.host = (char *)tricks[i]}, "not the name of a host");
	}
	assert_true(url_host_allowed(&plain, "[::1]:8080"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(path_and_query_are_appended_as_they_are),
	        cmocka_unit_test(the_merged_value_is_encoded),
	        cmocka_unit_test(several_values_are_joined),
	        cmocka_unit_test(a_host_stands_in_the_url_where_it_is_asked_for),
	        cmocka_unit_test(a_host_that_may_not_be_named_is_refused),
	        cmocka_unit_test(a_star_means_any_host),
	        cmocka_unit_test(a_host_is_nothing_but_a_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
