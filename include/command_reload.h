/* Waits until engines run the script that is expected of them; asks them for nothing but their status.
 *
 * For engines that see a changed script by themselves (`script.reload: watch`): after a release of a chart,
 * or after files were copied. Needs no token. */
#ifndef MILLRACE_COMMAND_RELOAD_H
#define MILLRACE_COMMAND_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One file of the script as `script.files` of the status names it, or with name NULL the sum of all of it. */
struct reload_expected {
	const char *name;
	size_t name_size;
	const char *sha256; /* 64 digits in lower case */
};

struct reload_live {
	const char *const *urls; /* of admin ports */
	size_t url_count;
	bool all;        /* each URL's host stands for all its addresses, looked up anew for each look */
	size_t at_least; /* engines that there must be */
	const struct reload_expected *expected;
	size_t expected_count;
	int64_t timeout_ms;
};

/* "SHA256" or "NAME=SHA256"; false when it is neither. The text is borrowed. */
bool reload_expected_read(const char *text, struct reload_expected *expected);
/* Reads the status's JSON. NULL: the engine runs what is expected: each file that both name has that sum, and
 * the script's own file is among those expected. Else why not, to be freed with mem_free. */
char *reload_live_fault(
        const char *status, size_t size, const struct reload_expected *expected, size_t expected_count);
/* An exit code; what was found is told. */
int reload_live_wait(const struct reload_live *live);

#endif
