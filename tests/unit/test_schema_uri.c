/* References between schemas: RFC 3986's own examples, and those that schemas of events have. */
#include "mem.h"
#include "schema_uri.h"
#include "unit.h"

static void resolves(const char *base, const char *reference, const char *uri)
{
	char *found = schema_uri_resolve(base, reference);
	if (strcmp(found, uri) != 0)
		fail_msg("%s on %s: expected %s, found %s", reference, base, uri, found);
	mem_free(found);
}

/* RFC 3986 §5.4. */
static void references_are_resolved_as_the_rfc_says(void **state)
{
	static const char *const cases[][2] = {{"g:h", "g:h"}, {"g", "http://a/b/c/g"},
	        {"./g", "http://a/b/c/g"}, {"g/", "http://a/b/c/g/"}, {"/g", "http://a/g"},
	        {"//g", "http://g"}, {"?y", "http://a/b/c/d;p?y"}, {"g?y", "http://a/b/c/g?y"},
	        {"#s", "http://a/b/c/d;p?q#s"}, {"g#s", "http://a/b/c/g#s"}, {"g?y#s", "http://a/b/c/g?y#s"},
	        {";x", "http://a/b/c/;x"}, {"g;x?y#s", "http://a/b/c/g;x?y#s"}, {"", "http://a/b/c/d;p?q"},
	        {".", "http://a/b/c/"}, {"./", "http://a/b/c/"}, {"..", "http://a/b/"},
	        {"../", "http://a/b/"}, {"../g", "http://a/b/g"}, {"../..", "http://a/"},
	        {"../../g", "http://a/g"}, {"../../../g", "http://a/g"}, {"/./g", "http://a/g"},
	        {"/../g", "http://a/g"}, {"g.", "http://a/b/c/g."}, {"..g", "http://a/b/c/..g"},
	        {"./../g", "http://a/b/g"}, {"./g/.", "http://a/b/c/g/"}, {"g/./h", "http://a/b/c/g/h"},
	        {"g/../h", "http://a/b/c/h"}, {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
	        {"g?y/../x", "http://a/b/c/g?y/../x"}, {"g#s/../x", "http://a/b/c/g#s/../x"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		resolves("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
}

static void a_base_may_be_a_path_alone(void **state)
{
	(void)state;
	resolves("/mediawiki/page/change/1.2.0", "/fragment/common/2.0.0", "/fragment/common/2.0.0");
	resolves("/mediawiki/page/change/1.2.0", "1.1.0#/definitions/x",
	        "/mediawiki/page/change/1.1.0#/definitions/x");
	resolves("/mediawiki/page/change/1.2.0", "#", "/mediawiki/page/change/1.2.0#");
	resolves("/mediawiki/page/change/1.2.0", "../../../x", "/x");
	resolves("http://localhost:6023/repositories/x/1.0.0", "/error/2.1.0",
	        "http://localhost:6023/error/2.1.0");
	resolves("", "a/b", "a/b");
	resolves("a/b", "c", "a/c");
	resolves("http://a", "b", "http://a/b");
	resolves("urn:x:y", "#z", "urn:x:y#z");
}

static void pointers_are_read_and_written(void **state)
{
	const char *pointer = "/a~1b~0/c//";
	struct buf name, written;
	(void)state;
	buf_init(&name, 0);
	buf_init(&written, 0);
	for (int i = 0; i < 4; i++) {
		buf_clear(&name);
		assert_true(schema_pointer_next(&pointer, &name));
		schema_pointer_append(&written, name.data ? name.data : "", name.size);
	}
	assert_string_equal(written.data, "/a~1b~0/c//");
	assert_false(schema_pointer_next(&pointer, &name));
	pointer = "/a~2";
	assert_false(schema_pointer_next(&pointer, &name));
	char text[] = "/a%25b%2Fc";
	assert_true(schema_uri_unescape(text));
	assert_string_equal(text, "/a%b/c");
	char bad[] = "%4";
	assert_false(schema_uri_unescape(bad));
	buf_free(&name);
	buf_free(&written);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(references_are_resolved_as_the_rfc_says),
	        cmocka_unit_test(a_base_may_be_a_path_alone),
	        cmocka_unit_test(pointers_are_read_and_written),
	};
	return cmocka_run_group_tests_name("schema uri", tests, NULL, NULL);
}
