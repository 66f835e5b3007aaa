/* libFuzzer: a diff of any two texts makes the one of the other. */
#include "fuzz.h"
#include "../unit/diff_apply.h"
#include "textdiff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {data, data + size};
	size_t context = fuzz_byte(&fuzz) % 6, from_size;
	const char *from = fuzz_until(&fuzz, '\0', &from_size);
	struct textdiff asked = {.context = context, .max = 1 << 20};
	struct buf out, made;
	/* Copies without anything behind them, so that the sanitizer sees a read beyond their end. */
	size_t to_size = fuzz_left(&fuzz);
	char *a = malloc(from_size + !from_size), *b = malloc(to_size + !to_size);
	fuzz_require(a && b, "no memory");
	memcpy(a, from, from_size);
	if (to_size)
		memcpy(b, fuzz.at, to_size);
	asked.from = (struct bytes){a, from_size};
	asked.to = (struct bytes){b, to_size};
	buf_init(&out, 0);
	buf_init(&made, 0);
	enum textdiff_outcome outcome = textdiff(&asked, &out);
	fuzz_require(outcome == TEXTDIFF_MADE, "it was %s", textdiff_outcome_name(outcome));
	const char *why = diff_apply(asked.from, (struct bytes){out.data ? out.data : "", out.size}, &made);
	fuzz_require(why == NULL, "%s", why);
	fuzz_require(made.size == to_size && (to_size == 0 || memcmp(made.data, b, to_size) == 0),
	        "another text came out:\n%.*s", (int)out.size, out.data ? out.data : "");
	buf_free(&out);
	buf_free(&made);
	free(a);
	free(b);
	return 0;
}
