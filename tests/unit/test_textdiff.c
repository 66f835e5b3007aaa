/* A diff is what GNU diff prints, makes one text of the other, and knows its bounds. */
#include "unit.h"
#include "diff_apply.h"
#include "edits.h"
#include "mem.h"
#include "textdiff.h"

#include <unistd.h>

enum { ROUNDS = 3000, COMPARED = 60, MAX = 8 << 20 };

static struct textdiff question(const char *from, const char *to)
{
	return (struct textdiff){.from = {from, strlen(from)},
	        .to = {to, strlen(to)},
	        .context = TEXTDIFF_CONTEXT,
	        .max = MAX};
}

static void expect(const char *from, const char *to, const char *wanted)
{
	struct textdiff asked = question(from, to);
	struct buf out;
	buf_init(&out, 0);
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_MADE);
	assert_string_equal(out.data ? out.data : "", wanted);
	buf_free(&out);
}

static void a_diff_is_printed_as_gnu_diff_prints_it(void **state)
{
	(void)state;
	expect("one\ntwo\nthree\n", "one\n2\nthree\n",
	        "--- a\n+++ b\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
	expect("same\n", "same\n", "");
	expect("", "", "");
	expect("", "new\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+new\n");
	expect("old\n", "", "--- a\n+++ b\n@@ -1 +0,0 @@\n-old\n");
	expect("a\nb\n", "", "--- a\n+++ b\n@@ -1,2 +0,0 @@\n-a\n-b\n");
	expect("end", "end\n", "--- a\n+++ b\n@@ -1 +1 @@\n-end\n\\ No newline at end of file\n+end\n");
	expect("a\nend", "b\nend",
	        "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-a\n+b\n end\n\\ No newline at end of file\n");
	expect("a\r\nb\r\n", "a\nb\r\n", "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-a\r\n+a\n b\r\n");
	expect("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\nx\n3\n4\n5\n6\n7\ny\n9\n",
	        "--- a\n+++ b\n@@ -1,9 +1,9 @@\n 1\n-2\n+x\n 3\n 4\n 5\n 6\n 7\n-8\n+y\n 9\n");
	expect("x\n1\n2\n3\n4\n5\n6\n7\ny\n", "1\n2\n3\n4\n5\n6\n7\n",
	        "--- a\n+++ b\n@@ -1,4 +1,3 @@\n-x\n 1\n 2\n 3\n@@ -6,4 +5,3 @@\n 5\n 6\n 7\n-y\n");
}

static void bytes_that_are_no_text_are_lines_too(void **state)
{
	(void)state;
	struct textdiff asked = question("", "");
	struct buf out;
	buf_init(&out, 0);
	asked.from = (struct bytes){"a\0b\n\xff\n", 6};
	asked.to = (struct bytes){"a\0c\n\xff\n", 6};
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_MADE);
	static const char wanted[] = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-a\0b\n+a\0c\n \xff\n";
	assert_int_equal(out.size, sizeof wanted - 1);
	assert_memory_equal(out.data, wanted, out.size);
	buf_free(&out);
}

static void as_much_context_is_shown_as_was_asked_for(void **state)
{
	(void)state;
	struct textdiff asked = question("1\n2\n3\n4\n5\n", "1\n2\nx\n4\n5\n");
	struct buf out;
	buf_init(&out, 0);
	asked.context = 0;
	textdiff(&asked, &out);
	assert_string_equal(out.data, "--- a\n+++ b\n@@ -3 +3 @@\n-3\n+x\n");
	asked.context = 1000000;
	textdiff(&asked, &out);
	assert_string_equal(out.data, "--- a\n+++ b\n@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+x\n 4\n 5\n");
	buf_free(&out);
}

static void where_equal_lines_leave_a_choice_the_last_ones_are_new(void **state)
{
	(void)state;
	expect("<p>\na\n</p>\n", "<p>\na\n</p>\n<p>\na\n</p>\n",
	        "--- a\n+++ b\n@@ -1,3 +1,6 @@\n <p>\n a\n </p>\n+<p>\n+a\n+</p>\n");
	expect("x\ny\nx\nz\n", "x\nz\n", "--- a\n+++ b\n@@ -1,4 +1,2 @@\n x\n-y\n-x\n z\n");
}

/* ---- by chance ---- */

static void append_line(struct buf *out, unsigned *seed, unsigned kinds)
{
	static const char *const common[] = {"", "</div>", "<p>", "</p>"};
	unsigned kind = (unsigned)rand_r(seed) % (kinds ? kinds : 10);
	if (kinds || kind < 3)
		buf_append_text(out, common[kind % 4]);
	else
		buf_printf(out, "text %u", (unsigned)rand_r(seed) % 100000);
	if (kinds > 4)
		buf_printf(out, "%u", kind);
	buf_append_byte(out, '\n');
}

/* kinds: how many different lines there are; 0 = as in a page of HTML. */
static void random_text(struct buf *out, unsigned *seed, unsigned lines, unsigned kinds)
{
	buf_clear(out);
	buf_append(out, "", 0);
	for (unsigned n = (unsigned)rand_r(seed) % lines; n > 0; n--)
		append_line(out, seed, kinds);
	if (out->size && rand_r(seed) % 3 == 0)
		out->data[--out->size] = '\0';
}

/* The same text with some lines gone, come or altered. */
static void edit_text(const struct buf *from, struct buf *out, unsigned *seed)
{
	struct diff_cursor at = {from->data, from->data + from->size};
	struct bytes line;
	buf_clear(out);
	buf_append(out, "", 0);
	while ((line = diff_line(&at)).size) {
		unsigned what = (unsigned)rand_r(seed) % 60;
		if (what == 0)
			continue;
		if (what == 1)
			append_line(out, seed, 0);
		if (what == 2)
			buf_append_text(out, "altered ");
		buf_append(out, line.data, line.size);
	}
	if (out->size && rand_r(seed) % 3 == 0)
		buf_append_text(out, "the end");
}

static void require_right(const struct textdiff *asked)
{
	struct buf out, made;
	buf_init(&out, 0);
	buf_init(&made, 0);
	assert_int_equal(textdiff(asked, &out), TEXTDIFF_MADE);
	bool equal = asked->from.size == asked->to.size &&
	             memcmp(asked->from.data, asked->to.data, asked->to.size) == 0;
	assert_true(equal == (out.size == 0));
	const char *why = diff_apply(asked->from, (struct bytes){out.data, out.size}, &made);
	if (why)
		fail_msg("%s: %s", why, out.data);
	assert_int_equal(made.size, asked->to.size);
	assert_memory_equal(made.data, asked->to.data, made.size);
	buf_free(&out);
	buf_free(&made);
}

static void a_diff_makes_the_one_text_of_the_other(void **state)
{
	(void)state;
	unsigned seed = unit_seed();
	struct buf a, b;
	buf_init(&a, 0);
	buf_init(&b, 0);
	for (int i = 0; i < ROUNDS; i++) {
		unsigned kinds = (unsigned)i % 7;
		random_text(&a, &seed, 40, kinds);
		if (i % 2)
			edit_text(&a, &b, &seed);
		else
			random_text(&b, &seed, 40, kinds);
		struct textdiff asked = {.from = {a.data, a.size},
		        .to = {b.data, b.size},
		        .context = (size_t)i % 5,
		        .max = MAX};
		require_right(&asked);
	}
	buf_free(&a);
	buf_free(&b);
}

/* Nothing in common but the kinds of lines: searches are cut short, and the diff is right nevertheless. */
static void what_takes_too_many_edits_to_be_shortest_is_right(void **state)
{
	(void)state;
	unsigned seed = unit_seed();
	struct buf a, b;
	buf_init(&a, 0);
	buf_init(&b, 0);
	for (unsigned kinds = 2; kinds < 30; kinds *= 5) {
		random_text(&a, &seed, 12000, kinds);
		for (int i = 0; i < 8000; i++)
			append_line(&a, &seed, kinds);
		buf_clear(&b);
		for (int i = 0; i < 8000; i++)
			append_line(&b, &seed, kinds);
		struct textdiff asked = {
		        .from = {a.data, a.size}, .to = {b.data, b.size}, .context = 3, .max = MAX};
		require_right(&asked);
	}
	buf_free(&a);
	buf_free(&b);
}

static void keep(const char *path, const struct buf *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fwrite(text->data, 1, text->size, file);
	fclose(file);
}

static void gnu_diff(const char *folder, const char *options, struct buf *out)
{
	char *command = mem_printf("cd %s && LC_ALL=C diff %s --label a --label b A B", folder, options);
	FILE *pipe = popen(command, "r");
	char block[4096];
	size_t got;
	assert_non_null(pipe);
	buf_clear(out);
	buf_append(out, "", 0);
	while ((got = fread(block, 1, sizeof block, pipe)) > 0)
		buf_append(out, block, got);
	assert_true(pclose(pipe) <= 256); /* 1: they differ */
	mem_free(command);
}

static size_t changes(const struct buf *diff)
{
	struct diff_cursor at = {diff->data, diff->data + diff->size};
	struct bytes line;
	size_t count = 0;
	while ((line = diff_line(&at)).size)
		count += line.data[0] == '-' || line.data[0] == '+';
	return count;
}

static void debians_diff_says_the_same_of_texts_like_pages(void **state)
{
	(void)state;
	unsigned seed = unit_seed();
	char folder[] = "/tmp/millrace-diff-XXXXXX";
	assert_non_null(mkdtemp(folder));
	char *path_a = mem_printf("%s/A", folder), *path_b = mem_printf("%s/B", folder);
	struct buf a, b, ours, theirs;
	buf_init(&a, 0);
	buf_init(&b, 0);
	buf_init(&ours, 0);
	buf_init(&theirs, 0);
	for (int i = 0; i < COMPARED; i++) {
		bool alike = i % 2;
		random_text(&a, &seed, 120, alike ? 0 : 5);
		if (alike)
			edit_text(&a, &b, &seed);
		else
			random_text(&b, &seed, 120, 5);
		keep(path_a, &a);
		keep(path_b, &b);
		struct textdiff asked = question(a.data, b.data);
		assert_int_equal(textdiff(&asked, &ours), TEXTDIFF_MADE);
		/* Of texts with little in common there are many shortest diffs: then only the length is. */
		gnu_diff(folder, alike ? "-au" : "-adu", &theirs);
		if (alike)
			assert_string_equal(ours.data ? ours.data : "", theirs.data);
		assert_int_equal(changes(&ours), changes(&theirs));
	}
	unlink(path_a);
	unlink(path_b);
	rmdir(folder);
	mem_free(path_a);
	mem_free(path_b);
	buf_free(&a);
	buf_free(&b);
	buf_free(&ours);
	buf_free(&theirs);
}

/* ---- bounds ---- */

static void what_is_over_a_bound_is_refused_with_the_reason(void **state)
{
	(void)state;
	struct textdiff asked = question("one\ntwo\n", "one\n2\n");
	struct buf out;
	buf_init(&out, 0);
	asked.max = 7;
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_TOO_LARGE);
	asked.max = 20; /* the texts fit, the diff does not */
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_TOO_LARGE);
	assert_int_equal(out.size, 0);
	asked.max = MAX;
	asked.steps = 3;
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_TIMEOUT);
	atomic_bool cancelled = true;
	asked.steps = 0;
	asked.cancelled = &cancelled;
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_CANCELLED);
	atomic_store(&cancelled, false);
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_MADE);
	buf_free(&out);
}

static void millions_of_empty_lines_are_too_many(void **state)
{
	(void)state;
	struct buf lines;
	buf_init(&lines, 0);
	memset(buf_reserve(&lines, 2 << 20), '\n', 2 << 20);
	buf_commit(&lines, 2 << 20);
	struct textdiff asked = question("x\n", "");
	struct buf out;
	buf_init(&out, 0);
	asked.to = (struct bytes){lines.data, lines.size};
	asked.max = 2 << 20;
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_TOO_LARGE);
	asked.to.size = 100000;
	assert_int_equal(textdiff(&asked, &out), TEXTDIFF_MADE);
	assert_true(textdiff_bytes(&asked) > 100000 * TEXTDIFF_LINE);
	buf_free(&out);
	buf_free(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_diff_is_printed_as_gnu_diff_prints_it),
	        cmocka_unit_test(bytes_that_are_no_text_are_lines_too),
	        cmocka_unit_test(as_much_context_is_shown_as_was_asked_for),
	        cmocka_unit_test(where_equal_lines_leave_a_choice_the_last_ones_are_new),
	        cmocka_unit_test(a_diff_makes_the_one_text_of_the_other),
	        cmocka_unit_test(what_takes_too_many_edits_to_be_shortest_is_right),
	        cmocka_unit_test(debians_diff_says_the_same_of_texts_like_pages),
	        cmocka_unit_test(what_is_over_a_bound_is_refused_with_the_reason),
	        cmocka_unit_test(millions_of_empty_lines_are_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
