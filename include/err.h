/* The sentence a person reads when something was refused: what, where, what was expected, what to do. */
#ifndef MILLRACE_ERR_H
#define MILLRACE_ERR_H

#include <stdbool.h>

struct err {
	char text[1024];
};

/* Writes the sentence and answers false, so that `return err_set(err, ...)` is one line. err may be NULL. */
bool err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
