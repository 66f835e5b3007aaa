/* Reads a partition's checkpoint files without waiting for a store that hangs. */
#include "checkpoint_reader.h"
#include "log.h"
#include "mem.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* What a thread that is left behind still refers to; the last to let go frees it. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t answered;
	unsigned holders;
	bool hanging; /* a thread was left behind and has not come back */
};

struct checkpoint_reader {
	struct shared *shared;
	const struct checkpointfile_disk *disk;
	char *dir, *group;
	int64_t wait_ms;
};

/* One question; the thread's and the asker's. */
struct question {
	struct shared *shared;
	const struct checkpointfile_disk *disk;
	char *dir, *group, *topic;
	int32_t partition;
	pthread_t thread;
	bool answered, left; /* under the mutex */
	bool good;
	struct checkpointfile *files;
	size_t count;
	struct err err;
};

static void release(struct shared *shared)
{
	pthread_mutex_lock(&shared->mutex);
	bool last = --shared->holders == 0;
	pthread_mutex_unlock(&shared->mutex);
	if (!last)
		return;
	pthread_mutex_destroy(&shared->mutex);
	pthread_cond_destroy(&shared->answered);
	mem_free(shared);
}

static void free_files(struct checkpointfile *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		checkpointfile_free(&files[i]);
	mem_free(files);
}

static void question_free(struct question *question)
{
	free_files(question->files, question->count);
	mem_free(question->dir);
	mem_free(question->group);
	mem_free(question->topic);
	mem_free(question);
}

static void *read_main(void *context)
{
	struct question *question = context;
	struct shared *shared = question->shared;
	question->good = question->disk->read_all(question->dir, question->group, question->topic,
	        question->partition, &question->files, &question->count, &question->err);
	pthread_mutex_lock(&shared->mutex);
	question->answered = true;
	bool left = question->left;
	if (left)
		shared->hanging = false;
	pthread_cond_broadcast(&shared->answered);
	pthread_mutex_unlock(&shared->mutex);
	if (left)
		question_free(question);
	release(shared);
	return NULL;
}

static bool start_thread(struct question *question)
{
	sigset_t all, before; /* signals belong to the loop's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&question->thread, NULL, read_main, question);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed == 0;
}

static void deadline_in(int64_t wait_ms, struct timespec *until)
{
	clock_gettime(CLOCK_MONOTONIC, until);
	until->tv_sec += wait_ms / 1000;
	until->tv_nsec += wait_ms % 1000 * 1000000;
	if (until->tv_nsec >= 1000000000) {
		until->tv_sec++;
		until->tv_nsec -= 1000000000;
	}
}

/* False when the thread was left behind; the question is its own then. */
static bool wait_for(struct question *question, int64_t wait_ms)
{
	struct shared *shared = question->shared;
	struct timespec until;
	deadline_in(wait_ms, &until);
	pthread_mutex_lock(&shared->mutex);
	while (!question->answered && pthread_cond_timedwait(&shared->answered, &shared->mutex, &until) == 0)
		;
	bool answered = question->answered;
	if (!answered) {
		question->left = shared->hanging = true;
		pthread_detach(question->thread);
	}
	pthread_mutex_unlock(&shared->mutex);
	if (answered)
		pthread_join(question->thread, NULL);
	return answered;
}

/* A place among the holders for a new thread; none while one hangs. */
static bool hold(struct shared *shared)
{
	pthread_mutex_lock(&shared->mutex);
	bool free_to = !shared->hanging;
	shared->holders += free_to;
	pthread_mutex_unlock(&shared->mutex);
	return free_to;
}

struct checkpoint_reader *checkpoint_reader_open(
        const struct checkpointfile_disk *disk, const char *dir, const char *group, int64_t wait_ms)
{
	struct checkpoint_reader *reader = mem_zalloc(1, sizeof *reader);
	struct shared *shared = reader->shared = mem_zalloc(1, sizeof *shared);
	pthread_condattr_t steady;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&shared->mutex, NULL);
	pthread_cond_init(&shared->answered, &steady);
	pthread_condattr_destroy(&steady);
	shared->holders = 1;
	reader->disk = disk;
	reader->dir = mem_strdup(dir);
	reader->group = mem_strdup(group);
	reader->wait_ms = wait_ms;
	return reader;
}

void checkpoint_reader_close(struct checkpoint_reader *reader)
{
	if (reader == NULL)
		return;
	release(reader->shared);
	mem_free(reader->dir);
	mem_free(reader->group);
	mem_free(reader);
}

bool checkpoint_reader_read(struct checkpoint_reader *reader, const char *topic, int32_t partition,
        struct checkpointfile **files, size_t *count, struct err *err)
{
	*files = NULL;
	*count = 0;
	if (!hold(reader->shared))
		return err_set(err, "%s does not answer", reader->dir);
	struct question *question = mem_zalloc(1, sizeof *question);
	*question = (struct question){.shared = reader->shared,
	        .disk = reader->disk,
	        .dir = mem_strdup(reader->dir),
	        .group = mem_strdup(reader->group),
	        .topic = mem_strdup(topic),
	        .partition = partition};
	if (!start_thread(question)) {
		question_free(question);
		release(reader->shared);
		return err_set(err, "no thread to read %s with", reader->dir);
	}
	if (!wait_for(question, reader->wait_ms))
		return err_set(
		        err, "%s has not answered after %lld ms", reader->dir, (long long)reader->wait_ms);
	bool good = question->good;
	*files = question->files;
	*count = question->count;
	question->files = NULL;
	question->count = 0;
	if (!good)
		err_set(err, "%s", question->err.text);
	question_free(question);
	return good;
}

size_t checkpoint_reader_positions(
        void *reader, const char *topic, int32_t partition, struct position **positions)
{
	struct checkpointfile *files;
	struct err err;
	size_t count;
	if (!checkpoint_reader_read(reader, topic, partition, &files, &count, &err))
		log_error("checkpoint",
		        "the files of %s/%d cannot be read, and the group's commit decides alone: %s", topic,
		        partition, err.text);
	*positions = mem_zalloc(count, sizeof **positions);
	for (size_t i = 0; i < count; i++) {
		(*positions)[i] = files[i].position;
		files[i].position.ranges = NULL;
	}
	free_files(files, count);
	return count;
}

void checkpoint_reader_release(void *reader, struct position *positions, size_t count)
{
	(void)reader;
	for (size_t i = 0; i < count; i++)
		mem_free(positions[i].ranges);
	mem_free(positions);
}
