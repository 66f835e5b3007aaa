/* Where in a script an error is: Lua tells file and line, the rest is found in the source. */
#ifndef MILLRACE_SCRIPT_PLACE_H
#define MILLRACE_SCRIPT_PLACE_H

#include "diagnostic.h"

/* Adds `text`, the words of script_open ("...FILE:LINE: message"), to `found` as one error. Its place is the
 * first FILE:LINE in the text whose file can be read, and the column of the name that the message quotes;
 * `source` gets that file's text. Words about the script as a whole ("PATH: message") stand where the script
 * has the name that they quote; without any place it is told of `path`. */
void script_place_diagnose(const char *path, const char *text, struct diagnostics *found, struct buf *source);

#endif
