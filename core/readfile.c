/* What a file holds, whole. */
#include "readfile.h"

#include <errno.h>
#include <stdio.h>

enum { BLOCK = 65536 };

bool readfile(const char *path, struct buf *out)
{
	char block[BLOCK];
	size_t got;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	while ((got = fread(block, 1, sizeof block, file)) > 0 && buf_append(out, block, got))
		;
	int why = out->full ? EFBIG : errno;
	bool whole = !out->full && !ferror(file);
	fclose(file);
	errno = why;
	return whole;
}
