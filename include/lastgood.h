/* A script that proved itself, with its modules and params: what to go back to, in memory and on disk.
 *
 * On disk it is DIR/GROUP/script-last-good.json, one object:
 *
 *   {"version":1,"identity":"<64
 * hex>","path":"scripts/job.lua","time":"2026-11-22T13:26:28.123Z","params":"{...}",
 *    "files":[{"name":"","text":"..."},{"name":"lib.mediawiki","text":"..."}],
 *    "refused":{"identity":"<64 hex>","reason":"..."}}
 *
 * An identity is the SHA-256 of a script's digest and its params: what is not what it says is not loaded.
 * `refused` is the script that was rolled back last; it may be missing. The file is replaced in one step, so
 * that several workers may write the same one, and nobody but its owner may read it: params can hold secrets.
 */
#ifndef MILLRACE_LASTGOOD_H
#define MILLRACE_LASTGOOD_H

#include "digest.h"
#include "err.h"
#include "script.h"

#include <stdbool.h>
#include <stdint.h>

struct lastgood {
	char identity[DIGEST_HEX];
	char *path;   /* of the main file, as it was configured */
	char *params; /* JSON text */
	int64_t time; /* wall ms, when it had proved itself */
	struct script_source *sources;
	size_t source_count;
	char refused[DIGEST_HEX]; /* identity; "" = none */
	char *refused_reason;     /* NULL = none */
};

void lastgood_identity(const char *script_sha256, const char *params, char identity[DIGEST_HEX]);
/* Copies. NULL and err where the script is too large to be kept, or not UTF-8. */
struct lastgood *lastgood_of(const struct script *script, const char *params, int64_t wall, struct err *err);
struct lastgood *lastgood_copy(const struct lastgood *good);
void lastgood_refuse(struct lastgood *good, const char *identity, const char *reason); /* NULL: nothing is */
/* A fresh state of it, by the limits of `config`. */
struct script *lastgood_load(const struct lastgood *good, const struct script_config *config,
        const struct script_world *world, struct err *err);
void lastgood_free(struct lastgood *good); /* NULL is fine */

/* Both block. Reading answers NULL without an err where there is none. */
bool lastgood_write(const char *dir, const char *group, const struct lastgood *good, struct err *err);
struct lastgood *lastgood_read(const char *dir, const char *group, struct err *err);
void lastgood_print(const struct lastgood *good, struct buf *out);
struct lastgood *lastgood_parse(const char *text, size_t size, struct err *err);

#endif
