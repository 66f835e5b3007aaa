/* The store of checkpoint files: when it is written to, and what is done while it is away. */
#include "checkpoint.h"
#include "checkpoint_reader.h"
#include "clock.h"
#include "fault.h"
#include "helper.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"

#include <stdio.h>
#include <string.h>

enum {
	DEADLINE_MS = 5000,
	PROBE_MS = 10000,
	CLOSE_MS = 1000,
};

enum store_state {
	STORE_UNTESTED,
	STORE_GOOD,
	STORE_AWAY,
};

/* What the thread does: the test, or files; everything it touches is its own. */
struct job {
	struct checkpoint *store; /* loop only */
	const struct checkpointfile_disk *disk;
	char *dir, *group;
	unsigned keep;
	struct checkpointfile *files; /* NULL = the test */
	size_t count, written;
	struct err err;
};

struct checkpoint {
	struct checkpoint_config config;
	char *dir, *group;
	char script[DIGEST_HEX];
	struct helper *helper;
	struct checkpoint_reader *reader;
	struct metrics *metrics;
	struct source_checkpoints verbs;
	enum store_state state;
	bool busy;        /* a job is with the thread, be it late */
	int64_t probe_at; /* away: when it is tested again */
	enum source_writing outcome;
};

/* ---- on the thread ---- */

static void run_job(void *context)
{
	struct job *job = context;
	if (job->files == NULL) {
		job->written = job->disk->test(job->dir, job->group, &job->err);
		if (job->written)
			job->disk->prune(job->dir, job->group, job->keep);
		return;
	}
	for (size_t i = 0; i < job->count; i++)
		if (job->disk->write(job->dir, &job->files[i], job->keep, &job->err)) {
			job->written++;
			fault_point("after_file");
		}
}

/* ---- on the loop ---- */

static void free_job(struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		checkpointfile_free(&job->files[i]);
	mem_free(job->files);
	mem_free(job->dir);
	mem_free(job->group);
	mem_free(job);
}

static void count_files(struct checkpoint *store, const char *outcome, size_t count)
{
	*metrics_value(store->metrics, METRIC_CHECKPOINT_WRITES, outcome) += (double)count;
}

static void go_away(struct checkpoint *store, const char *why)
{
	store->state = STORE_AWAY;
	store->probe_at = clock_now() + store->config.probe_ms;
	log_throttled(LOG_ERROR, "checkpoint",
	        "no checkpoint files can be written, and positions are kept in the group's commits alone: %s",
	        why);
}

static void tested(struct checkpoint *store, const struct job *job)
{
	if (job->written == 0) {
		go_away(store, job->err.text);
		return;
	}
	if (job->err.text[0])
		log_warn("checkpoint", "%s", job->err.text);
	log_info("checkpoint", "checkpoint files are written to %s%s", store->dir,
	        store->state == STORE_AWAY ? " again" : "");
	store->state = STORE_GOOD;
}

static void written(struct checkpoint *store, const struct job *job)
{
	count_files(store, "ok", job->written);
	count_files(store, "failed", job->count - job->written);
	store->outcome = job->written == job->count ? SOURCE_WRITTEN : SOURCE_NOT_WRITTEN;
	if (job->written)
		*metrics_value(store->metrics, METRIC_LAST_CHECKPOINT, NULL) = (double)clock_wall() / 1000;
	if (job->written == 0)
		go_away(store, job->err.text);
	else if (job->written < job->count)
		log_throttled(LOG_ERROR, "checkpoint", "%zu of %zu checkpoint files could not be written: %s",
		        job->count - job->written, job->count, job->err.text);
}

static void job_done(void *context, bool late)
{
	struct job *job = context;
	struct checkpoint *store = job->store;
	if (late) {
		char *why = mem_printf(
		        "%s has not answered for %lld ms", store->dir, (long long)store->config.deadline_ms);
		count_files(store, "late", job->count);
		store->outcome = SOURCE_NOT_WRITTEN;
		go_away(store, why);
		mem_free(why);
		return;
	}
	store->busy = false;
	if (job->files)
		written(store, job);
	else
		tested(store, job);
	free_job(job);
}

/* The late answer came: the store may be back. */
static void job_forgotten(void *context)
{
	struct job *job = context;
	job->store->busy = false;
	job->store->probe_at = clock_now();
	free_job(job);
}

static void submit(struct checkpoint *store, struct checkpointfile *files, size_t count)
{
	struct job *job = mem_zalloc(1, sizeof *job);
	*job = (struct job){.store = store,
	        .disk = store->config.disk,
	        .dir = mem_strdup(store->dir),
	        .group = mem_strdup(store->group),
	        .keep = store->config.keep,
	        .files = files,
	        .count = count};
	store->busy = true;
	helper_submit(store->helper,
	        &(struct helper_job){files ? "writing checkpoint files" : "testing the checkpoint store", job,
	                run_job, job_done, job_forgotten, store->config.deadline_ms});
}

static struct checkpointfile file_of(const struct checkpoint *store, const struct source_note *note)
{
	struct checkpointfile file = {.group = mem_strdup(store->group),
	        .topic = mem_strdup(note->topic),
	        .partition = note->partition,
	        .position = note->position};
	file.position.wall = clock_wall();
	file.position.ranges = mem_alloc(note->position.range_count * sizeof(struct range));
	if (note->position.range_count)
		memcpy(file.position.ranges, note->position.ranges,
		        note->position.range_count * sizeof(struct range));
	memcpy(file.script, store->script, sizeof file.script);
	return file;
}

static bool store_write(void *context, const struct source_note *notes, size_t count)
{
	struct checkpoint *store = context;
	if (store->state == STORE_AWAY && !store->busy && clock_now() >= store->probe_at)
		submit(store, NULL, 0);
	if (store->state != STORE_GOOD || store->busy || count == 0) {
		count_files(store, "skipped", count);
		return false;
	}
	struct checkpointfile *files = mem_zalloc(count, sizeof *files);
	for (size_t i = 0; i < count; i++)
		files[i] = file_of(store, &notes[i]);
	store->outcome = SOURCE_WRITING;
	submit(store, files, count);
	return true;
}

static enum source_writing store_outcome(void *context)
{
	return ((struct checkpoint *)context)->outcome;
}

static size_t store_read(void *context, const char *topic, int32_t partition, struct position **positions)
{
	struct checkpoint *store = context;
	return checkpoint_reader_positions(store->reader, topic, partition, positions);
}

static void store_release(void *context, struct position *positions, size_t count)
{
	(void)context;
	checkpoint_reader_release(NULL, positions, count);
}

/* ---- the store ---- */

struct checkpoint *checkpoint_open(struct event_base *base, const struct checkpoint_config *config,
        struct metrics *metrics, struct err *err)
{
	struct helper *helper = helper_open(base, err);
	if (helper == NULL)
		return NULL;
	struct checkpoint *store = mem_zalloc(1, sizeof *store);
	store->config = *config;
	if (store->config.deadline_ms == 0)
		store->config.deadline_ms = DEADLINE_MS;
	if (store->config.probe_ms == 0)
		store->config.probe_ms = PROBE_MS;
	if (store->config.disk == NULL)
		store->config.disk = &checkpointfile_disk;
	store->dir = mem_strdup(config->dir);
	store->group = mem_strdup(config->group);
	store->helper = helper;
	store->metrics = metrics;
	store->reader =
	        checkpoint_reader_open(store->config.disk, store->dir, store->group, CHECKPOINT_READ_MS);
	store->outcome = SOURCE_NOT_WRITTEN;
	store->verbs =
	        (struct source_checkpoints){store, store_read, store_release, store_write, store_outcome};
	count_files(store, "ok", 0); /* so that the series are there from the beginning */
	count_files(store, "failed", 0);
	submit(store, NULL, 0);
	return store;
}

void checkpoint_close(struct checkpoint *store)
{
	if (store == NULL)
		return;
	helper_close(store->helper, CLOSE_MS);
	checkpoint_reader_close(store->reader);
	mem_free(store->dir);
	mem_free(store->group);
	mem_free(store);
}

void checkpoint_use_script(struct checkpoint *store, const char *sha256)
{
	snprintf(store->script, sizeof store->script, "%s", sha256 ? sha256 : "");
}

const struct source_checkpoints *checkpoint_verbs(struct checkpoint *store)
{
	return &store->verbs;
}
