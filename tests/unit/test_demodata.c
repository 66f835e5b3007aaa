/* The demo's events: enough kinds, ids of their own, and pages that the demo's wiki agrees on. */
#include "demodata.h"
#include "clock.h"
#include "embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t number(const struct buf *event, const char *key)
{
	const char *at = strstr(event->data, key);
	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static uint64_t revision(const struct buf *event)
{
	return number(event, "\"revision\":{\"rev_id\":");
}

static void every_kind_and_outcome_comes_in_a_round(void **state)
{
	(void)state;
	static const char *const kinds[] = {
	        "create", "edit", "move", "undelete", "visibility_change", "delete", "canary", "broken"};
	size_t outcomes[4] = {0};
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		size_t count = 0;
		for (size_t n = 0; n < demodata_round(); n++)
			count += strcmp(demodata_kind(n), kinds[k]) == 0;
		if (count == 0)
			fail_msg("no sample is a %s", kinds[k]);
	}
	for (size_t n = 0; n < demodata_round(); n++)
		outcomes[demodata_outcome(n)]++;
	assert_int_equal(outcomes[DEMODATA_DROPPED], 1);
	assert_int_equal(outcomes[DEMODATA_FAILED], 2);
	assert_int_equal(outcomes[DEMODATA_PASSED], 5);
	assert_int_equal(outcomes[DEMODATA_ENRICHED], demodata_round() - 8);
}

static void the_first_round_keeps_the_samples_ids(void **state)
{
	(void)state;
	struct buf event;
	buf_init(&event, 0);
	demodata_event(0, &event);
	assert_int_equal(revision(&event), 1280100000);
	assert_non_null(strstr(event.data, "\"page_title\":\"Water_wheel\""));
	assert_null(strchr(event.data, '\n'));
	buf_free(&event);
}

static void a_later_round_has_later_revisions_and_other_pages(void **state)
{
	(void)state;
	struct buf first, later;
	buf_init(&first, 0);
	buf_init(&later, 0);
	size_t round = demodata_round();
	for (size_t n = 0; n < round; n++) {
		buf_clear(&first);
		buf_clear(&later);
		demodata_event(n, &first);
		demodata_event(n + 3 * round, &later);
		if (revision(&first) == 0)
			continue;
		assert_int_equal(revision(&later), revision(&first) + 3);
		assert_int_equal(number(&later, "\"page\":{\"page_id\":"),
		        number(&first, "\"page\":{\"page_id\":") + 1);
		assert_non_null(strstr(later.data, "_(2)\",\"namespace_id\""));
	}
	buf_free(&first);
	buf_free(&later);
}

static void an_id_that_is_absent_stays_absent(void **state)
{
	(void)state;
	struct buf event;
	buf_init(&event, 0);
	for (size_t n = 0; n < 3 * demodata_round(); n++)
		demodata_event(n, &event);
	assert_null(strstr(event.data, "\"rev_parent_id\":0"));
	buf_free(&event);
}

static void every_event_has_an_id_of_its_own(void **state)
{
	(void)state;
	struct buf event;
	buf_init(&event, 0);
	for (size_t n = 0; n < 500; n++) {
		char end[16];
		snprintf(end, sizeof(end), "-%012zx\"", n);
		buf_clear(&event);
		demodata_event(n, &event);
		const char *id = strstr(event.data, "\"id\":\"");
		assert_non_null(id);
		assert_memory_equal(id + 6 + 23, end, 14);
	}
	buf_free(&event);
}

static void events_happened_just_now_but_the_missing_one(void **state)
{
	(void)state;
	struct buf event;
	buf_init(&event, 0);
	for (size_t n = 0; n < demodata_round(); n++) {
		int64_t wall = 0;
		buf_clear(&event);
		demodata_event(n, &event);
		const char *dt = strstr(event.data, "\"dt\":\"");
		assert_non_null(dt);
		assert_true(clock_parse(dt + 6, 24, &wall));
		uint64_t id = revision(&event);
		bool missing = id >= DEMODATA_MISSING.first && id <= DEMODATA_MISSING.last;
		assert_true(missing ? wall < clock_wall() - 60000 : wall > clock_wall() - 60000);
	}
	buf_free(&event);
}

static void three_hundred_events_are_of_about_sixty_pages(void **state)
{
	(void)state;
	uint64_t pages[300];
	size_t count = 0;
	struct buf event;
	buf_init(&event, 0);
	for (size_t n = 0; n < 300; n++) {
		buf_clear(&event);
		demodata_event(n, &event);
		uint64_t page = number(&event, "\"page\":{\"page_id\":");
		size_t i = 0;
		while (i < count && pages[i] != page)
			i++;
		if (i == count)
			pages[count++] = page;
	}
	assert_in_range(count, 50, 70);
	buf_free(&event);
}

static void the_wiki_agrees_on_every_revisions_page(void **state)
{
	(void)state;
	struct buf event;
	buf_init(&event, 0);
	size_t found = 0;
	for (size_t n = 0; n < 5 * demodata_round(); n++) {
		struct demoapi_page page;
		buf_clear(&event);
		demodata_event(n, &event);
		if (strcmp(demodata_kind(n), "broken") == 0 || strcmp(demodata_kind(n), "canary") == 0)
			continue;
		assert_true(demodata_page(revision(&event), &page));
		assert_int_equal(page.page_id, number(&event, "\"page\":{\"page_id\":"));
		found++;
	}
	assert_true(found > 4 * demodata_round());
	buf_free(&event);
}

static void a_title_is_the_wikis_not_the_urls(void **state)
{
	(void)state;
	struct demoapi_page page;
	assert_true(demodata_page(1351079888211148, &page));
	assert_string_equal(page.title, "Talk:\"Mill\\pond\" & <nowiki>?");
	assert_true(demodata_page(1351079888211149, &page));
	assert_string_equal(page.title, "Talk:\"Mill\\pond\" & <nowiki>? (2)");
	assert_false(demodata_page(1, &page));
}

static void the_scripts_are_in_the_binary(void **state)
{
	(void)state;
	const struct embedded_file *script = embedded_find("page_content_change.lua");
	assert_non_null(script);
	assert_int_equal(strlen((const char *)script->data), script->size);
	assert_non_null(strstr((const char *)script->data, "require \"lib.mediawiki\""));
	assert_non_null(embedded_find("lib/mediawiki.lua"));
	assert_non_null(embedded_find("types/millrace.lua"));
	assert_null(embedded_find("nothing.lua"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_kind_and_outcome_comes_in_a_round),
	        cmocka_unit_test(the_first_round_keeps_the_samples_ids),
	        cmocka_unit_test(a_later_round_has_later_revisions_and_other_pages),
	        cmocka_unit_test(an_id_that_is_absent_stays_absent),
	        cmocka_unit_test(every_event_has_an_id_of_its_own),
	        cmocka_unit_test(events_happened_just_now_but_the_missing_one),
	        cmocka_unit_test(three_hundred_events_are_of_about_sixty_pages),
	        cmocka_unit_test(the_wiki_agrees_on_every_revisions_page),
	        cmocka_unit_test(a_title_is_the_wikis_not_the_urls),
	        cmocka_unit_test(the_scripts_are_in_the_binary),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
