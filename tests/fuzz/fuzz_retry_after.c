/* libFuzzer: whatever a server writes into Retry-After, the wait is a time that can be waited for. */
#include "fuzz.h"
#include "retry.h"

#include <ctype.h>

enum { MAX_ASKED_MS = 600000 };

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	return digits > 0 && digits < 10 && text[digits] == '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {data, data + size};
	int64_t wall = (int64_t)(fuzz_number(&fuzz, 6) % 253402300800000), wait = 0;
	unsigned attempts = fuzz_byte(&fuzz) % 16;
	double random = fuzz_byte(&fuzz) / 256.0;
	struct retry_config config = {.attempts = 1 + fuzz_byte(&fuzz) % 12,
	        .base_ms = 1 + (int64_t)fuzz_number(&fuzz, 2),
	        .cap_ms = 1 + (int64_t)fuzz_number(&fuzz, 3) % 3600000,
	        .deadline_ms = (int64_t)fuzz_number(&fuzz, 3)};
	char *text = fuzz_copy((const char *)fuzz.at, fuzz_left(&fuzz));
	int64_t after = retry_after(text, wall);
	fuzz_require(after >= -1, "%lld from '%s'", (long long)after, text);
	fuzz_require(
	        !is_number(text) || after == atoll(text) * 1000, "%lld from '%s'", (long long)after, text);
	if (retry_next(&config, attempts, wall, wall, after, random, &wait)) {
		int64_t most = config.cap_ms > MAX_ASKED_MS ? config.cap_ms : MAX_ASKED_MS;
		fuzz_require(attempts < config.attempts, "%u of %u attempts", attempts, config.attempts);
		fuzz_require(wait >= 0 && wait <= most, "%lld", (long long)wait);
		fuzz_require(config.deadline_ms == 0 || wait <= config.deadline_ms, "%lld", (long long)wait);
		fuzz_require(after < 0 || after > MAX_ASKED_MS || wait >= after, "%lld", (long long)wait);
	}
	free(text);
	return 0;
}
