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

static void a_chance_is_at_least_0_and_less_than_1(void **state)
{
	(void)state;
	double least = 1, most = 0;
	for (int i = 0; i < 10000; i++) {
		double chance = random_chance();
		least = chance < least ? chance : least;
		most = chance > most ? chance : most;
	}
	assert_true(least >= 0 && least < 0.1);
	assert_true(most < 1 && most > 0.9);
}

static void what_is_invented_follows_from_its_seed(void **state)
{
	(void)state;
	unsigned char first[13], again[13], other[13];
	assert_false(random_invented(first, sizeof first));
	random_invent(7);
	double chance = random_chance();
	assert_true(random_invented(first, sizeof first));
	random_invent(7);
	assert_true(chance == random_chance());
	assert_true(random_invented(again, sizeof again));
	assert_memory_equal(first, again, sizeof first);
	random_invent(8);
	assert_true(chance != random_chance());
	assert_true(random_invented(other, sizeof other));
	assert_memory_not_equal(first, other, sizeof first);
	a_chance_is_at_least_0_and_less_than_1(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_are_hex_as_long_as_asked_and_never_the_same),
	        cmocka_unit_test(a_chance_is_at_least_0_and_less_than_1),
	        cmocka_unit_test(what_is_invented_follows_from_its_seed), /* the last: it stays invented */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
