/* The JSON codec by chance: numbers, bytes and whole documents, judged by plainer code of the test's own. */
#include "json_fixture.h"

#include <math.h>

/* ---- numbers ---- */

static void every_double_is_printed_so_that_it_reads_back(void **state)
{
	(void)state;
	chance_begin("doubles");
	for (int i = 0; i < 100000; i++) {
		char text[JSON_NUMBER_TEXT];
		double value;
		uint64_t bits = chance();
		memcpy(&value, &bits, sizeof value);
		if (i % 2)
			value = (double)(int64_t)(bits >> 11) / pow(10, below(20));
		size_t size = json_print_number(value, text);
		if (!isfinite(value)) {
			assert_int_equal(size, 0);
			continue;
		}
		assert_true(size == strlen(text) && strtod(text, NULL) == value);
		struct json_number number;
		assert_null(json_number_scan((unsigned char *)text, (unsigned char *)text + size, &number));
		assert_true(number.size == size && number.value == value && number.kind != JSON_NUMBER_EXACT);
	}
}

/* What the decoder calls plain, the encoder prints the same; what it reads, strtod reads. */
static void decoder_and_encoder_agree_on_what_a_number_looks_like(void **state)
{
	(void)state;
	chance_begin("number texts");
	for (int i = 0; i < 200000; i++) {
		char text[80], printed[JSON_NUMBER_TEXT];
		int size = snprintf(text, sizeof text, "%s%.*llu", below(2) ? "-" : "", 1,
		        (unsigned long long)(chance() >> below(64)));
		if (below(2))
			size += snprintf(text + size, 40, ".%0*llu", (int)below(12) + 1,
			        (unsigned long long)(chance() >> (30 + below(34))));
		if (below(4) == 0)
			size += snprintf(text + size, 8, "e%d", (int)below(700) - 350);
		struct json_number number;
		assert_null(json_number_scan((unsigned char *)text, (unsigned char *)text + size, &number));
		double value = strtod(text, NULL);
		assert_true(number.value == value);
		bool same = json_print_number(value, printed) == (size_t)size &&
		            memcmp(printed, text, (size_t)size) == 0;
		bool integer = strpbrk(text, ".e") == NULL;
		if (number.kind == JSON_NUMBER_PLAIN && !same)
			fail_msg("%s is printed as %s", text, printed);
		if (integer && (number.kind == JSON_NUMBER_EXACT) == same)
			fail_msg("%s: kind %d, printed as %s", text, number.kind, printed);
		if (isinf(value) && number.kind != JSON_NUMBER_EXACT)
			fail_msg("%s is infinite", text);
	}
}

/* ---- UTF-8 ---- */

/* RFC 3629's table, written down plainly, to judge the fast scanner by. */
static size_t valid_utf8(const unsigned char *s, size_t size)
{
	static const unsigned char table[][8] = {{0x00, 0x7F}, {0xC2, 0xDF, 0x80, 0xBF},
	        {0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF}, {0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF},
	        {0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF}, {0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF},
	        {0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
	        {0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
	        {0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF}};
	size_t at = 0;
	while (at < size) {
		size_t length = 0;
		for (size_t row = 0; row < sizeof table / sizeof *table && length == 0; row++) {
			size_t i = 0;
			while (i < 4 && (i == 0 || table[row][2 * i]) && at + i < size &&
			        s[at + i] >= table[row][2 * i] && s[at + i] <= table[row][2 * i + 1])
				i++;
			length = i == 4 || (i && table[row][2 * i] == 0) ? i : 0;
		}
		if (length == 0)
			break;
		at += length;
	}
	return at;
}

/* Mostly whole characters, now and then a wrong byte. */
static size_t random_bytes(unsigned char *to, size_t size, unsigned script, bool clean)
{
	static const unsigned codes[][4] = {{'a', 'b', 'c', ' '}, {0x416, 0x43E, 0x7FF, ' '},
	        {0x6771, 0x800, 0xFFFD, 0x3042}, {0x1F600, 0x10000, 0x10FFFF, 0xE9},
	        {0xD55C, 0xAC00, 0xD7FF, 0x924}, {'x', 0xE9, 0x20AC, 0x1F600}};
	static const unsigned char wrong[] = {0x80, 0xBF, 0xC0, 0xC1, 0xC3, 0xE0, 0xED, 0xA0, 0x9F, 0xF0,
	        0x8F, 0x90, 0xF4, 0xF5, 0xFF, 0xEF, 'a', '"', '\\', '\n', 0x1F, 0};
	size_t at = 0;
	while (at + 4 < size) {
		char one[5];
		size_t length = utf8(one, codes[script % 6][below(4)]);
		memcpy(to + at, one, length);
		at += length;
	}
	if (!clean)
		for (unsigned n = below(3); n > 0; n--)
			to[below((unsigned)at)] = wrong[below(sizeof wrong)];
	return at;
}

static void invalid_utf8_is_found_at_its_first_byte(void **state)
{
	(void)state;
	chance_begin("UTF-8");
	for (int i = 0; i < 300000; i++) {
		size_t want = 6 + below(i % 10 ? 60 : 200);
		unsigned char *text = mem_alloc(want);
		size_t size = random_bytes(text, want, below(6), below(3) == 0);
		size_t cut = below(8) ? size : below((unsigned)size);
		unsigned char *exact = mem_alloc(cut); /* so that a sanitizer sees reads beyond */
		memcpy(exact, text, cut);
		size_t clean = 0;
		while (clean < cut && exact[clean] >= ' ' && exact[clean] != '"' && exact[clean] != '\\')
			clean++;
		size_t valid = valid_utf8(exact, clean);
		size_t found = (size_t)(json_text_run(exact, exact + cut) - exact);
		if (valid != found)
			fail_msg("round %d: valid up to %zu, found %zu of %zu", i, valid, found, cut);
		mem_free(exact);
		mem_free(text);
	}
}

/* ---- whole documents, judged by a small parser ---- */

struct text {
	char *data;
	size_t size;
};

static int by_bytes(const void *left, const void *right)
{
	const struct text *a = left, *b = right;
	int sign = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
	return sign ? sign : (a->size > b->size) - (a->size < b->size);
}

static void blank(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static unsigned four_digits(const char **at)
{
	char digits[5] = "";
	memcpy(digits, *at, 4);
	*at += 4;
	return (unsigned)strtoul(digits, NULL, 16);
}

/* Quotes and backslashes too are left as they are: a length stands before. */
static void canonical_string(const char **at, struct buf *out)
{
	struct buf text;
	buf_init(&text, 0);
	for (++*at; **at != '"';) {
		char c = *(*at)++;
		if (c != '\\') {
			buf_append_byte(&text, c);
			continue;
		}
		static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
		c = *(*at)++;
		if (c != 'u') {
			buf_append_byte(&text, bytes[strchr(names, c) - names]);
			continue;
		}
		unsigned code = four_digits(at);
		if (code >= 0xD800 && code < 0xDC00) {
			*at += 2;
			code = 0x10000 + ((code & 0x3FF) << 10) + (four_digits(at) & 0x3FF);
		}
		char one[5];
		buf_append(&text, one, utf8(one, code));
	}
	++*at;
	buf_printf(out, "%zu:", text.size);
	buf_append(out, text.data, text.size);
	buf_free(&text);
}

static void canonical(const char **at, struct buf *out);

static void canonical_members(const char **at, struct buf *out, bool object)
{
	struct text *members = NULL;
	size_t count = 0;
	buf_append_byte(out, *(*at)++);
	for (blank(at); **at != '}' && **at != ']'; blank(at)) {
		struct buf one;
		buf_init(&one, 0);
		*at += **at == ',';
		blank(at);
		if (object) {
			canonical_string(at, &one);
			blank(at);
			++*at;
		}
		canonical(at, &one);
		members = mem_realloc(members, (count + 1) * sizeof *members);
		members[count].data = buf_steal(&one, &members[count].size);
		count++;
	}
	++*at;
	if (object && count)
		qsort(members, count, sizeof *members, by_bytes);
	for (size_t i = 0; i < count; i++) {
		buf_append(out, members[i].data, members[i].size);
		buf_append_byte(out, ',');
		mem_free(members[i].data);
	}
	mem_free(members);
	buf_append_byte(out, object ? '}' : ']');
}

/* A text without white space and escapes, members sorted; numbers and words letter for letter. */
static void canonical(const char **at, struct buf *out)
{
	blank(at);
	if (**at == '"') {
		canonical_string(at, out);
	} else if (**at == '{' || **at == '[') {
		canonical_members(at, out, **at == '{');
	} else {
		size_t size = strcspn(*at, " \t\r\n,]}");
		buf_append(out, *at, size);
		*at += size;
	}
}

static void make_blank(struct buf *out)
{
	static const char blanks[] = " \t\r\n";
	while (below(6) == 0)
		buf_append_byte(out, blanks[below(4)]);
}

static void make_string(struct buf *out, int unique)
{
	static const unsigned ceilings[] = {0x80, 0x80, 0x800, 0x10000, 0x110000};
	unsigned ceiling = ceilings[below(5)];
	buf_append_byte(out, '"');
	if (unique)
		buf_printf(out, "%d.", unique);
	for (unsigned length = below(below(10) ? 12 : 120); length > 0; length--) {
		unsigned code = below(ceiling);
		char one[5];
		if (code >= 0xD800 && code <= 0xDFFF)
			continue;
		if (code == '"' || code == '\\')
			buf_printf(out, "\\%c", (int)code);
		else if (code < 0x20 || (code < 0x10000 && below(8) == 0))
			buf_printf(out, below(2) ? "\\u%04x" : "\\u%04X", code);
		else if (code >= 0x10000 && below(3) == 0)
			buf_printf(out, "\\u%04x\\u%04x", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
		else
			buf_append(out, one, utf8(one, code));
	}
	buf_append_byte(out, '"');
}

static void make_digits(struct buf *out, unsigned most)
{
	for (unsigned count = 1 + below(most); count > 0; count--)
		buf_append_byte(out, (char)('0' + below(10)));
}

static void make_number(struct buf *out)
{
	if (below(4) == 0)
		buf_append_byte(out, '-');
	if (below(4) == 0)
		buf_append_byte(out, '0');
	else
		buf_append_byte(out, (char)('1' + below(9)));
	if (out->data[out->size - 1] != '0' && below(3))
		make_digits(out, below(5) ? 9 : 40);
	if (below(3) == 0) {
		buf_append_byte(out, '.');
		make_digits(out, below(5) ? 6 : 30);
	}
	if (below(8) == 0) {
		buf_append_byte(out, "eE"[below(2)]);
		if (below(2))
			buf_append_byte(out, "+-"[below(2)]);
		make_digits(out, 3);
	}
}

static void make_value(struct buf *out, unsigned depth)
{
	unsigned kind = depth == 0 ? 3 + below(5) : below(8);
	make_blank(out);
	if (kind < 3) {
		bool object = kind < 2;
		buf_append_byte(out, object ? '{' : '[');
		unsigned count = below(below(12) ? 6 : 80);
		for (unsigned i = 0; i < count; i++) {
			if (i)
				buf_append_byte(out, ',');
			make_blank(out);
			if (object) {
				make_string(out, (int)i + 1);
				make_blank(out);
				buf_append_byte(out, ':');
			}
			make_value(out, count > 20 ? 0 : depth - 1);
		}
		make_blank(out);
		buf_append_byte(out, object ? '}' : ']');
	} else if (kind < 5) {
		make_string(out, 0);
	} else if (kind < 7) {
		make_number(out);
	} else {
		buf_append_text(out, ((const char *const[]){"true", "false", "null"})[below(3)]);
	}
	make_blank(out);
}

static void make_document(struct buf *out)
{
	do {
		buf_clear(out);
		make_value(out, 5);
	} while (strpbrk(out->data, "{[") == NULL ||
	         strchr("{[", out->data[strspn(out->data, " \t\r\n")]) == NULL);
}

static void same_meaning(const char *before, const char *after)
{
	struct buf a, b;
	const char *rest_a = before, *rest_b = after;
	buf_init(&a, 0);
	buf_init(&b, 0);
	canonical(&rest_a, &a);
	canonical(&rest_b, &b);
	if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
		fail_msg("changed:\n%s\n%s", before, after);
	buf_free(&a);
	buf_free(&b);
}

static void the_judge_can_tell_documents_apart(void **state)
{
	static const char *const pairs[][2] = {{"[1.0]", "[1]"}, {"[]", "{}"}, {"[\"a\"]", "[\"b\"]"},
	        {"[1,2]", "[2,1]"}, {"{\"a\":1}", "{\"b\":1}"}, {"[null]", "[]"}, {"[-0.0]", "[0.0]"},
	        {"[\"\\u0000\"]", "[\"\"]"}};
	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct buf a, b;
		const char *left = pairs[i][0], *right = pairs[i][1];
		buf_init(&a, 0);
		buf_init(&b, 0);
		canonical(&left, &a);
		canonical(&right, &b);
		assert_false(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
		buf_free(&a);
		buf_free(&b);
	}
	same_meaning("{\"b\" : [1, \"\\u0041\"], \"a\":{}}", "{\"a\":{},\"b\":[1,\"A\"]}");
}

static void no_document_changes_on_its_way_through_lua(void **state)
{
	struct json_error error;
	struct buf text, out;
	buf_init(&text, 0);
	buf_init(&out, 0);
	chance_begin("documents");
	for (int i = 0; i < 5000; i++) {
		make_document(&text);
		buf_clear(&out);
		decode_bytes(*state, text.data, text.size);
		if (!json_encode(*state, -1, &out, &error))
			fail_msg("%s: %s", text.data, error.message);
		same_meaning(text.data, out.data);
		lua_pop(*state, 1);
	}
	buf_free(&text);
	buf_free(&out);
}

static void every_truncated_document_is_refused(void **state)
{
	struct json_error error;
	struct buf text;
	buf_init(&text, 0);
	chance_begin("truncations");
	for (int i = 0; i < 300; i++) {
		make_document(&text);
		size_t size = text.size;
		while (size && strchr(" \t\r\n", text.data[size - 1]))
			size--;
		for (size_t cut = size > 400 ? size - 400 : 0; cut < size; cut++) {
			char *exact = mem_alloc(cut);
			memcpy(exact, text.data, cut);
			if (json_decode(*state, exact, cut, NULL, &error))
				fail_msg("accepted %zu of %zu bytes: %s", cut, size, text.data);
			assert_true(error.offset <= cut);
			mem_free(exact);
		}
	}
	buf_free(&text);
}

static void damaged_documents_are_refused_or_kept_as_they_are(void **state)
{
	static const char spice[] = "{}[]\",:\\u0eE.-+tfn \n\x01\x80\xC3\xE2\xED\xF0\xFF";
	struct json_error error;
	struct buf text, out;
	int accepted = 0;
	buf_init(&text, 0);
	buf_init(&out, 0);
	chance_begin("damage");
	for (int i = 0; i < 20000; i++) {
		if (i % 10 == 0)
			make_document(&text);
		char *damaged = mem_dup(text.data, text.size + 1); /* with its NUL, for the judge */
		for (unsigned n = 1 + below(2); n > 0; n--)
			damaged[below((unsigned)text.size)] =
			        below(2) ? spice[below(sizeof spice - 1)] : (char)chance();
		char *exact = mem_alloc(text.size);
		memcpy(exact, damaged, text.size);
		if (json_decode(*state, exact, text.size, NULL, &error)) {
			accepted++;
			buf_clear(&out);
			assert_true(json_encode(*state, -1, &out, &error));
			same_meaning(damaged, out.data);
			lua_pop(*state, 1);
		}
		mem_free(exact);
		mem_free(damaged);
	}
	assert_true(accepted > 100);
	buf_free(&text);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        STORY(every_double_is_printed_so_that_it_reads_back),
	        STORY(decoder_and_encoder_agree_on_what_a_number_looks_like),
	        STORY(invalid_utf8_is_found_at_its_first_byte),
	        STORY(the_judge_can_tell_documents_apart),
	        STORY(no_document_changes_on_its_way_through_lua),
	        STORY(every_truncated_document_is_refused),
	        STORY(damaged_documents_are_refused_or_kept_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
