/* Which record a hook works on, left where the next start finds it when the process dies there. */
#include "hookpage.h"
#include "checkpointfile.h"
#include "helper.h"
#include "log.h"
#include "mem.h"
#include "random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	DEADLINE_MS = 5000,
	CLOSE_MS = 1000,
	RECORDS = 64, /* of one call that several share; further ones are not told */
	TOPIC = 250,  /* Kafka's longest name, and NUL */
	HOOK = 32,
	SUSPECTS_MAX = 10000,
	OLD_DAYS = 30, /* then a record that died has long been somebody else's, or gone */
};

static const char prefix[] = "hook-", draft[] = ".tmp";

/* The file. */
struct entry {
	int64_t offset; /* -1: it has settled since */
	int32_t partition;
	char topic[TOPIC];
};

struct image {
	char magic[8];
	_Atomic uint32_t count; /* 0: no hook runs */
	char hook[HOOK];
	struct entry entries[RECORDS];
};

static const char magic[8] = "hookpg1";

/* A record that a dead process's page names. */
struct suspect {
	struct entry entry;
	char hook[HOOK];
	char *path;
};

/* What the thread makes at the start. */
struct reading {
	struct hookpage *page; /* loop only */
	char *folder, *dir;
	char *path; /* of the page of this process */
	int fd;     /* which holds its lock; -1 = there is none */
	struct image *image;
	struct suspect *suspects;
	size_t count;
	struct err err;
};

struct hookpage {
	struct helper *helper;
	struct image *image; /* NULL = there is none */
	int fd;
	char *path;
	struct suspect *suspects;
	size_t count;
	bool reading;
};

/* ---- on the thread: the page of this process ---- */

static bool make_folder(const struct reading *reading, struct err *err)
{
	struct stat about;
	if (stat(reading->dir, &about) != 0)
		return err_set(err, "%s: %s", reading->dir, strerror(errno));
	if (mkdir(reading->folder, 0775) != 0 && errno != EEXIST)
		return err_set(err, "%s cannot be made: %s", reading->folder, strerror(errno));
	return true;
}

/* All of it is there before it is mapped: a store into a hole of a full disk would end the process. */
static bool fill(int fd, const char *path, struct err *err)
{
	struct image image = {0};
	memcpy(image.magic, magic, sizeof magic);
	ssize_t written = write(fd, &image, sizeof image);
	if (written == (ssize_t)sizeof image)
		return true;
	return err_set(
	        err, "%s cannot be written: %s", path, written < 0 ? strerror(errno) : "the disk is full");
}

static bool map(struct reading *reading, struct err *err)
{
	void *memory = mmap(NULL, sizeof(struct image), PROT_READ | PROT_WRITE, MAP_SHARED, reading->fd, 0);
	if (memory == MAP_FAILED)
		return err_set(err, "%s cannot be mapped: %s", reading->path, strerror(errno));
	reading->image = memory;
	return true;
}

/* It gets its name when it is locked: nobody takes it for a dead one's. */
static bool make_page(struct reading *reading, struct err *err)
{
	char random[17];
	random_hex(random, sizeof random);
	reading->path = mem_printf("%s/%s%s", reading->folder, prefix, random);
	char *first = mem_printf("%s%s", reading->path, draft);
	reading->fd = open(first, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
	bool good = reading->fd >= 0;
	if (!good)
		err_set(err, "%s cannot be made: %s", first, strerror(errno));
	good = good && fill(reading->fd, first, err);
	if (good && flock(reading->fd, LOCK_EX | LOCK_NB) != 0)
		good = err_set(err, "%s cannot be locked: %s", first, strerror(errno));
	good = good && map(reading, err);
	if (good && rename(first, reading->path) != 0)
		good = err_set(err, "%s cannot be renamed: %s", first, strerror(errno));
	if (!good && reading->fd >= 0)
		unlink(first);
	mem_free(first);
	return good;
}

/* ---- on the thread: the pages of others ---- */

static bool same(const struct entry *a, const struct entry *b)
{
	return a->offset == b->offset && a->partition == b->partition && strcmp(a->topic, b->topic) == 0;
}

static bool add_suspect(struct reading *reading, const struct image *image, size_t i, const char *path)
{
	const struct entry *entry = &image->entries[i];
	if (entry->offset < 0 || reading->count == SUSPECTS_MAX)
		return false;
	for (size_t before = 0; before < i; before++)
		if (same(&image->entries[before], entry))
			return false;
	reading->suspects = mem_realloc(reading->suspects, (reading->count + 1) * sizeof *reading->suspects);
	struct suspect *suspect = &reading->suspects[reading->count++];
	*suspect = (struct suspect){.entry = *entry, .path = mem_strdup(path)};
	memcpy(suspect->hook, image->hook, sizeof suspect->hook);
	return true;
}

/* Reads a file that looks like a page; strings end whatever it holds. */
static bool read_image(int fd, struct image *image)
{
	if (pread(fd, image, sizeof *image, 0) != (ssize_t)sizeof *image ||
	        memcmp(image->magic, magic, sizeof magic) != 0 || image->count > RECORDS)
		return false;
	image->hook[HOOK - 1] = '\0';
	for (size_t i = 0; i < image->count; i++)
		image->entries[i].topic[TOPIC - 1] = '\0';
	return true;
}

static bool is_old(int fd)
{
	struct stat about;
	return fstat(fd, &about) == 0 && time(NULL) - about.st_mtime > (time_t)OLD_DAYS * 86400;
}

static void read_page(struct reading *reading, const char *path)
{
	struct image image;
	size_t found = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return;
	/* Whoever starts at the same time reads it too: shared. Its owner's lock is not. */
	if (flock(fd, LOCK_SH | LOCK_NB) == 0 && read_image(fd, &image)) {
		bool old = is_old(fd);
		for (size_t i = 0; !old && i < image.count; i++)
			found += add_suspect(reading, &image, i, path);
		if (found == 0)
			unlink(path);
	}
	close(fd);
}

static bool is_page(const char *name)
{
	size_t size = strlen(name);
	return strncmp(name, prefix, sizeof prefix - 1) == 0 && size > sizeof draft &&
	       strcmp(name + size - (sizeof draft - 1), draft) != 0;
}

static void read_pages(struct reading *reading)
{
	DIR *stream = opendir(reading->folder);
	if (stream == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		char *path = mem_printf("%s/%s", reading->folder, entry->d_name);
		if (is_page(entry->d_name))
			read_page(reading, path);
		mem_free(path);
	}
	closedir(stream);
}

static void run_reading(void *context)
{
	struct reading *reading = context;
	if (!make_folder(reading, &reading->err))
		return;
	read_pages(reading);
	make_page(reading, &reading->err);
}

/* ---- on the loop: the answer ---- */

static void free_suspects(struct suspect *suspects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(suspects[i].path);
	mem_free(suspects);
}

static void let_go(struct image *image, int fd, char *path, bool remove)
{
	if (remove && path)
		unlink(path);
	if (image)
		munmap(image, sizeof *image);
	if (fd >= 0)
		close(fd);
	mem_free(path);
}

static void free_reading(struct reading *reading)
{
	mem_free(reading->folder);
	mem_free(reading->dir);
	mem_free(reading);
}

static void tell_suspects(const struct hookpage *page)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct suspect *suspect = &page->suspects[i];
		log_throttled(LOG_WARN, "hookpage",
		        "a process died while %s worked on %s/%d/%lld (told by %s)", suspect->hook,
		        suspect->entry.topic, (int)suspect->entry.partition, (long long)suspect->entry.offset,
		        suspect->path);
	}
}

static void go_without(const char *why)
{
	log_warn("hookpage",
	        "a record whose script kills this process will not be known at the next start: %s", why);
}

static void read_done(void *context, bool late)
{
	struct reading *reading = context;
	struct hookpage *page = reading->page;
	page->reading = false;
	if (late) {
		go_without("the checkpoint store has not answered for 5 s");
		return;
	}
	page->suspects = reading->suspects;
	page->count = reading->count;
	tell_suspects(page);
	if (reading->err.text[0]) {
		go_without(reading->err.text);
		let_go(reading->image, reading->fd, reading->path, false);
	} else {
		page->image = reading->image;
		page->fd = reading->fd;
		page->path = reading->path;
	}
	free_reading(reading);
}

static void read_late(void *context)
{
	struct reading *reading = context;
	free_suspects(reading->suspects, reading->count);
	let_go(reading->image, reading->fd, reading->path, reading->image != NULL);
	free_reading(reading);
}

struct hookpage *hookpage_open(struct event_base *base, const char *dir, const char *group, struct err *err)
{
	struct helper *helper = helper_open(base, err);
	if (helper == NULL)
		return NULL;
	struct hookpage *page = mem_zalloc(1, sizeof *page);
	struct reading *reading = mem_zalloc(1, sizeof *reading);
	*page = (struct hookpage){.helper = helper, .fd = -1, .reading = true};
	*reading = (struct reading){.page = page,
	        .folder = checkpointfile_group_folder(dir, group),
	        .dir = mem_strdup(dir),
	        .fd = -1};
	helper_submit(helper, &(struct helper_job){"reading the pages of hooks", reading, run_reading,
	                              read_done, read_late, DEADLINE_MS});
	return page;
}

bool hookpage_reading(const struct hookpage *page)
{
	return page && page->reading;
}

/* ---- on the way of every record ---- */

static void write_entry(struct entry *entry, const struct hookpage_record *record)
{
	size_t size = strnlen(record->topic, TOPIC - 1);
	memcpy(entry->topic, record->topic, size);
	entry->topic[size] = '\0';
	entry->partition = record->partition;
	entry->offset = record->offset;
}

void hookpage_enter(struct hookpage *page, const char *hook, const struct hookpage_record *record)
{
	if (page == NULL || page->image == NULL)
		return;
	struct image *image = page->image;
	size_t size = strnlen(hook, HOOK - 1);
	memcpy(image->hook, hook, size);
	image->hook[size] = '\0';
	write_entry(&image->entries[0], record);
	atomic_store_explicit(
	        &image->count, 1, memory_order_release); /* last: a death before it counts not */
}

void hookpage_add(struct hookpage *page, const struct hookpage_record *record)
{
	if (page == NULL || page->image == NULL)
		return;
	struct image *image = page->image;
	uint32_t count = atomic_load_explicit(&image->count, memory_order_relaxed);
	if (count >= RECORDS)
		return;
	write_entry(&image->entries[count], record);
	atomic_store_explicit(&image->count, count + 1, memory_order_release);
}

void hookpage_leave(struct hookpage *page)
{
	if (page && page->image)
		atomic_store_explicit(&page->image->count, 0, memory_order_release);
}

static bool is_of(const struct entry *entry, const struct hookpage_record *record)
{
	return entry->offset == record->offset && entry->partition == record->partition &&
	       strncmp(entry->topic, record->topic, TOPIC - 1) == 0;
}

unsigned hookpage_deaths(const struct hookpage *page, const struct hookpage_record *record, const char **hook)
{
	unsigned deaths = 0;
	for (size_t i = 0; page && i < page->count; i++)
		if (is_of(&page->suspects[i].entry, record)) {
			deaths++;
			if (hook)
				*hook = page->suspects[i].hook;
		}
	return deaths;
}

/* ---- a suspect has ended ---- */

struct clearing {
	char *path;
	struct entry entry;
};

static void clear_in(int fd, const struct clearing *clearing)
{
	struct image image;
	size_t left = 0;
	if (!read_image(fd, &image))
		return;
	for (size_t i = 0; i < image.count; i++) {
		if (same(&image.entries[i], &clearing->entry))
			image.entries[i].offset = -1;
		left += image.entries[i].offset >= 0;
	}
	if (left == 0)
		unlink(clearing->path);
	else if (pwrite(fd, &image, sizeof image, 0) != (ssize_t)sizeof image)
		log_warn("hookpage", "%s cannot be written: %s", clearing->path, strerror(errno));
}

static void run_clearing(void *context)
{
	const struct clearing *clearing = context;
	int fd = open(clearing->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX) == 0) /* of two that clear the same page one comes after the other */
		clear_in(fd, clearing);
	close(fd);
}

static void clearing_forgotten(void *context)
{
	struct clearing *clearing = context;
	mem_free(clearing->path);
	mem_free(clearing);
}

static void clearing_done(void *context, bool late)
{
	if (!late)
		clearing_forgotten(context);
}

void hookpage_settled(struct hookpage *page, const struct hookpage_record *record)
{
	for (size_t i = page ? page->count : 0; i-- > 0;) {
		struct suspect *suspect = &page->suspects[i];
		if (!is_of(&suspect->entry, record))
			continue;
		struct clearing *clearing = mem_zalloc(1, sizeof *clearing);
		*clearing = (struct clearing){.path = suspect->path, .entry = suspect->entry};
		*suspect = page->suspects[--page->count];
		helper_submit(
		        page->helper, &(struct helper_job){"clearing a page of a hook", clearing,
		                              run_clearing, clearing_done, clearing_forgotten, DEADLINE_MS});
	}
}

/* ---- the end ---- */

static void *remove_file(void *path)
{
	unlink(path);
	return NULL;
}

/* A store that hangs must not hold up the end: then the file stays, and says that nobody died. */
static void remove_soon(const char *path)
{
	pthread_t thread;
	struct timespec until;
	char *copy = mem_strdup(path);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_MS / 1000;
	if (pthread_create(&thread, NULL, remove_file, copy) != 0) {
		mem_free(copy);
		return;
	}
	if (pthread_timedjoin_np(thread, NULL, &until) == 0)
		mem_free(copy);
	else
		pthread_detach(thread);
}

void hookpage_close(struct hookpage *page)
{
	if (page == NULL)
		return;
	helper_close(page->helper, CLOSE_MS);
	if (page->path)
		remove_soon(page->path);
	let_go(page->image, page->fd, page->path, false);
	free_suspects(page->suspects, page->count);
	mem_free(page);
}
