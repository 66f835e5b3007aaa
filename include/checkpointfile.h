/* One checkpoint file: what it says, how it is written so that no crash leaves half of it, how it is read.
 *
 * A partition's files lie in DIR/GROUP/TOPIC/PARTITION/ (bytes of the group's name that a file's name should
 * not have are written %XX) and are called TIME-RANDOM.json, such as
 * 20261122T132628123Z-9f86d081884c7d65.json: by name they stand in the order of their times, and two writers
 * never meet. A file is one JSON object in one line:
 *
 *   {"version":1,"group":"G","cluster":"C","topic":"T","partition":0,"lineage":"9f86d081884c7d65","offset":120,
 *    "finished":[[130,140]],"partitions":3,"until":900,"time":"2026-11-22T13:26:28.123Z","script":"...","sha256":"..."}
 *
 * `offset` is to be read next; `finished` are ranges above it, from (inclusive) to (exclusive); `until`,
 * `partitions` and `script` (the script's SHA-256) may be missing; members that are not known are passed
 * over. sha256 is last, and is that of all bytes before `,"sha256"`. All of this blocks: it belongs on a
 * helper's thread. */
#ifndef MILLRACE_CHECKPOINTFILE_H
#define MILLRACE_CHECKPOINTFILE_H

#include "buf.h"
#include "digest.h"
#include "err.h"
#include "positions.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checkpointfile {
	char *group, *topic;
	int32_t partition;
	struct position position; /* wall is the file's time; ranges belong to the file */
	char script[DIGEST_HEX];  /* "" = unknown */
};

void checkpointfile_free(struct checkpointfile *file); /* what it holds, not the struct */
/* DIR/GROUP, and the folder of one partition in it; free with mem_free. */
char *checkpointfile_group_folder(const char *dir, const char *group);
char *checkpointfile_folder(const char *dir, const char *group, const char *topic, int32_t partition);

/* Makes folders below DIR where they are missing (DIR itself must be there: it may be a mount that is not),
 * writes the file to a temporary one, flushes it, renames it, flushes the folder; then removes all but the
 * newest `keep` files, and temporary ones that a crash left. The time is moved on when the folder holds a
 * later one (a clock was set back): what is written last is newest. False when the file is not durable;
 * nothing of it is left then. */
bool checkpointfile_write(const char *dir, struct checkpointfile *file, unsigned keep, struct err *err);
/* Reads one file; err says what is wrong with it. */
bool checkpointfile_read(const char *path, struct checkpointfile *file, struct err *err);
/* The text, for tests and fuzzing: what read and write do without a disk. */
void checkpointfile_print(const struct checkpointfile *file, struct buf *out);
bool checkpointfile_parse(const char *text, size_t size, struct checkpointfile *file, struct err *err);

/* All good files of a partition, newest first; damaged ones and those of another partition are passed over
 * with a warning. False when the folder cannot be read (that it does not exist is no error). Free each, then
 * the array. */
bool checkpointfile_read_all(const char *dir, const char *group, const char *topic, int32_t partition,
        struct checkpointfile **files, size_t *count, struct err *err);

/* Does the store do what writing needs? Makes a file in DIR/GROUP, flushes it, renames another over it, reads
 * that back, removes it. Of a store that does, err says what is unwise about it; else it stays as it was. */
bool checkpointfile_try(const char *dir, const char *group, struct err *err);
/* Removes all but the newest `keep` files of every partition of the group, and what crashes left. */
void checkpointfile_prune(const char *dir, const char *group, unsigned keep);

/* A file beside the partitions' folders, for what else is to outlive the process: in one step in place of the
 * one before it, durable, and for nobody else to read. False when it is not. */
bool checkpointfile_write_other(
        const char *dir, const char *group, const char *name, const struct buf *text, struct err *err);
/* Appends what it holds; nothing when there is none, which is no error. */
bool checkpointfile_read_other(
        const char *dir, const char *group, const char *name, struct buf *text, struct err *err);

/* What a store needs of a disk; tests give one that hangs. */
struct checkpointfile_disk {
	bool (*test)(const char *dir, const char *group, struct err *err);
	void (*prune)(const char *dir, const char *group, unsigned keep);
	bool (*write)(const char *dir, struct checkpointfile *file, unsigned keep, struct err *err);
	bool (*read_all)(const char *dir, const char *group, const char *topic, int32_t partition,
	        struct checkpointfile **files, size_t *count, struct err *err);
};

extern const struct checkpointfile_disk checkpointfile_disk; /* the functions above */

#endif
