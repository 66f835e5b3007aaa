/* How far a bounded run is, how fast it goes, and how long the rest will take. */
#include "progress.h"
#include "text.h"

#include <math.h>

enum { LONGEST_S = 365 * 86400 }; /* what takes longer is not told */

void progress_note(struct progress *progress, uint64_t done, int64_t now)
{
	if (progress->count > 0 && now - progress->at[progress->newest] < PROGRESS_APART_MS)
		return;
	progress->newest = progress->count ? (progress->newest + 1) % PROGRESS_SAMPLES : 0;
	progress->at[progress->newest] = now;
	progress->done[progress->newest] = done;
	if (progress->count < PROGRESS_SAMPLES)
		progress->count++;
}

double progress_rate(const struct progress *progress)
{
	if (progress->count < 2)
		return 0;
	unsigned oldest = (progress->newest + PROGRESS_SAMPLES + 1 - progress->count) % PROGRESS_SAMPLES;
	double records = (double)(progress->done[progress->newest] - progress->done[oldest]);
	return records * 1000 / (double)(progress->at[progress->newest] - progress->at[oldest]);
}

void progress_text(const struct progress *progress, uint64_t done, uint64_t left, struct buf *out)
{
	uint64_t all = done + left;
	double rate = progress_rate(progress), seconds = rate > 0 ? (double)left / rate : INFINITY;
	char time[32];
	buf_printf(out, "%llu of %llu records (%u %%)", (unsigned long long)done, (unsigned long long)all,
	        all ? (unsigned)(100.0 * (double)done / (double)all) : 100);
	if (progress->count < 2)
		return;
	buf_printf(out, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
	if (left == 0 || seconds > LONGEST_S)
		return;
	text_human_duration((int64_t)(seconds * 1000), time);
	buf_printf(out, ", about %s left", time);
}

void progress_bar(uint64_t done, uint64_t all, unsigned width, struct buf *out)
{
	double part = all ? (double)done / (double)all : 1;
	unsigned filled = part < 1 ? (unsigned)(part * width) : width;
	buf_append_byte(out, '[');
	for (unsigned i = 0; i < width; i++)
		buf_append_byte(out, i < filled ? '#' : '-');
	buf_append_text(out, "] ");
}

void progress_line(const struct progress *progress, uint64_t done, uint64_t left,
        struct progress_partitions partitions, unsigned columns, struct buf *out)
{
	enum { LEAST = 5, MOST = 30, AROUND = 4 /* brackets, a space, the last column */ };
	struct buf text;
	buf_init(&text, 0);
	progress_text(progress, done, left, &text);
	buf_printf(&text, ", %zu/%zu partitions", partitions.done, partitions.all);
	size_t room = columns > text.size + AROUND ? columns - text.size - AROUND : 0;
	if (room >= LEAST)
		progress_bar(done, done + left, room < MOST ? (unsigned)room : MOST, out);
	if (text.size >= columns)
		text.size = columns > 0 ? columns - 1 : 0;
	buf_append(out, text.data, text.size);
	buf_free(&text);
}
