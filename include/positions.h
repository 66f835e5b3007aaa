/* Where a partition starts, decided from everything that is known about it; and the commit's metadata. Pure.
 *
 * Positions are joined, not ranked: start = the highest offset among the group commit and the good checkpoint
 * files of the same cluster and lineage, plus all their finished ranges (a lane settles in order, so joining
 * is safe). A commit without our metadata was set by a person or another program: it wins alone and begins a
 * new lineage. Without a commit the newest good file of this cluster decides, loudly; without either,
 * `start`. */
#ifndef MILLRACE_POSITIONS_H
#define MILLRACE_POSITIONS_H

#include "buf.h"
#include "offsets.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	POSITION_METADATA_MAX = 4096,
	POSITION_RANGES_MAX = 1024,
	LINEAGE_SIZE = 17 /* 16 hex digits and NUL */
};

/* One note of a position: from the group commit or from a checkpoint file. */
struct position {
	int64_t offset;             /* to read next */
	char lineage[LINEAGE_SIZE]; /* "" = not ours */
	char cluster[64];   /* cluster id; "" = unknown (commits belong to the cluster they are read from) */
	int64_t wall;       /* when it was written, ms; 0 = unknown */
	int64_t until;      /* end offset of a bounded run, -1 = none */
	int32_t partitions; /* how many partitions the topic had when the lineage began; 0 = unknown */
	struct range *ranges; /* borrowed; ascending, above offset */
	size_t range_count;
};

enum position_why {
	POSITION_COMMIT,    /* group commit and files of its lineage, joined */
	POSITION_FOREIGN,   /* a commit without our metadata: alone, new lineage */
	POSITION_FILE,      /* no commit: the newest file of this cluster */
	POSITION_START,     /* nothing known: the configured start */
	POSITION_BEGINNING, /* nothing known of this partition, but of others of its topic: from its beginning
	                     */
	POSITION_OUT_OF_RANGE, /* known, but no longer there: the earliest there is; gap says how many are
	                          lost */
};

struct position_facts {
	const struct position *commit; /* NULL = the group has none */
	const struct position *files;
	size_t file_count;
	const char *cluster;      /* id of the cluster now */
	int64_t low, high;        /* watermarks of the broker: first offset there is, one past the last */
	int64_t configured_start; /* resolved offset of `source.start` for this partition */
	bool topic_known; /* the partition appeared after the group began: see positions_appeared_later */
	bool refused;     /* the broker refused to read at the position: it is out of range on either side */
};

struct position_decision {
	enum position_why why;
	int64_t offset;
	struct range ranges[POSITION_RANGES_MAX]; /* finished above offset, ascending, disjoint */
	size_t range_count;
	bool new_lineage;           /* commit a fresh lineage before the first record is taken */
	int32_t partitions;         /* carried over with the lineage; 0 = unknown */
	char lineage[LINEAGE_SIZE]; /* the lineage to go on with; "" when new_lineage */
	int64_t until;              /* carried over from the commit; -1 = none */
	int64_t gap;                /* records that cannot be read any more */
	size_t joined;              /* files that took part */
	size_t strangers;           /* files of another cluster, or of an unknown one: not believed */
};

void positions_resolve(const struct position_facts *facts, struct position_decision *decision);
/* A sentence for `offsets plan` and the log. */
const char *position_why_text(const struct position_decision *decision);

/* Whether a start with `position` as the group's commit and these files beside it begins exactly there, no
 * further, and at least one of the files is of its lineage. */
bool positions_exact(
        const struct position *position, const struct position *files, size_t count, const char *cluster);
/* How many offsets, from `low` on, are finished by `a` and not by `b`. */
int64_t positions_beyond(const struct position *a, const struct position *b, int64_t low);

/* Whether this partition appeared after the group began with its topic, judged by the commits of the topic's
 * other partitions: then it starts at its beginning. A commit that is not ours counts as one that began
 * without it; ours say how many partitions there were, so two members that start a fresh group together do
 * not fool each other. */
bool positions_appeared_later(int32_t partition, const struct position *others, size_t count);

/* The commit's metadata: versioned text "mr1;l=LINEAGE;p=PARTITIONS;u=UNTIL;r=+GAP+LENGTH..." (run-length
 * coded ranges relative to the offset; members that are unknown are left out and skipped), at most
 * POSITION_METADATA_MAX bytes, or what out->limit leaves: as many ranges as fit, the lowest first. Lineage
 * and offset are set. */
void positions_encode(const struct position *position, struct buf *out);
/* False when the metadata is not ours (then only offset is set). ranges must hold POSITION_RANGES_MAX. */
bool positions_decode(
        const char *metadata, size_t size, int64_t offset, struct position *position, struct range *ranges);

#endif
