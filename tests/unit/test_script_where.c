/* An expression over items says which of them match, and what is wrong with it is told before. */
#include "script_where.h"
#include "unit.h"

static enum where_verdict judge(const char *expression, const char *item, struct err *err)
{
	struct buf told;
	buf_init(&told, 0);
	struct where *where = where_open(expression, false, &told);
	if (where == NULL)
		fail_msg("%s", told.data);
	enum where_verdict verdict = where_test(where, item, strlen(item), err);
	where_close(where);
	buf_free(&told);
	return verdict;
}

static void items_are_judged_by_their_members(void **state)
{
	static const struct {
		const char *expression;
		enum where_verdict verdict;
	} all[] = {{"status == 200", WHERE_YES}, {"status ~= 200 or elapsed > 1", WHERE_NO},
	        {"event.page.id == 12 and host:match('wikipedia')", WHERE_YES},
	        {"upstream == nil", WHERE_YES}, {"event.none == null", WHERE_YES},
	        {"event.missing == null", WHERE_NO}, {"output.made", WHERE_YES},
	        {"#event.tags == 2", WHERE_YES}, {"true", WHERE_YES}, {"nil", WHERE_NO},
	        {"tostring(event.big) == '123456789012345678'", WHERE_YES}};
	const char *item =
	        "{\"stage\":\"out\",\"status\":200,\"host\":\"en.wikipedia.org\",\"elapsed\":0.5,"
	        "\"event\":{\"page\":{\"id\":12},\"none\":null,\"tags\":[1,2],\"big\":123456789012345678},"
	        "\"outputs\":[{\"value\":{\"made\":true}}]}";
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct err err = {""};
		enum where_verdict verdict = judge(all[i].expression, item, &err);
		if (verdict != all[i].verdict)
			fail_msg("%s: %d %s", all[i].expression, verdict, err.text);
	}
}

static void an_item_that_cannot_be_judged_says_why(void **state)
{
	struct err err = {""};
	(void)state;
	assert_int_equal(judge("event.page.id == 12", "{\"stage\":\"in\"}", &err), WHERE_FAILED);
	assert_non_null(strstr(err.text, "attempt to index global 'event' (a nil value)"));
	assert_int_equal(judge("bytes > 1", "{", &err), WHERE_FAILED);
}

static void an_expression_can_do_no_harm(void **state)
{
	static const char *const all[] = {"(function() while true do end end)()", "('x'):rep(1e9)",
	        "io.open('/etc/passwd')", "os.execute('true')", "require('ffi')", "_G.require('lib.x')",
	        "require('millrace').fetch({})",
	        "(function() local t = {} for i = 1, 1e9 do t[i] = {} end end)()", "loadfile('/etc/passwd')"};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct buf told;
		struct err err = {""};
		buf_init(&told, 0);
		struct where *where = where_open(all[i], false, &told);
		if (where && where_test(where, "{}", 2, &err) < WHERE_FAILED)
			fail_msg("%s", all[i]);
		where_close(where);
		buf_free(&told);
	}
}

static void items_do_not_hear_of_each_other(void **state)
{
	struct buf told;
	struct err err = {""};
	(void)state;
	buf_init(&told, 0);
	struct where *where = where_open("event ~= nil", false, &told);
	assert_non_null(where);
	assert_int_equal(where_test(where, "{\"event\":{}}", 12, &err), WHERE_YES);
	assert_int_equal(where_test(where, "{}", 2, &err), WHERE_NO);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(where_test(where, "{\"event\":{}}", 12, &err), WHERE_YES);
	where_close(where);
	buf_free(&told);
}

static void what_is_no_expression_is_told_with_its_place(void **state)
{
	static const struct {
		const char *expression, *told;
	} all[] = {
	        {"status = 200", "--where:1:8: error: the expression has ended here, and something follows\n"
	                         "     1 | status = 200\n"
	                         "       |        ^\n"
	                         "   hint: Lua compares with ==\n"},
	        {"a == b = c", ":1:8: error"},
	        {"status ==", "--where:1:10: error: the expression ends too early\n"},
	        {"status == 200 && host", "   hint: Lua writes `and`\n"},
	        {"status != 200", "   hint: Lua writes ~="},
	        {"stauts == 200", "--where:1:1: error: no item has 'stauts'; did you mean 'status'?\n"
	                          "     1 | stauts == 200\n"
	                          "       | ^^^^^^\n"},
	        {" ", "expected an expression"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct buf told;
		buf_init(&told, 0);
		struct where *where = where_open(all[i].expression, false, &told);
		if (where || strstr(told.data ? told.data : "", all[i].told) == NULL)
			fail_msg("%s: %s", all[i].expression, told.data ? told.data : "fine");
		buf_free(&told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(items_are_judged_by_their_members),
	        cmocka_unit_test(an_item_that_cannot_be_judged_says_why),
	        cmocka_unit_test(an_expression_can_do_no_harm),
	        cmocka_unit_test(items_do_not_hear_of_each_other),
	        cmocka_unit_test(what_is_no_expression_is_told_with_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
