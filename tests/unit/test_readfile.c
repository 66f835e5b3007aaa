/* A file is read whole, or it is said why not. */
#include "readfile.h"
#include "unit.h"

#include <errno.h>
#include <unistd.h>

static void write_file(char *path, size_t size)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(write(fd, &"abcdefg"[i % 7], 1), 1);
	close(fd);
}

static void all_of_a_file_is_appended(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537};
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char path[] = "/tmp/readfile-XXXXXX";
		struct buf out = {0};
		write_file(path, sizes[i]);
		buf_append_text(&out, "before ");
		assert_true(readfile(path, &out));
		assert_int_equal(out.size, 7 + sizes[i]);
		for (size_t n = 0; n < sizes[i]; n++)
			assert_int_equal(out.data[7 + n], "abcdefg"[n % 7]);
		buf_free(&out);
		unlink(path);
	}
}

static void what_cannot_be_read_has_its_reason(void **state)
{
	char path[] = "/tmp/readfile-XXXXXX";
	struct buf out = {.limit = 9};
	(void)state;
	write_file(path, 10);
	assert_false(readfile(path, &out));
	assert_int_equal(errno, EFBIG);
	assert_true(out.full);
	buf_clear(&out);
	unlink(path);
	assert_false(readfile(path, &out));
	assert_int_equal(errno, ENOENT);
	assert_false(readfile("/tmp", &out));
	assert_int_equal(errno, EISDIR);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_of_a_file_is_appended),
	        cmocka_unit_test(what_cannot_be_read_has_its_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
