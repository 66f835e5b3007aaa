/* The text of a page as benchmarks use it: wikitext as JSON writes it, which snappy shrinks to about a half.
 */
#ifndef BENCH_PAGE_TEXT_H
#define BENCH_PAGE_TEXT_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Of BYTES bytes, no escape and no character cut, the same for everybody. The caller frees it. */
static inline char *page_text(size_t bytes)
{
	static const char *const words[] = {"the ", "mill ", "of ", "a ", "narrow ", "race ", "was ",
	        "[[river]] ", "built ", "in ", "1801, ", "[[flour|ground]] ", "and ", "''old'' ", "stone ",
	        "M\xC3\xBChle ", "wheel ", "turns ", "by ", "water;\\n", "== History ==\\n", "\\\"long\\\" ",
	        "{{cite|year=1987}} ", "caf\xC3\xA9 ", "which ", "owners ", "sold ", "after ", "war. ",
	        "<ref name=\\\"a\\\"/> ", "its ", "walls "};
	char *text = malloc(bytes + 1);
	size_t size = 0;
	unsigned seed = 12345;
	while (text) {
		seed = seed * 1103515245u + 12345u;
		const char *word = words[(seed >> 16) % (sizeof words / sizeof *words)];
		size_t length = strlen(word);
		if (size + length + 1 > bytes)
			break;
		memcpy(text + size, word, length);
		size += length;
		if ((seed >> 24) % 3 == 0) /* or nothing but thirty-two words would ever come */
			text[size++] = (char)('a' + (seed >> 21) % 26);
	}
	if (text) {
		memset(text + size, '.', bytes - size);
		text[bytes] = '\0';
	}
	return text;
}

#endif
