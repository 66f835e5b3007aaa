/* Replaces the script that new records begin on, and keeps the old one when the new one does not load. */
#include "reload.h"
#include "clock.h"
#include "digest.h"
#include "filewatch.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	SETTLE_MS = 200, /* an editor's or kubelet's burst is one change */
	POLL_MS = 5000,  /* for file systems whose changes inotify does not see */
	DEPTH = 3,
	FILES_MAX = 1000,
};

static const char *const outcome_names[] = {
	[RELOAD_SWAPPED] = "swapped",
	[RELOAD_UNCHANGED] = "unchanged",
	[RELOAD_FAILED] = "failed",
	[RELOAD_BUSY] = "busy",
};

struct reload {
	const struct config *config;
	const struct script_world *world;
	struct event_base *base;
	struct metrics *metrics;
	struct pipeline *pipeline;
	struct filewatch *watch;
	struct script *script;
	char *params;               /* JSON text that the present script was loaded with */
	char sha256[DIGEST_HEX];    /* of the present script; stays where it is */
	char seen[DIGEST_HEX];      /* of everything that was there at the last attempt */
	int64_t loaded_at;          /* wall ms */
	enum reload_outcome last;
	char *last_error;
};

/* ---- what is on disk ---- */

struct listing {
	char *paths[FILES_MAX];
	size_t count;
};

static bool has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), tail = strlen(suffix);
	return size > tail && strcmp(name + size - tail, suffix) == 0;
}

static void list_folder(struct listing *listing, const char *folder, int depth)
{
	char path[PATH_MAX];
	struct stat st;
	DIR *dir = opendir(folder);
	for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL && listing->count < FILES_MAX;) {
		int size = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] == '.' || size >= (int)sizeof path || stat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0)
			list_folder(listing, path, depth - 1);
		else if (S_ISREG(st.st_mode) && has_suffix(path, ".lua"))
			listing->paths[listing->count++] = mem_strdup(path);
	}
	if (dir)
		closedir(dir);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void append_file(struct buf *out, const char *path)
{
	FILE *file = fopen(path, "re");
	char *room;
	buf_printf(out, "\n%s\n", path);
	while (file && (room = buf_reserve(out, 65536)) != NULL) {
		size_t size = fread(room, 1, 65536, file);
		buf_commit(out, size);
		if (size == 0)
			break;
	}
	if (file)
		fclose(file);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? mem_dup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
}

/* A digest of all scripts in the folder and of the configuration file: when it stands still, nothing changed. */
static void look_at_disk(const struct reload *reload, char seen[DIGEST_HEX])
{
	struct listing listing = {.count = 0};
	struct buf all;
	char *folder = folder_of(reload->config->script.path);
	buf_init(&all, 64u << 20);
	list_folder(&listing, folder, DEPTH);
	qsort(listing.paths, listing.count, sizeof *listing.paths, by_name);
	for (size_t i = 0; i < listing.count; i++) {
		append_file(&all, listing.paths[i]);
		mem_free(listing.paths[i]);
	}
	append_file(&all, reload->config->path);
	digest_hex(DIGEST_SHA256, &(struct bytes){all.data, all.size}, 1, seen);
	buf_free(&all);
	mem_free(folder);
}

/* ---- loading ---- */

static struct script *load(const struct reload *reload, const char *params, struct err *err)
{
	struct script_config config = reload->config->script;
	config.params_json = params;
	return script_open(&config, reload->world, err);
}

/* script.params as the configuration file has them now; NULL and err when it has errors. Freed by the caller. */
static char *read_params(const struct reload *reload, struct err *err)
{
	struct config_report report = {0};
	struct config *config = config_load(reload->config->path, &report);
	char *params = NULL;
	if (config) {
		params = mem_strdup(config->script.params_json ? config->script.params_json : "{}");
		config_free(config);
	} else {
		err_set(err, "%.*s", (int)strcspn(report.text.data ? report.text.data : "?", "\n"),
			report.text.data ? report.text.data : "?");
	}
	config_report_free(&report);
	return params;
}

static void tell_script(struct reload *reload, double value)
{
	char sha[13];
	snprintf(sha, sizeof sha, "%s", script_sha256(reload->script));
	if (value > 0)
		*metrics_value(reload->metrics, METRIC_SCRIPT_INFO, script_path(reload->script), sha) = value;
	else
		metrics_remove(reload->metrics, METRIC_SCRIPT_INFO,
			(const char *const[]){script_path(reload->script), sha, NULL});
}

static void take_over(struct reload *reload, struct script *script, char *params)
{
	if (reload->script) {
		tell_script(reload, 0);
		script_release(reload->script);
	}
	mem_free(reload->params);
	reload->script = script;
	reload->params = params;
	snprintf(reload->sha256, sizeof reload->sha256, "%s", script_sha256(script));
	reload->loaded_at = clock_wall();
	tell_script(reload, 1);
	*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_TIME, NULL) = (double)reload->loaded_at / 1000;
}

static enum reload_outcome try_loading(struct reload *reload, const char *by, struct err *err)
{
	char before[13];
	char *params = read_params(reload, err);
	struct script *script = params ? load(reload, params, err) : NULL;
	enum reload_outcome outcome = RELOAD_FAILED;
	snprintf(before, sizeof before, "%s", script_sha256(reload->script));
	if (script == NULL) {
		log_error("reload", "%s is not loaded (%s); %s goes on: %s", reload->config->script.path, by, before,
			err->text);
	} else if (strcmp(script_sha256(script), script_sha256(reload->script)) == 0 &&
		strcmp(params, reload->params) == 0) {
		outcome = RELOAD_UNCHANGED;
	} else if (!pipeline_use_script(reload->pipeline, script)) {
		outcome = RELOAD_BUSY;
	} else {
		take_over(reload, script, params);
		log_info("reload", "%s: new records begin on %.12s instead of %s (%s)", script_path(script),
			script_sha256(script), before, by);
		return RELOAD_SWAPPED;
	}
	if (script)
		script_release(script);
	mem_free(params);
	return outcome;
}

enum reload_outcome reload_now(struct reload *reload, const char *by, struct buf *told)
{
	struct err err = {""};
	look_at_disk(reload, reload->seen);
	enum reload_outcome outcome = try_loading(reload, by, &err);
	if (outcome == RELOAD_BUSY) {
		reload->seen[0] = '\0'; /* the next look tries again */
		err_set(&err, "%zu states still finish their records; try again in a moment",
			pipeline_scripts(reload->pipeline) - 1);
	}
	*metrics_value(reload->metrics, METRIC_SCRIPT_RELOADS, outcome_names[outcome]) += 1;
	if (outcome != RELOAD_BUSY)
		*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = outcome != RELOAD_FAILED;
	reload->last = outcome;
	mem_free(reload->last_error);
	reload->last_error = err.text[0] ? mem_strdup(err.text) : NULL;
	if (told && reload->last_error)
		buf_append_text(told, reload->last_error);
	else if (told)
		buf_printf(told, "%s %.12s", script_path(reload->script), script_sha256(reload->script));
	return outcome;
}

static void on_change(void *context)
{
	struct reload *reload = context;
	char now[DIGEST_HEX];
	look_at_disk(reload, now);
	if (strcmp(now, reload->seen) != 0)
		reload_now(reload, "watch", NULL);
}

/* ---- building, telling ---- */

struct reload *reload_open(struct event_base *base, const struct config *config, const struct script_world *world,
	struct metrics *metrics, struct err *err)
{
	struct reload *reload = mem_zalloc(1, sizeof *reload);
	*reload = (struct reload){.config = config, .world = world, .base = base, .metrics = metrics};
	char *params = mem_strdup(config->script.params_json ? config->script.params_json : "{}");
	look_at_disk(reload, reload->seen);
	struct script *script = load(reload, params, err);
	if (script == NULL) {
		mem_free(params);
		mem_free(reload);
		return NULL;
	}
	take_over(reload, script, params);
	*metrics_value_at(metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = 1;
	return reload;
}

void reload_attach(struct reload *reload, struct pipeline *pipeline)
{
	reload->pipeline = pipeline;
	pipeline_use_script(pipeline, reload->script);
	if (reload->config->script_reload != SCRIPT_RELOAD_WATCH)
		return;
	char *scripts = folder_of(reload->config->script.path), *config = folder_of(reload->config->path);
	reload->watch = filewatch_open(reload->base, SETTLE_MS, POLL_MS, on_change, reload);
	filewatch_add(reload->watch, scripts);
	if (strcmp(scripts, config) != 0)
		filewatch_add(reload->watch, config);
	mem_free(scripts);
	mem_free(config);
}

const char *reload_sha256(const struct reload *reload)
{
	return reload->sha256;
}

const char *reload_outcome_name(enum reload_outcome outcome)
{
	return outcome_names[outcome];
}

void reload_status(const struct reload *reload, struct buf *out)
{
	char loaded[CLOCK_TEXT];
	clock_format(reload->loaded_at, loaded);
	buf_append_text(out, "{\"path\":");
	text_json_string(out, script_path(reload->script), strlen(script_path(reload->script)));
	buf_printf(out, ",\"sha256\":\"%s\",\"states\":%zu,\"loaded_at\":\"%s\",\"last_outcome\":\"%s\",\"last_error\":",
		script_sha256(reload->script), reload->pipeline ? pipeline_scripts(reload->pipeline) : 1, loaded,
		outcome_names[reload->last]);
	if (reload->last_error)
		text_json_string(out, reload->last_error, strlen(reload->last_error));
	else
		buf_append_text(out, "null");
	buf_append_byte(out, '}');
}

void reload_close(struct reload *reload)
{
	if (reload == NULL)
		return;
	filewatch_close(reload->watch);
	script_release(reload->script);
	mem_free(reload->params);
	mem_free(reload->last_error);
	mem_free(reload);
}
