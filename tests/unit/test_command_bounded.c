/* The options of a bounded run are refused where they make no sense together. */
#include "command_bounded.h"
#include "clock.h"
#include "unit.h"

#include <string.h>

static int64_t noon(void)
{
	static const char text[] = "2026-11-22T12:00:00Z";
	int64_t wall = 0;
	assert_true(clock_parse(text, strlen(text), &wall));
	return wall;
}

static void bounds_that_make_sense_are_taken(void **state)
{
	static const struct bounds cases[] = {
	        {0},
	        {.group = "g"},
	        {.group = "g", .from = "earliest"},
	        {.group = "g", .from = "earliest", .until = "end", .resume = true, .json = true},
	        {.group = "g", .from = "latest", .until = "end"},
	        {.group = "g", .until = "2026-11-22T12:00:00Z"},
	        {.group = "g", .from = "2026-11-22T12:00:00Z", .until = "end"},
	        {.group = "g", .from = "2026-11-21T00:00:00Z", .until = "2026-11-22T00:00:00Z"},
	        {.group = "g", .from = "2026-11-21T00:00:00Z", .until = "2026-11-21T00:00:00Z"},
	        {.group = "g", .from = "2026-11-21T02:00:00+02:00", .until = "2026-11-21T00:00:00Z"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *fault = bounded_fault(&cases[i], noon());
		if (fault)
			fail_msg("%zu: %s", i, fault);
	}
}

static void bounds_that_make_none_are_refused_in_words(void **state)
{
	static const struct {
		struct bounds bounds;
		const char *words;
	} cases[] = {
	        {{.from = "earliest"}, "need --group"},
	        {{.until = "end"}, "need --group"},
	        {{.group = "g", .from = "soon"}, "--from: expected earliest, latest or a time"},
	        {{.group = "g", .from = "end"}, "--from: expected earliest, latest or a time"},
	        {{.group = "g", .until = "latest"}, "--until: expected end or a time"},
	        {{.group = "g", .until = "2026-11-22"}, "--until: expected end or a time"},
	        {{.group = "g", .until = "2026-11-22T12:00:01Z"}, "--until: expected a time that has been"},
	        {{.group = "g", .from = "2026-11-22T12:00:01Z"}, "--from: expected a time that has been"},
	        {{.group = "g", .from = "2026-11-22T11:00:00Z", .until = "2026-11-22T10:59:59Z"},
	                "later than --until"},
	        {{.group = "g", .from = "latest", .until = "2026-11-22T11:00:00Z"}, "later than --until"},
	        {{.group = "g", .resume = true}, "--resume goes with"},
	        {{.group = "g", .from = "earliest", .json = true}, "--json goes with --until"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *fault = bounded_fault(&cases[i].bounds, noon());
		if (fault == NULL || strstr(fault, cases[i].words) == NULL)
			fail_msg("%zu: %s", i, fault ? fault : "taken");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(bounds_that_make_sense_are_taken),
	        cmocka_unit_test(bounds_that_make_none_are_refused_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
