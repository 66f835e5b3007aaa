/* The embedded Action API, asked through real sockets. */
#include "demoapi.h"
#include "buf.h"
#include "mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MISSING ((struct demoapi_range){900, 999})
#define HIDDEN ((struct demoapi_range){800, 899})

/* Ten revisions of a page follow each other; page 50 is a file. */
static bool page_of_ten(uint64_t rev_id, struct demoapi_page *page)
{
	page->page_id = rev_id / 10;
	snprintf(page->title, sizeof(page->title), "%s \"%d\"", rev_id / 10 == 50 ? "File:Mill" : "Title",
	        (int)(rev_id / 10));
	return true;
}

static struct demoapi_config at_once(void)
{
	return (struct demoapi_config){.missing = MISSING, .hidden = HIDDEN, .page = page_of_ten};
}

static struct demoapi *start(const struct demoapi_config *config)
{
	struct err err;
	struct demoapi *api = demoapi_start(config, &err);
	assert_non_null(api);
	return api;
}

static int send_question(const struct demoapi *api, const char *host, const char *target)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons(demoapi_port(api)),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	char *text = mem_printf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	mem_free(text);
	return fd;
}

static char *read_answer(int fd)
{
	struct buf answer;
	buf_init(&answer, 0);
	for (;;) {
		ssize_t size = read(fd, buf_reserve(&answer, 4096), 4096);
		buf_commit(&answer, size > 0 ? (size_t)size : 0);
		if (size <= 0)
			break;
	}
	close(fd);
	return buf_steal(&answer, NULL);
}

static char *get(const struct demoapi *api, const char *host, const char *target)
{
	return read_answer(send_question(api, host, target));
}

/* The whole answer to a question for these revisions; the caller frees it. */
static char *ask(const struct demoapi *api, const char *host, const char *ids)
{
	char *target = mem_printf(
	        "/w/api.php?action=query&format=json&formatversion=2&prop=revisions&rvslots=*&revids=%s",
	        ids);
	char *answer = get(api, host, target);
	mem_free(target);
	return answer;
}

static void assert_says(const char *answer, const char *text)
{
	if (strstr(answer, text) == NULL)
		fail_msg("expected %s in %s", text, answer);
}

static void assert_silent(const char *answer, const char *text)
{
	if (strstr(answer, text) != NULL)
		fail_msg("unexpected %s in %s", text, answer);
}

static void a_revision_comes_with_its_page_and_text(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	char *answer = ask(api, "en.wikipedia.org", "123");
	assert_says(answer, "HTTP/1.1 200");
	assert_says(answer, "application/json");
	assert_says(answer, "{\"batchcomplete\":true,\"query\":{\"pages\":[{\"pageid\":12,\"ns\":0,"
	                    "\"title\":\"Title \\\"12\\\"\",\"revisions\":[{\"revid\":123,");
	assert_says(answer,
	        "\"contentmodel\":\"wikitext\",\"contentformat\":\"text/x-wiki\",\"content\":\"'''Title");
	assert_says(answer, "made up for revision 123.");
	assert_silent(answer, "badrevids");
	assert_silent(answer, "mediainfo");
	assert_int_equal(demoapi_calls(api), 1);
	mem_free(answer);
	demoapi_stop(api);
}

static void a_revision_has_the_same_text_each_time(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	char *first = ask(api, "en.wikipedia.org", "1351079888211148"),
	     *second = ask(api, "en.wikipedia.org", "1351079888211148");
	assert_says(first, "\"revid\":1351079888211148,");
	assert_string_equal(strstr(first, "\r\n\r\n"), strstr(second, "\r\n\r\n"));
	mem_free(first);
	mem_free(second);
	demoapi_stop(api);
}

static void revisions_come_grouped_by_page_and_each_once(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	char *answer = ask(api, "en.wikipedia.org", "125%7C211%7C121%7C125");
	const char *page = strstr(answer, "\"pageid\":12,");
	assert_non_null(page);
	assert_null(strstr(page + 1, "\"pageid\":12,"));
	const char *one = strstr(answer, "{\"revid\":121,"), *five = strstr(answer, "{\"revid\":125,");
	const char *next = strstr(answer, "\"pageid\":21,");
	assert_true(page < one && one < five && five < next);
	assert_null(strstr(five + 1, "{\"revid\":125,"));
	mem_free(answer);
	demoapi_stop(api);
}

static void unknown_revisions_are_named_beside_the_others(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	char *alone = ask(api, "en.wikipedia.org", "901|900");
	assert_says(alone,
	        "{\"batchcomplete\":true,\"query\":{\"badrevids\":{\"900\":{\"revid\":900,\"missing\":true},"
	        "\"901\":{\"revid\":901,\"missing\":true}}}}");
	char *mixed = ask(api, "en.wikipedia.org", "7|900|1001");
	assert_says(mixed, "\"query\":{\"badrevids\":{\"900\":{\"revid\":900,\"missing\":true}},\"pages\":[{"
	                   "\"pageid\":0,");
	assert_says(mixed, "{\"revid\":1001,");
	mem_free(alone);
	mem_free(mixed);
	demoapi_stop(api);
}

static void a_hidden_revision_shows_no_text(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	char *answer = ask(api, "en.wikipedia.org", "801");
	assert_says(answer, "\"slots\":{\"main\":{\"sha1hidden\":true,\"texthidden\":true}}");
	assert_silent(answer, "content");
	mem_free(answer);
	demoapi_stop(api);
}

static void files_of_commons_have_two_slots_and_items_are_json(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	char *file = ask(api, "commons.wikimedia.org", "501"), *item = ask(api, "www.wikidata.org", "501");
	assert_says(file, "\"contentmodel\":\"wikitext\"");
	assert_says(file, "\"mediainfo\":{\"size\":");
	assert_says(item, "\"contentmodel\":\"wikibase-item\"");
	mem_free(file);
	mem_free(item);
	demoapi_stop(api);
}

static void a_refused_revision_is_answered_when_asked_again(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	config.trouble_every = 1;
	struct demoapi *api = start(&config);
	bool busy = false, limited = false;
	for (int id = 1; id <= 20; id++) {
		char *ids = mem_printf("%d", id);
		char *first = ask(api, "en.wikipedia.org", ids), *second = ask(api, "en.wikipedia.org", ids);
		if (strncmp(first, "HTTP/1.1 429", 12) == 0) {
			assert_says(first, "Retry-After: 1\r\n");
			limited = true;
		} else {
			assert_says(first, "HTTP/1.1 503");
			busy = true;
		}
		assert_says(second, "HTTP/1.1 200");
		mem_free(ids);
		mem_free(first);
		mem_free(second);
	}
	assert_true(busy && limited);
	demoapi_stop(api);
}

static void a_call_is_refused_once_whatever_it_asks(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	config.trouble_every = 1;
	struct demoapi *api = start(&config);
	char *first = ask(api, "en.wikipedia.org", "1|2|3"), *second = ask(api, "en.wikipedia.org", "1|2|3");
	assert_silent(first, "HTTP/1.1 200");
	assert_says(second, "HTTP/1.1 200");
	mem_free(first);
	mem_free(second);
	demoapi_stop(api);
}

static void a_wrong_question_gets_the_codes_of_mediawiki(void **state)
{
	(void)state;
	static const struct {
		const char *target, *code;
	} cases[] = {
	        {"/w/api.php", "unknown_action"},
	        {"/w/api.php?action=parse", "unknown_action"},
	        {"/w/api.php?action=query&prop=revisions&revids=1", "unknown_formatversion"},
	        {"/w/api.php?action=query&formatversion=2&prop=info&revids=1", "unknown_prop"},
	        {"/w/api.php?action=query&formatversion=2&prop=revisions", "missingparam"},
	        {"/w/api.php?action=query&formatversion=2&prop=revisions&revids=", "badinteger"},
	        {"/w/api.php?action=query&formatversion=2&prop=revisions&revids=1|x", "badinteger"},
	        {"/w/api.php?action=query&formatversion=2&prop=revisions&revids=1|", "badinteger"},
	        {"/w/api.php?action=query&formatversion=2&prop=revisions&revids=-1", "badinteger"},
	        {"/w/api.php?action=query&formatversion=2&prop=revisions&revids="
	         "1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|"
	         "1|1|1|1|1|1",
	                "toomanyvalues"},
	};
	struct demoapi_config config = at_once();
	struct demoapi *api = start(&config);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *answer = get(api, "en.wikipedia.org", cases[i].target);
		char *body = mem_printf("{\"error\":{\"code\":\"%s\"", cases[i].code);
		char *header = mem_printf("MediaWiki-API-Error: %s\r\n", cases[i].code);
		assert_says(answer, "HTTP/1.1 200");
		assert_says(answer, body);
		assert_says(answer, header);
		mem_free(answer);
		mem_free(body);
		mem_free(header);
	}
	char *elsewhere = get(api, "en.wikipedia.org", "/w/index.php");
	assert_says(elsewhere, "HTTP/1.1 404");
	mem_free(elsewhere);
	demoapi_stop(api);
}

static void a_page_is_made_up_where_none_is_known(void **state)
{
	(void)state;
	struct demoapi_config config = demoapi_defaults();
	config.delay_min_ms = config.delay_max_ms = 0;
	config.trouble_every = 0;
	struct demoapi *api = start(&config);
	char *answer = ask(api, "en.wikipedia.org", "5");
	assert_says(answer, "\"title\":\"Page ");
	mem_free(answer);
	demoapi_stop(api);
}

static void waits_for_calls(const struct demoapi *api, uint64_t calls)
{
	for (int i = 0; i < 1000 && demoapi_calls(api) < calls; i++)
		usleep(10000);
	assert_int_equal(demoapi_calls(api), calls);
}

static void it_stops_with_answers_still_waiting(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	config.delay_min_ms = config.delay_max_ms = 3600 * 1000;
	struct demoapi *api = start(&config);
	int one = send_question(api, "en.wikipedia.org", "/w/api.php"),
	    two = send_question(api, "en.wikipedia.org", "/w/api.php");
	waits_for_calls(api, 2);
	demoapi_stop(api);
	char *answer = read_answer(one);
	assert_string_equal(answer, "");
	mem_free(answer);
	close(two);
}

static void a_client_that_leaves_disturbs_nobody(void **state)
{
	(void)state;
	struct demoapi_config config = at_once();
	config.delay_min_ms = config.delay_max_ms = 50;
	struct demoapi *api = start(&config);
	for (int i = 0; i < 20; i++) {
		int fd = send_question(api, "en.wikipedia.org",
		        "/w/api.php?action=query&formatversion=2&prop=revisions&revids=1");
		struct linger reset = {.l_onoff = 1};
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		waits_for_calls(api, (uint64_t)i + 1);
		close(fd);
	}
	char *answer = ask(api, "en.wikipedia.org", "123");
	assert_says(answer, "\"revid\":123,");
	mem_free(answer);
	demoapi_stop(api);
}

static void stopping_nothing_is_fine(void **state)
{
	(void)state;
	demoapi_stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_revision_comes_with_its_page_and_text),
	        cmocka_unit_test(a_revision_has_the_same_text_each_time),
	        cmocka_unit_test(revisions_come_grouped_by_page_and_each_once),
	        cmocka_unit_test(unknown_revisions_are_named_beside_the_others),
	        cmocka_unit_test(a_hidden_revision_shows_no_text),
	        cmocka_unit_test(files_of_commons_have_two_slots_and_items_are_json),
	        cmocka_unit_test(a_refused_revision_is_answered_when_asked_again),
	        cmocka_unit_test(a_call_is_refused_once_whatever_it_asks),
	        cmocka_unit_test(a_wrong_question_gets_the_codes_of_mediawiki),
	        cmocka_unit_test(a_page_is_made_up_where_none_is_known),
	        cmocka_unit_test(it_stops_with_answers_still_waiting),
	        cmocka_unit_test(a_client_that_leaves_disturbs_nobody),
	        cmocka_unit_test(stopping_nothing_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
