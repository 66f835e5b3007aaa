/* meta.id of an output: a UUIDv5 that a repeat of the same output carries, too (RFC 4122 §4.3). */
#ifndef MILLRACE_IDENTITY_H
#define MILLRACE_IDENTITY_H

#include "script.h"

enum { IDENTITY_TEXT = 37 };

/* From the input's meta.id (NULL: topic, partition and offset), the stream and the output's number. */
void identity_make(const char *input_id, const struct script_input *input, const char *stream, size_t n,
        char out[IDENTITY_TEXT]);

#endif
