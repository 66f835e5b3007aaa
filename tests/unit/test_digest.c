/* Digests and UUIDs, against published values. */
#include "digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void digests_are_those_of_the_standards(void **state)
{
	char hex[DIGEST_HEX];
	struct bytes abc = {"abc", 3}, pieces[] = {{"a", 1}, {"", 0}, {"bc", 2}};
	(void)state;
	assert_true(digest_hex(DIGEST_SHA256, &abc, 1, hex)); /* FIPS 180-2, appendix B.1 */
	assert_string_equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex);
	assert_true(digest_hex(DIGEST_SHA256, pieces, 3, hex));
	assert_string_equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex);
	assert_true(digest_hex(DIGEST_SHA1, &abc, 1, hex));
	assert_string_equal("a9993e364706816aba3e25717850c26c9cd0d89d", hex);
	assert_true(digest_hex(DIGEST_MD5, &abc, 1, hex)); /* RFC 1321, appendix A.5 */
	assert_string_equal("900150983cd24fb0d6963f7d28e17f72", hex);
	assert_true(digest_hex(DIGEST_SHA256, NULL, 0, hex));
	assert_string_equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex);
}

static void a_name_has_one_uuid_for_ever(void **state)
{
	static const char dns[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
	char first[UUID_TEXT], again[UUID_TEXT];
	(void)state;
	assert_true(digest_uuid5(dns, "www.example.com", 15, first)); /* RFC 9562, appendix A.4 */
	assert_string_equal("2ed6657d-e927-568b-95e1-2665a8aea6a2", first);
	assert_true(digest_uuid5("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "www.example.com", 15, again));
	assert_string_equal(first, again);
}

static void what_is_no_uuid_is_no_namespace(void **state)
{
	static const char *const bad[] = {"", "6ba7b810", "6ba7b810-9dad-11d1-80b4-00c04fd430c",
	        "6ba7b810-9dad-11d1-80b4-00c04fd430c8a", "6ba7b810x9dad-11d1-80b4-00c04fd430c8",
	        "6ba7b81g-9dad-11d1-80b4-00c04fd430c8"};
	char text[UUID_TEXT];
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(digest_uuid5(bad[i], "x", 1, text));
}

static void random_uuids_are_of_version_4_and_differ(void **state)
{
	char a[UUID_TEXT], b[UUID_TEXT];
	(void)state;
	digest_uuid4(a);
	digest_uuid4(b);
	assert_int_equal(36, strlen(a));
	assert_int_equal('4', a[14]);
	assert_non_null(strchr("89ab", a[19]));
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(digests_are_those_of_the_standards),
	        cmocka_unit_test(a_name_has_one_uuid_for_ever),
	        cmocka_unit_test(what_is_no_uuid_is_no_namespace),
	        cmocka_unit_test(random_uuids_are_of_version_4_and_differ),
	};
	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
