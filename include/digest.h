/* Digests and the UUIDs made of them: nothing of libcrypto outside digest.c.
 *
 * UUIDs: RFC 4122 (version 5 = SHA-1 of a namespace and a name, version 4 = random). */
#ifndef MILLRACE_DIGEST_H
#define MILLRACE_DIGEST_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

enum digest_kind { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256 };

enum { DIGEST_BYTES = 32, DIGEST_HEX = 65, UUID_TEXT = 37 };

/* Writes the digest of the pieces, one behind the other, as lower-case hex with a NUL. False when the
 * machine's libcrypto refuses the algorithm (MD5 under FIPS). */
bool digest_hex(enum digest_kind kind, const struct bytes *pieces, size_t count, char out[DIGEST_HEX]);
/* False when `namespace` is no UUID text. */
bool digest_uuid5(const char *namespace, const char *name, size_t size, char out[UUID_TEXT]);
void digest_uuid4(char out[UUID_TEXT]);

#endif
