/* What a file holds, whole. Blocks as long as the disk does, so not on the loop. */
#ifndef MILLRACE_READFILE_H
#define MILLRACE_READFILE_H

#include "buf.h"

#include <stdbool.h>

/* Appends all of it. False: errno says why; EFBIG: it does not fit `out`. */
bool readfile(const char *path, struct buf *out);

#endif
