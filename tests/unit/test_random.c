/* Names that nobody else takes. */
#include "random.h"
#include "unit.h"

static void names_are_hex_as_long_as_asked_and_never_the_same(void **state)
{
	(void)state;
	static char names[1000][17];
	for (size_t size = 1; size <= 33; size += 2) {
		char text[40];
		memset(text, 'x', sizeof text);
		random_hex(text, size);
		assert_int_equal(strlen(text), size - 1);
		assert_int_equal(strspn(text, "0123456789abcdef"), size - 1);
		assert_int_equal(text[size], 'x');
	}
	for (size_t i = 0; i < 1000; i++) {
		random_hex(names[i], sizeof names[i]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_are_hex_as_long_as_asked_and_never_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
