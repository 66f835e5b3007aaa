/* An expression of Lua over items of a tap: does this one match? In a sandboxed state of its own.
 *
 * The members of an item (an object of JSON) are the expression's names; `output` is short for
 * outputs[1].value, `null` is JSON's, and beside them are the globals that a script has. What takes more than
 * its CPU time or memory is an error, like any other. */
#ifndef MILLRACE_SCRIPT_WHERE_H
#define MILLRACE_SCRIPT_WHERE_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct where;

enum where_verdict {
	WHERE_NO,
	WHERE_YES,
	WHERE_FAILED, /* this item cannot be judged; err says why */
	WHERE_WRONG,  /* no item can: the expression names what no item has */
};

/* NULL when it is no expression or names what no item has; then told holds what is wrong, with a caret. */
struct where *where_open(const char *expression, bool colour, struct buf *told);
enum where_verdict where_test(struct where *where, const char *item, size_t size, struct err *err);
void where_close(struct where *where); /* NULL is fine */

#endif
