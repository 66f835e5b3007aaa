/* One checkpoint file: what it says, how it is written so that no crash leaves half of it, how it is read. */
#include "checkpointfile.h"
#include "buf.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "random.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	VERSION = 1,
	FILE_MAX = 1 << 20,
	SKIP_DEPTH = 16,
	STALE_S = 60, /* a temporary file this old was left by a crash */
	TIME_TEXT = 19,
	RANDOM_TEXT = 16,
	NAME_TEXT = TIME_TEXT + 1 + RANDOM_TEXT + 5, /* TIME-RANDOM.json */
};
#define WALL_MAX 253402300799999 /* the last millisecond of the year 9999 */

static const char seal[] = ",\"sha256\":\"";
enum { SEAL = sizeof seal - 1 + DIGEST_HEX - 1 + 3 /* "}\n */ };

void checkpointfile_free(struct checkpointfile *file)
{
	mem_free(file->group);
	mem_free(file->topic);
	mem_free(file->position.ranges);
	*file = (struct checkpointfile){0};
}

/* ---- text ---- */

void checkpointfile_print(const struct checkpointfile *file, struct buf *out)
{
	const struct position *position = &file->position;
	size_t start = out->size;
	char time[CLOCK_TEXT], digest[DIGEST_HEX] = "";
	buf_printf(out, "{\"version\":%d", VERSION);
	text_json_member(out, "group", file->group);
	text_json_member(out, "cluster", position->cluster);
	text_json_member(out, "topic", file->topic);
	buf_printf(out, ",\"partition\":%d", file->partition);
	text_json_member(out, "lineage", position->lineage);
	buf_printf(out, ",\"offset\":%lld,\"finished\":[", (long long)position->offset);
	for (size_t i = 0; i < position->range_count; i++)
		buf_printf(out, "%s[%lld,%lld]", i ? "," : "", (long long)position->ranges[i].from,
		        (long long)position->ranges[i].to);
	buf_append_byte(out, ']');
	if (position->partitions > 0)
		buf_printf(out, ",\"partitions\":%d", position->partitions);
	if (position->until >= 0)
		buf_printf(out, ",\"until\":%lld", (long long)position->until);
	clock_format(position->wall, time);
	text_json_member(out, "time", time);
	if (file->script[0])
		text_json_member(out, "script", file->script);
	struct bytes sealed = {out->data + start, out->size - start};
	digest_hex(DIGEST_SHA256, &sealed, 1, digest);
	buf_printf(out, "%s%s\"}\n", seal, digest);
}

struct reader {
	const char *at, *end;
};

static bool take(struct reader *reader, char byte)
{
	if (reader->at == reader->end || *reader->at != byte)
		return false;
	reader->at++;
	return true;
}

static bool read_escape(struct reader *reader, struct buf *out)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	if (reader->at == reader->end)
		return false;
	char name = *reader->at++;
	const char *known = name ? strchr(names, name) : NULL;
	if (known)
		return buf_append_byte(out, values[known - names]);
	char digits[5] = "", *end;
	if (name != 'u' || reader->end - reader->at < 4)
		return false;
	memcpy(digits, reader->at, 4);
	reader->at += 4;
	unsigned long code = strtoul(digits, &end, 16);
	/* Only control characters are written so; a name that holds NUL is none of ours. */
	return end == digits + 4 && code > 0 && code < 0x80 && buf_append_byte(out, (char)code);
}

static bool read_text(struct reader *reader, struct buf *out)
{
	buf_clear(out);
	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end && *reader->at != '"') {
		char byte = *reader->at++;
		if ((unsigned char)byte < 0x20)
			return false;
		if (byte == '\\' ? !read_escape(reader, out) : !buf_append_byte(out, byte))
			return false;
	}
	buf_append(out, "", 0);
	return take(reader, '"') && text_utf8_valid(out->data, out->size) == out->size;
}

static bool read_number(struct reader *reader, int64_t most, int64_t *value)
{
	const char *start = reader->at;
	*value = 0;
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
		int digit = *reader->at++ - '0';
		if (*value > (most - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	return reader->at > start;
}

/* Passes over any value: brackets are counted, strings are read. */
static bool skip_value(struct reader *reader, struct buf *scratch)
{
	const char *start = reader->at;
	int depth = 0;
	while (reader->at < reader->end) {
		char byte = *reader->at;
		if (depth == 0 && (byte == ',' || byte == '}'))
			break;
		if (byte == '"') {
			if (!read_text(reader, scratch))
				return false;
			continue;
		}
		depth += byte == '[' || byte == '{';
		depth -= byte == ']' || byte == '}';
		if (depth < 0 || depth > SKIP_DEPTH)
			return false;
		reader->at++;
	}
	return reader->at > start && depth == 0;
}

static bool read_ranges(struct reader *reader, struct position *position)
{
	if (position->ranges || !take(reader, '['))
		return false;
	position->ranges = mem_zalloc(POSITION_RANGES_MAX, sizeof *position->ranges);
	if (take(reader, ']'))
		return true;
	do {
		struct range range;
		if (position->range_count == POSITION_RANGES_MAX || !take(reader, '[') ||
		        !read_number(reader, INT64_MAX, &range.from) || !take(reader, ',') ||
		        !read_number(reader, INT64_MAX, &range.to) || !take(reader, ']'))
			return false;
		position->ranges[position->range_count++] = range;
	} while (take(reader, ','));
	return take(reader, ']');
}

static bool keep_text(char **place, const struct buf *text)
{
	if (*place)
		return false;
	*place = mem_dup(text->data, text->size);
	return true;
}

static bool copy_text(char *place, size_t room, const struct buf *text)
{
	if (text->size >= room)
		return false;
	memcpy(place, text->data, text->size + 1);
	return true;
}

static bool read_number32(struct reader *reader, int32_t *value)
{
	int64_t number;
	if (!read_number(reader, INT32_MAX, &number))
		return false;
	*value = (int32_t)number;
	return true;
}

static bool read_member(
        struct reader *reader, const char *name, struct buf *text, struct checkpointfile *file)
{
	struct position *position = &file->position;
	if (strcmp(name, "partition") == 0)
		return read_number32(reader, &file->partition);
	if (strcmp(name, "partitions") == 0)
		return read_number32(reader, &position->partitions);
	if (strcmp(name, "offset") == 0)
		return read_number(reader, INT64_MAX, &position->offset);
	if (strcmp(name, "until") == 0)
		return read_number(reader, INT64_MAX, &position->until);
	if (strcmp(name, "finished") == 0)
		return read_ranges(reader, position);
	if (strcmp(name, "group") == 0)
		return read_text(reader, text) && keep_text(&file->group, text);
	if (strcmp(name, "topic") == 0)
		return read_text(reader, text) && keep_text(&file->topic, text);
	if (strcmp(name, "cluster") == 0)
		return read_text(reader, text) &&
		       copy_text(position->cluster, sizeof position->cluster, text);
	if (strcmp(name, "lineage") == 0)
		return read_text(reader, text) &&
		       copy_text(position->lineage, sizeof position->lineage, text);
	if (strcmp(name, "script") == 0)
		return read_text(reader, text) && copy_text(file->script, sizeof file->script, text);
	if (strcmp(name, "time") == 0)
		return read_text(reader, text) && clock_parse(text->data, text->size, &position->wall);
	return skip_value(reader, text);
}

static bool read_version(struct reader *reader, int64_t *version)
{
	static const char opening[] = "{\"version\":";
	size_t size = sizeof opening - 1;
	if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, opening, size) != 0)
		return false;
	reader->at += size;
	return read_number(reader, INT32_MAX, version);
}

static bool read_object(struct reader *reader, struct checkpointfile *file)
{
	struct buf name, text;
	buf_init(&name, 256);
	buf_init(&text, FILE_MAX);
	bool good = true;
	while (good && reader->at < reader->end)
		good = take(reader, ',') && read_text(reader, &name) && take(reader, ':') &&
		       read_member(reader, name.data, &text, file);
	buf_free(&name);
	buf_free(&text);
	return good;
}

static bool is_hex(const char *text, size_t size)
{
	return strspn(text, "0123456789abcdef") >= size;
}

static bool makes_sense(const struct checkpointfile *file)
{
	const struct position *position = &file->position;
	int64_t above = position->offset;
	for (size_t i = 0; i < position->range_count; i++) {
		if (position->ranges[i].from < above || position->ranges[i].to <= position->ranges[i].from)
			return false;
		above = position->ranges[i].to;
	}
	return file->group && file->topic && file->partition >= 0 && position->offset >= 0 &&
	       position->wall > 0 && position->wall <= WALL_MAX &&
	       strlen(position->lineage) == LINEAGE_SIZE - 1 && is_hex(position->lineage, LINEAGE_SIZE - 1) &&
	       (file->script[0] == '\0' ||
	               (strlen(file->script) == DIGEST_HEX - 1 && is_hex(file->script, DIGEST_HEX - 1)));
}

/* Cuts the checksum off; false when it is not there or not that of the rest. */
static bool unseal(struct reader *reader, struct err *err)
{
	char digest[DIGEST_HEX] = "";
	if (reader->end - reader->at <= SEAL)
		return err_set(err, "it is too short: %zu bytes", (size_t)(reader->end - reader->at));
	reader->end -= SEAL;
	const char *at = reader->end;
	if (memcmp(at, seal, sizeof seal - 1) != 0 || memcmp(at + SEAL - 3, "\"}\n", 3) != 0)
		return err_set(err, "it does not end with its checksum");
	struct bytes sealed = {reader->at, (size_t)(reader->end - reader->at)};
	digest_hex(DIGEST_SHA256, &sealed, 1, digest);
	return memcmp(at + sizeof seal - 1, digest, DIGEST_HEX - 1) == 0 ||
	       err_set(err, "its checksum is not that of what it says");
}

bool checkpointfile_parse(const char *text, size_t size, struct checkpointfile *file, struct err *err)
{
	struct reader reader = {text, text + size};
	int64_t version;
	*file = (struct checkpointfile){.partition = -1, .position = {.offset = -1, .until = -1}};
	if (!unseal(&reader, err))
		return false;
	if (!read_version(&reader, &version))
		return err_set(err, "it does not begin with its version");
	if (version != VERSION)
		return err_set(err, "it is of version %lld, and this program reads version %d",
		        (long long)version, VERSION);
	if (read_object(&reader, file) && makes_sense(file))
		return true;
	checkpointfile_free(file);
	return err_set(err, "it has a checksum, yet does not say where a partition stands");
}

/* ---- names ---- */

/* 2026-11-22T13:26:28.123Z <-> 20261122T132628123Z */
static void time_to_name(int64_t wall, char name[TIME_TEXT + 1])
{
	char text[CLOCK_TEXT];
	size_t size = 0;
	clock_format(wall, text);
	for (const char *at = text; *at && size < TIME_TEXT; at++)
		if (*at != '-' && *at != ':' && *at != '.')
			name[size++] = *at;
	name[size] = '\0';
}

static bool name_to_time(const char *name, int64_t *wall)
{
	char text[CLOCK_TEXT];
	if (strlen(name) != NAME_TEXT || name[TIME_TEXT] != '-' ||
	        !is_hex(name + TIME_TEXT + 1, RANDOM_TEXT) || strcmp(name + NAME_TEXT - 5, ".json") != 0)
		return false;
	int size = snprintf(text, sizeof text, "%.4s-%.2s-%.5s:%.2s:%.2s.%.4s", name, name + 4, name + 6,
	        name + 11, name + 13, name + 15);
	return size == CLOCK_TEXT - 1 && clock_parse(text, CLOCK_TEXT - 1, wall);
}

static bool is_temporary(const char *name)
{
	size_t size = strlen(name);
	return size > 4 && strcmp(name + size - 4, ".tmp") == 0;
}

static void add_escaped(struct buf *out, const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	for (const char *at = name; *at; at++) {
		bool leading = *at == '.' && at == name;
		if (strchr(plain, *at) && !leading)
			buf_append_byte(out, *at);
		else
			buf_printf(out, "%%%02X", (unsigned char)*at);
	}
}

char *checkpointfile_group_folder(const char *dir, const char *group)
{
	struct buf path;
	buf_init(&path, 0);
	buf_printf(&path, "%s/", dir);
	add_escaped(&path, group);
	return buf_steal(&path, NULL);
}

char *checkpointfile_folder(const char *dir, const char *group, const char *topic, int32_t partition)
{
	struct buf path;
	buf_init(&path, 0);
	buf_printf(&path, "%s/", dir);
	add_escaped(&path, group);
	buf_append_byte(&path, '/');
	add_escaped(&path, topic);
	buf_printf(&path, "/%d", partition);
	return buf_steal(&path, NULL);
}

/* ---- folders ---- */

struct listing {
	char **names; /* of checkpoint files, newest first */
	size_t count;
	int64_t newest; /* time of the first; 0 = none */
};

static int newer_first(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

static void remove_stale(int folder, const char *name)
{
	struct stat about;
	if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode) &&
	        about.st_mtime + STALE_S < clock_wall() / 1000)
		unlinkat(folder, name, 0);
}

static void listing_free(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		mem_free(listing->names[i]);
	mem_free(listing->names);
}

/* A folder that is not there is empty. */
static bool list_folder(const char *folder, bool clean, struct listing *listing, struct err *err)
{
	*listing = (struct listing){0};
	DIR *stream = opendir(folder);
	int64_t wall;
	if (stream == NULL)
		return errno == ENOENT || err_set(err, "%s cannot be read: %s", folder, strerror(errno));
	for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		if (clean && is_temporary(entry->d_name))
			remove_stale(dirfd(stream), entry->d_name);
		if (!name_to_time(entry->d_name, &wall))
			continue;
		listing->names = mem_realloc(listing->names, (listing->count + 1) * sizeof *listing->names);
		listing->names[listing->count++] = mem_strdup(entry->d_name);
	}
	closedir(stream);
	if (listing->count == 0)
		return true;
	qsort(listing->names, listing->count, sizeof *listing->names, newer_first);
	name_to_time(listing->names[0], &listing->newest);
	return true;
}

static void remove_old(const char *folder, const struct listing *listing, size_t keep)
{
	for (size_t i = keep; i < listing->count; i++) {
		char *path = mem_printf("%s/%s", folder, listing->names[i]);
		if (unlink(path) != 0 && errno != ENOENT)
			log_throttled(
			        LOG_WARN, "checkpoint", "%s cannot be removed: %s", path, strerror(errno));
		mem_free(path);
	}
}

static bool flush_folder(const char *folder, struct err *err)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, "%s cannot be opened: %s", folder, strerror(errno));
	int failure = fsync(fd) == 0 ? 0 : errno;
	close(fd);
	return failure == 0 || err_set(err, "%s cannot be flushed: %s", folder, strerror(failure));
}

/* Makes what is missing of `path` below `dir`, each durably. */
static bool make_folders(const char *dir, const char *path, struct err *err)
{
	char *part = mem_strdup(path);
	bool good = true;
	for (char *at = part + strlen(dir) + 1; good && at;) {
		char *slash = strchr(at, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(part, 0775) == 0) {
			char *parent = mem_printf("%.*s", (int)(at - 1 - part), part);
			good = flush_folder(parent, err);
			mem_free(parent);
		} else if (errno != EEXIST) {
			good = err_set(err, "%s cannot be made: %s", part, strerror(errno));
		}
		if (slash)
			*slash = '/';
		at = slash ? slash + 1 : NULL;
	}
	mem_free(part);
	return good;
}

/* ---- files ---- */

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			errno = written == 0 ? ENOSPC : errno;
			return false;
		}
		data += written;
		size -= (size_t)written;
	}
	return true;
}

/* A new file with these bytes, flushed; nothing is left of one that failed. */
static bool write_flushed(const char *path, mode_t mode, const struct buf *text, struct err *err)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
	if (fd < 0)
		return err_set(err, "%s cannot be made: %s", path, strerror(errno));
	int failure = write_all(fd, text->data, text->size) && fsync(fd) == 0 ? 0 : errno;
	if (close(fd) != 0 && failure == 0)
		failure = errno;
	if (failure == 0)
		return true;
	unlink(path);
	return err_set(err, "%s cannot be written: %s", path, strerror(failure));
}

static bool rename_over(const char *from, const char *to, struct err *err)
{
	if (rename(from, to) == 0)
		return true;
	int failure = errno;
	unlink(from);
	return err_set(err, "%s cannot be renamed: %s", from, strerror(failure));
}

/* False when it is not durable; the file may be there all the same, and says the truth. */
static bool write_durably(const char *folder, const char *name, const struct buf *text, struct err *err)
{
	char *path = mem_printf("%s/%s", folder, name), *temporary = mem_printf("%s.tmp", path);
	bool good = write_flushed(temporary, 0664, text, err) && rename_over(temporary, path, err) &&
	            flush_folder(folder, err);
	mem_free(temporary);
	mem_free(path);
	return good;
}

static bool write_named(
        const char *folder, struct checkpointfile *file, const struct listing *listing, struct err *err)
{
	char name[NAME_TEXT + 1], time[TIME_TEXT + 1], random[RANDOM_TEXT + 1];
	int64_t *wall = &file->position.wall;
	if (*wall <= listing->newest)
		*wall = listing->newest + 1;
	if (*wall > WALL_MAX)
		*wall = WALL_MAX;
	time_to_name(*wall, time);
	random_hex(random, sizeof random);
	snprintf(name, sizeof name, "%s-%s.json", time, random);
	struct buf text;
	buf_init(&text, 0);
	checkpointfile_print(file, &text);
	bool good = write_durably(folder, name, &text, err);
	buf_free(&text);
	return good;
}

bool checkpointfile_write(const char *dir, struct checkpointfile *file, unsigned keep, struct err *err)
{
	char *folder = checkpointfile_folder(dir, file->group, file->topic, file->partition);
	struct listing listing = {0};
	bool good = make_folders(dir, folder, err) && list_folder(folder, true, &listing, err) &&
	            write_named(folder, file, &listing, err);
	if (good)
		remove_old(folder, &listing, keep > 1 ? keep - 1 : 0);
	listing_free(&listing);
	mem_free(folder);
	return good;
}

static bool read_open(int fd, const char *path, struct buf *text, struct err *err)
{
	struct stat about;
	if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
		return err_set(err, "%s is not a file", path);
	for (;;) {
		char *room = buf_reserve(text, 4096);
		if (room == NULL)
			return err_set(err, "%s is too long", path);
		ssize_t got = read(fd, room, 4096);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, "%s cannot be read: %s", path, strerror(errno));
		if (got == 0)
			return true;
		buf_commit(text, (size_t)got);
	}
}

static bool read_whole(const char *path, struct buf *text, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, "%s cannot be read: %s", path, strerror(errno));
	bool good = read_open(fd, path, text, err);
	close(fd);
	return good;
}

bool checkpointfile_read(const char *path, struct checkpointfile *file, struct err *err)
{
	struct buf text;
	buf_init(&text, FILE_MAX);
	bool good = read_whole(path, &text, err) &&
	            checkpointfile_parse(text.data ? text.data : "", text.size, file, err);
	buf_free(&text);
	return good;
}

static bool read_of(const char *path, const char *group, const char *topic, int32_t partition,
        struct checkpointfile *file, struct err *err)
{
	if (!checkpointfile_read(path, file, err))
		return false;
	if (strcmp(file->group, group) == 0 && strcmp(file->topic, topic) == 0 &&
	        file->partition == partition)
		return true;
	err_set(err, "it is of group %s, %s/%d, and lies in another's folder", file->group, file->topic,
	        file->partition);
	checkpointfile_free(file);
	return false;
}

bool checkpointfile_read_all(const char *dir, const char *group, const char *topic, int32_t partition,
        struct checkpointfile **files, size_t *count, struct err *err)
{
	char *folder = checkpointfile_folder(dir, group, topic, partition);
	struct listing listing;
	*files = NULL;
	*count = 0;
	bool good = list_folder(folder, false, &listing, err);
	if (listing.count)
		*files = mem_zalloc(listing.count, sizeof **files);
	for (size_t i = 0; i < listing.count; i++) {
		char *path = mem_printf("%s/%s", folder, listing.names[i]);
		struct err why;
		if (read_of(path, group, topic, partition, &(*files)[*count], &why))
			++*count;
		else if (access(path, F_OK) == 0) /* else another owner has removed it meanwhile */
			log_warn("checkpoint", "%s is passed over: %s", path, why.text);
		mem_free(path);
	}
	listing_free(&listing);
	mem_free(folder);
	return good;
}

bool checkpointfile_write_other(
        const char *dir, const char *group, const char *name, const struct buf *text, struct err *err)
{
	char *folder = checkpointfile_group_folder(dir, group), random[RANDOM_TEXT + 1];
	random_hex(random, sizeof random);
	char *path = mem_printf("%s/%s", folder, name), *temporary = mem_printf("%s-%s.tmp", path, random);
	bool good = make_folders(dir, folder, err) && write_flushed(temporary, 0600, text, err) &&
	            rename_over(temporary, path, err) && flush_folder(folder, err);
	mem_free(temporary);
	mem_free(path);
	mem_free(folder);
	return good;
}

bool checkpointfile_read_other(
        const char *dir, const char *group, const char *name, struct buf *text, struct err *err)
{
	char *folder = checkpointfile_group_folder(dir, group), *path = mem_printf("%s/%s", folder, name);
	bool good = access(path, F_OK) != 0 && errno == ENOENT ? true : read_whole(path, text, err);
	mem_free(path);
	mem_free(folder);
	return good;
}

static bool reads_back(const char *path, const char *expected, struct err *err)
{
	struct buf text;
	buf_init(&text, FILE_MAX);
	bool good = read_whole(path, &text, err);
	if (good && (text.size != strlen(expected) || memcmp(text.data, expected, text.size) != 0))
		good = err_set(err, "%s does not say what was written there last", path);
	buf_free(&text);
	return good;
}

/* Twice, so that the second time renames over a file that is there. */
static bool try_file(const char *folder, const char *name, struct err *err)
{
	static const char *const texts[] = {"the first\n", "and the second\n"};
	char *path = mem_printf("%s/%s", folder, name);
	bool good = true;
	for (size_t i = 0; good && i < sizeof texts / sizeof *texts; i++) {
		struct buf text;
		buf_init(&text, 0);
		buf_append_text(&text, texts[i]);
		good = write_durably(folder, name, &text, err) && reads_back(path, texts[i], err);
		buf_free(&text);
	}
	if (unlink(path) != 0 && good)
		good = err_set(err, "%s cannot be removed: %s", path, strerror(errno));
	mem_free(path);
	return good;
}

/* Whoever can write there can move positions, and have a script run. Where the sticky bit stands, what is
 * ours stays ours; an emptyDir of Kubernetes is made so, and no other users see it. */
static bool is_open_to_all(const char *folder)
{
	struct stat about;
	return getenv("KUBERNETES_SERVICE_HOST") == NULL && stat(folder, &about) == 0 &&
	       (about.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH;
}

bool checkpointfile_try(const char *dir, const char *group, struct err *err)
{
	struct stat about;
	if (stat(dir, &about) != 0)
		return err_set(err, "%s: %s", dir, strerror(errno));
	char *folder = checkpointfile_group_folder(dir, group), random[RANDOM_TEXT + 1], name[64];
	random_hex(random, sizeof random);
	snprintf(name, sizeof name, "test-%s.tmp", random); /* so that a crash leaves nothing for ever */
	bool good = make_folders(dir, folder, err) && try_file(folder, name, err);
	const char *open = is_open_to_all(dir) ? dir : is_open_to_all(folder) ? folder : NULL;
	if (good && open)
		err_set(err,
		        "all users of this machine may write to %s: take that right away (chmod o-w), or "
		        "they can "
		        "move positions and have a script run",
		        open);
	mem_free(folder);
	return good;
}

/* Calls `visit` for every entry of the folder that is not hidden. */
static void each_entry(
        const char *folder, unsigned keep, bool clean, void (*visit)(const char *path, unsigned keep))
{
	DIR *stream = opendir(folder);
	if (stream == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		if (is_temporary(entry->d_name)) {
			if (clean)
				remove_stale(dirfd(stream), entry->d_name);
			continue;
		}
		char *path = mem_printf("%s/%s", folder, entry->d_name);
		visit(path, keep);
		mem_free(path);
	}
	closedir(stream);
}

static void prune_partition(const char *folder, unsigned keep)
{
	struct listing listing;
	struct stat about;
	if (stat(folder, &about) != 0 || !S_ISDIR(about.st_mode))
		return;
	if (list_folder(folder, true, &listing, NULL))
		remove_old(folder, &listing, keep);
	listing_free(&listing);
}

static void prune_topic(const char *folder, unsigned keep)
{
	each_entry(folder, keep, false, prune_partition);
}

void checkpointfile_prune(const char *dir, const char *group, unsigned keep)
{
	char *folder = checkpointfile_group_folder(dir, group);
	each_entry(folder, keep, true, prune_topic);
	mem_free(folder);
}

const struct checkpointfile_disk checkpointfile_disk = {
        checkpointfile_try, checkpointfile_prune, checkpointfile_write, checkpointfile_read_all};
