/* Keeps the last good script in the checkpoint folder, so that a slow or absent disk holds nothing up.
 *
 * It reads and writes on a thread of its own. What cannot be written is told and tried again. */
#ifndef MILLRACE_KEEPER_H
#define MILLRACE_KEEPER_H

#include "lastgood.h"

struct event_base;
struct keeper;

/* Copies both. NULL and err: no thread is to be had. */
struct keeper *keeper_open(struct event_base *base, const char *dir, const char *group, struct err *err);
/* What is there, or NULL with an err where something is that cannot be read. Waits a few seconds at most, and
 * runs the loop meanwhile: for the start only. */
struct lastgood *keeper_read(struct keeper *keeper, struct err *err);
/* From now on this one is to be there; copied. */
void keeper_save(struct keeper *keeper, const struct lastgood *good);
void keeper_close(struct keeper *keeper); /* waits a moment for what is being written; NULL is fine */

#endif
