/* Reads a partition's checkpoint files without waiting for a store that hangs.
 *
 * Each reading runs on a thread of its own, which is left behind when it has not answered in time (a mount
 * whose server is away can hold a reader for ever). While one is left behind no other is started: what asks
 * then gets nothing at once. */
#ifndef MILLRACE_CHECKPOINT_READER_H
#define MILLRACE_CHECKPOINT_READER_H

#include "checkpointfile.h"

struct checkpoint_reader;

enum { CHECKPOINT_READ_MS = 5000 };

struct checkpoint_reader *checkpoint_reader_open(
        const struct checkpointfile_disk *disk, const char *dir, const char *group, int64_t wait_ms);
/* Nobody may be in checkpoint_reader_read any more; a thread that was left behind does no harm. */
void checkpoint_reader_close(struct checkpoint_reader *reader);
/* The good files, newest first; frees as checkpointfile_read_all says. False and err when the folder cannot
 * be read, or not in time. Any thread, several at once; waits. */
bool checkpoint_reader_read(struct checkpoint_reader *reader, const char *topic, int32_t partition,
        struct checkpointfile **files, size_t *count, struct err *err);

/* The same as positions, for source.h's verbs read and release; says loudly why there are none. */
size_t checkpoint_reader_positions(
        void *reader, const char *topic, int32_t partition, struct position **positions);
void checkpoint_reader_release(void *reader, struct position *positions, size_t count);

#endif
