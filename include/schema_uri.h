/* References between schemas: RFC 3986 resolution and the fragments of RFC 6901. Pure. */
#ifndef MILLRACE_SCHEMA_URI_H
#define MILLRACE_SCHEMA_URI_H

#include "buf.h"
#include "jsontree.h"

#include <stdbool.h>

/* `reference` against `base` (RFC 3986 §5.2); `base` may be a path alone (/mediawiki/page/change/1.2.0), or
 * empty. The fragment is the reference's. The caller frees with mem_free. */
char *schema_uri_resolve(const char *base, const char *reference);
/* Cuts the fragment off: the answer is what stood behind '#', in place; NULL when there was no '#'. */
char *schema_uri_cut_fragment(char *uri);
/* %41 -> A, in place. False when a % is followed by something else than two hexadecimal digits. */
bool schema_uri_unescape(char *text);
/* The next name of a JSON pointer: *pointer stands at its '/' and moves behind the name, which is appended to
 * `name` with ~0 and ~1 resolved. False when there is no '/' or a bad '~'. */
bool schema_pointer_next(const char **pointer, struct buf *name);
/* Appends "/name" with ~ and / escaped. */
void schema_pointer_append(struct buf *pointer, const char *name, size_t size);
/* Appends the pointer of the value at `index`, or of the member whose key is there. */
void schema_pointer_of(const struct jsontree *tree, uint32_t index, struct buf *pointer);

#endif
