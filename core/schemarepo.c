/* Finds schemas by their paths over several repositories. */
#include "schemarepo.h"
#include "mem.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const endings[] = {"", ".yaml", ".json"};
enum { ENDINGS = sizeof endings / sizeof *endings };

static const char file_scheme[] = "file://";

/* ---- paths and versions ---- */

bool schemarepo_path_valid(const char *path)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t names = 0;
	if (strlen(path) > SCHEMAREPO_PATH_MAX)
		return false;
	for (const char *at = path; *at; names++) {
		if (*at != '/')
			return false;
		at++;
		size_t size = strspn(at, allowed);
		if (size == 0 || strspn(at, ".") == size)
			return false;
		at += size;
	}
	return names >= 2;
}

size_t schemarepo_title_size(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) : 0;
}

static bool is_version(const char *text)
{
	return *text >= '0' && *text <= '9';
}

int schemarepo_compare_versions(const char *a, const char *b)
{
	while (is_version(a) || is_version(b)) {
		char *a_end, *b_end;
		if (!is_version(a) || !is_version(b))
			return is_version(a) ? 1 : -1;
		unsigned long x = strtoul(a, &a_end, 10), y = strtoul(b, &b_end, 10);
		if (x != y)
			return x > y ? 1 : -1;
		a = *a_end == '.' ? a_end + 1 : a_end;
		b = *b_end == '.' ? b_end + 1 : b_end;
	}
	return 0;
}

/* ---- one repository ---- */

static enum fetch_outcome get(
        const struct schemarepo *repo, const char *url, struct buf *out, struct err *err)
{
	return repo->get ? repo->get(&repo->fetch, url, out, err) : fetch(&repo->fetch, url, out, err);
}

/* The URI without the slashes at its end. */
static char *base_of(const struct schemarepo *repo, size_t index)
{
	const char *uri = repo->uris[index];
	size_t size = strlen(uri);
	while (size > 0 && uri[size - 1] == '/')
		size--;
	return mem_printf("%.*s", (int)size, uri);
}

static const char *folder_of(const char *base)
{
	return strncasecmp(base, file_scheme, strlen(file_scheme)) == 0 ? base + strlen(file_scheme) : NULL;
}

/* What is not there in a folder that is not there, nobody knows: it may not be mounted yet. */
static enum fetch_outcome absent_from(const char *base, struct err *err)
{
	const char *folder = folder_of(base);
	struct stat about;
	if (folder == NULL || (stat(*folder ? folder : "/", &about) == 0 && S_ISDIR(about.st_mode)))
		return FETCH_ABSENT;
	err_set(err, "%.300s is no folder that can be read", base);
	return FETCH_AWAY;
}

static enum fetch_outcome find_in(
        const struct schemarepo *repo, size_t index, const char *path, struct buf *text, struct err *err)
{
	char *base = base_of(repo, index);
	enum fetch_outcome outcome = FETCH_ABSENT;
	for (size_t i = 0; i < ENDINGS && outcome == FETCH_ABSENT; i++) {
		char *url = mem_printf("%s%s%s", base, path, endings[i]);
		outcome = get(repo, url, text, err);
		mem_free(url);
	}
	if (outcome == FETCH_ABSENT)
		outcome = absent_from(base, err);
	mem_free(base);
	return outcome;
}

/* ---- all of them ---- */

enum fetch_outcome schemarepo_find(
        const struct schemarepo *repo, const char *path, struct buf *text, struct err *err)
{
	struct err why = {""};
	enum fetch_outcome all = FETCH_ABSENT;
	for (size_t i = 0; i < repo->uri_count; i++) {
		struct err here = {""};
		enum fetch_outcome outcome = find_in(repo, i, path, text, &here);
		if (outcome == FETCH_GOT)
			return FETCH_GOT;
		if (outcome == FETCH_AWAY && all == FETCH_ABSENT) {
			all = FETCH_AWAY;
			why = here;
		}
	}
	if (all == FETCH_AWAY)
		err_set(err, "%.900s", why.text);
	else
		err_set(err, "it is in none of the repositories");
	return all;
}

/* ---- the newest ---- */

/* Keeps the name without its ending when it is a higher version than `newest`, which is given back. */
static char *higher(char *newest, const char *name)
{
	size_t size = strlen(name);
	if (!is_version(name))
		return newest;
	for (size_t i = 1; i < ENDINGS; i++) {
		size_t ending = strlen(endings[i]);
		if (size > ending && strcmp(name + size - ending, endings[i]) == 0) {
			size -= ending;
			break;
		}
	}
	char *version = mem_printf("%.*s", (int)size, name);
	if (newest && schemarepo_compare_versions(version, newest) <= 0) {
		mem_free(version);
		return newest;
	}
	mem_free(newest);
	return version;
}

static enum fetch_outcome newest_in_folder(
        const char *base, const char *title, char **version, struct err *err)
{
	char *folder = mem_printf("%s%s", folder_of(base), title);
	DIR *opened = opendir(folder);
	const struct dirent *entry;
	enum fetch_outcome outcome = FETCH_ABSENT;
	if (opened) {
		while ((entry = readdir(opened)) != NULL)
			*version = higher(*version, entry->d_name);
		closedir(opened);
		outcome = *version ? FETCH_GOT : FETCH_ABSENT;
	} else if (errno == ENOENT || errno == ENOTDIR) {
		outcome = absent_from(base, err);
	} else {
		err_set(err, "%.300s cannot be read: %s", folder, strerror(errno));
		outcome = FETCH_AWAY;
	}
	mem_free(folder);
	return outcome;
}

/* What stands behind the first `$id` at the beginning of a line (YAML) or as a member (JSON), if that is a
 * version of the title; NULL if not. Members of its own come before those of its parts in no order, so each
 * is looked at. */
static char *version_in(const char *text, const char *title)
{
	size_t size = strlen(title);
	for (const char *at = strstr(text, "$id"); at; at = strstr(at + 1, "$id")) {
		const char *value = at + strlen("$id");
		value += strspn(value, "\"': \t");
		if (strncmp(value, title, size) != 0 || value[size] != '/')
			continue;
		value += size + 1;
		size_t length = strcspn(value, "\"'#, \t\r\n}");
		if (is_version(value) && length < 64)
			return mem_printf("%.*s", (int)length, value);
	}
	return NULL;
}

static enum fetch_outcome newest_by_alias(
        const struct schemarepo *repo, size_t index, const char *title, char **version, struct err *err)
{
	struct buf text;
	char *path = mem_printf("%s/latest", title);
	buf_init(&text, 0);
	enum fetch_outcome outcome = find_in(repo, index, path, &text, err);
	if (outcome == FETCH_GOT)
		*version = version_in(text.data ? text.data : "", title);
	if (outcome == FETCH_GOT && *version == NULL)
		*version = mem_strdup("latest");
	buf_free(&text);
	mem_free(path);
	return outcome;
}

enum fetch_outcome schemarepo_newest(
        const struct schemarepo *repo, const char *title, struct buf *path, struct err *err)
{
	char *newest = NULL;
	enum fetch_outcome all = FETCH_ABSENT;
	for (size_t i = 0; i < repo->uri_count; i++) {
		char *base = base_of(repo, i), *version = NULL;
		struct err why = {""};
		enum fetch_outcome outcome = folder_of(base)
		                                     ? newest_in_folder(base, title, &version, &why)
		                                     : newest_by_alias(repo, i, title, &version, &why);
		if (outcome == FETCH_AWAY) {
			all = FETCH_AWAY;
			err_set(err, "%.900s", why.text);
		} else if (outcome == FETCH_GOT &&
		           (newest == NULL || schemarepo_compare_versions(version, newest) > 0)) {
			mem_free(newest);
			newest = version;
			version = NULL;
		}
		mem_free(version);
		mem_free(base);
	}
	if (newest) {
		buf_printf(path, "%s/%s", title, newest);
		mem_free(newest);
		return FETCH_GOT;
	}
	if (all == FETCH_ABSENT)
		err_set(err, "no repository has a schema of the title %.300s", title + (*title == '/'));
	return all;
}

bool schemarepo_there(const struct schemarepo *repo, size_t index, struct err *err)
{
	struct buf text;
	buf_init(&text, 0);
	/* Which document is asked for is all the same: that there is none is an answer, too. */
	bool there = find_in(repo, index, "/error/2.1.0", &text, err) != FETCH_AWAY;
	buf_free(&text);
	return there;
}
