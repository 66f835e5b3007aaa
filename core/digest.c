/* Digests and the UUIDs made of them. */
#include "digest.h"
#include "random.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static const EVP_MD *algorithm(enum digest_kind kind)
{
	switch (kind) {
	case DIGEST_MD5: return EVP_md5();
	case DIGEST_SHA1: return EVP_sha1();
	case DIGEST_SHA256: break;
	}
	return EVP_sha256();
}

static bool digest_raw(enum digest_kind kind, const struct bytes *pieces, size_t count,
        unsigned char out[DIGEST_BYTES], unsigned *size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, algorithm(kind), NULL) == 1;
	for (size_t i = 0; good && i < count; i++)
		good = EVP_DigestUpdate(context, pieces[i].data, pieces[i].size) == 1;
	good = good && EVP_DigestFinal_ex(context, out, size) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

static void hex(const unsigned char *bytes, size_t count, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

bool digest_hex(enum digest_kind kind, const struct bytes *pieces, size_t count, char out[DIGEST_HEX])
{
	unsigned char raw[DIGEST_BYTES];
	unsigned size = 0;
	if (!digest_raw(kind, pieces, count, raw, &size))
		return false;
	hex(raw, size, out);
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool uuid_dash(size_t at)
{
	return at == 8 || at == 13 || at == 18 || at == 23;
}

static bool uuid_parse(const char *text, unsigned char out[16])
{
	size_t half = 0;
	if (strlen(text) != UUID_TEXT - 1)
		return false;
	memset(out, 0, 16);
	for (size_t at = 0; at < UUID_TEXT - 1; at++) {
		int value = hex_value(text[at]);
		if (uuid_dash(at) ? text[at] != '-' : value < 0)
			return false;
		if (!uuid_dash(at)) {
			out[half / 2] = (unsigned char)(out[half / 2] << 4 | value);
			half++;
		}
	}
	return true;
}

static void uuid_format(unsigned char raw[16], unsigned version, char out[UUID_TEXT])
{
	static const size_t groups[] = {4, 2, 2, 2, 6};
	raw[6] = (unsigned char)((raw[6] & 0x0f) | version << 4);
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		hex(raw, groups[i], out);
		raw += groups[i];
		out += 2 * groups[i];
		*out++ = '-';
	}
	out[-1] = '\0';
}

bool digest_uuid5(const char *namespace, const char *name, size_t size, char out[UUID_TEXT])
{
	unsigned char space[16], raw[DIGEST_BYTES];
	unsigned length;
	if (!uuid_parse(namespace, space))
		return false;
	struct bytes pieces[] = {{(const char *)space, sizeof space}, {name, size}};
	if (!digest_raw(DIGEST_SHA1, pieces, 2, raw, &length))
		abort(); /* a libcrypto without SHA-1 cannot serve at all */
	uuid_format(raw, 5, out);
	return true;
}

void digest_uuid4(char out[UUID_TEXT])
{
	unsigned char raw[16];
	if (!random_invented(raw, sizeof raw) && RAND_bytes(raw, sizeof raw) != 1)
		abort();
	uuid_format(raw, 4, out);
}
