/* Replaces the script that new records begin on, and keeps the old one when the new one does not load. */
#include "reload.h"
#include "clock.h"
#include "filewatch.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

enum {
	SETTLE_MS = 200, /* an editor's or kubelet's burst is one change */
	POLL_MS = 5000,  /* for file systems whose changes inotify does not see */
	BUSY_MS = 200,   /* between two looks whether a state has ended meanwhile */
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
	struct filewatch *watch; /* NULL = nobody watches */
	struct event *waiting;   /* of a reload that found too many states */
	const char *waiting_by;
	struct script *script;
	char *params;            /* JSON text that the present script was loaded with */
	char *params_file;       /* where some of them may stand; NULL = nowhere */
	char sha256[DIGEST_HEX]; /* of the present script; stays where it is */
	char seen[DIGEST_HEX];   /* what was on disk when the last attempt began */
	int64_t loaded_at;       /* wall ms */
	bool tried;              /* since the start */
	enum reload_outcome last;
	char *last_error;
};

/* ---- what belongs to the script ---- */

/* Fills the set; answers its folder, which the caller frees. */
static char *files_of(const struct reload *reload, struct fileset *set)
{
	const struct config *config = reload->config;
	char *folder = text_folder(config->script.path);
	*set = (struct fileset){
	        .folder = folder, .files = {config->script.path, config->path}, .file_count = 2};
	if (reload->params_file)
		set->files[set->file_count++] = reload->params_file;
	return folder;
}

static void look_now(struct reload *reload)
{
	struct fileset set;
	struct fileset_look look;
	char *folder = files_of(reload, &set);
	fileset_look(&set, &look, NULL, NULL);
	memcpy(reload->seen, look.sha256, sizeof reload->seen);
	mem_free(folder);
}

static void watch_again(struct reload *reload)
{
	struct fileset set;
	char *folder = files_of(reload, &set);
	if (reload->watch)
		filewatch_use(reload->watch, &set);
	mem_free(folder);
}

/* ---- loading ---- */

static struct script *load(const struct reload *reload, const char *params, struct err *err)
{
	struct script_config config = reload->config->script;
	config.params_json = params;
	return script_open(&config, reload->world, err);
}

static void tell_problem(const struct config_report *report, struct err *err)
{
	const struct diagnostics *found = &report->found;
	for (size_t i = 0; i < found->count; i++) {
		const struct diagnostic *item = &found->items[i];
		if (item->severity != SEVERITY_ERROR)
			continue;
		if (item->line)
			err_set(err, "%s:%u:%u: %s", item->file, item->line, item->column, item->message);
		else
			err_set(err, "%s: %s", item->file, item->message);
		return;
	}
}

/* script.params as the configuration has them now; NULL and err when it has errors. Freed by the caller. */
static char *read_params(struct reload *reload, struct err *err)
{
	struct config_report report = {0};
	struct config *config = config_load_script(reload->config->path, &report);
	char *params = NULL;
	if (config) {
		params = mem_strdup(config->script.params_json ? config->script.params_json : "{}");
		mem_free(reload->params_file);
		reload->params_file = mem_strdup(config->script_params_file);
		config_free(config);
	} else {
		tell_problem(&report, err);
	}
	config_report_free(&report);
	return params;
}

static void tell_script(struct reload *reload, bool present)
{
	char sha[13];
	snprintf(sha, sizeof sha, "%s", script_sha256(reload->script));
	if (present)
		*metrics_value(reload->metrics, METRIC_SCRIPT_INFO, script_path(reload->script), sha) = 1;
	else
		metrics_remove(reload->metrics, METRIC_SCRIPT_INFO,
		        (const char *const[]){script_path(reload->script), sha, NULL});
}

static void take_over(struct reload *reload, struct script *script, char *params)
{
	if (reload->script) {
		tell_script(reload, false);
		script_release(reload->script);
	}
	mem_free(reload->params);
	reload->script = script;
	reload->params = params;
	snprintf(reload->sha256, sizeof reload->sha256, "%s", script_sha256(script));
	reload->loaded_at = clock_wall();
	tell_script(reload, true);
	*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_TIME, NULL) =
	        (double)reload->loaded_at / 1000;
}

static bool is_present(const struct reload *reload, const struct script *script, const char *params)
{
	return strcmp(script_sha256(script), reload->sha256) == 0 && strcmp(params, reload->params) == 0;
}

/* Takes both when it swaps. */
static enum reload_outcome offer(struct reload *reload, struct script *script, char *params, const char *by)
{
	const char *path = script_path(script);
	bool same_text = strcmp(script_sha256(script), reload->sha256) == 0;
	if (is_present(reload, script, params)) {
		log_info("reload", "%s and its params are unchanged (%s)", path, by);
		return RELOAD_UNCHANGED;
	}
	if (!pipeline_use_script(reload->pipeline, script))
		return RELOAD_BUSY;
	log_info("reload", "%s: new records begin on %.12s%s instead of %.12s (%s)", path,
	        script_sha256(script), same_text ? " with changed params" : "", reload->sha256, by);
	take_over(reload, script, params);
	return RELOAD_SWAPPED;
}

static enum reload_outcome try_loading(struct reload *reload, const char *by, struct err *err)
{
	char *params = read_params(reload, err);
	struct script *script = params ? load(reload, params, err) : NULL;
	enum reload_outcome outcome = RELOAD_FAILED;
	if (script)
		outcome = offer(reload, script, params, by);
	else
		log_error("reload", "%s is not loaded (%s), %.12s goes on: %s", reload->config->script.path,
		        by, reload->sha256, err->text);
	if (outcome == RELOAD_SWAPPED)
		return outcome;
	if (script)
		script_release(script);
	mem_free(params);
	return outcome;
}

/* ---- when ---- */

static bool too_many(const struct reload *reload)
{
	return pipeline_scripts(reload->pipeline) >= PIPELINE_SCRIPTS;
}

static void wait_for_room(struct reload *reload, const char *by)
{
	struct timeval after = {.tv_usec = BUSY_MS * 1000};
	reload->waiting_by = by;
	event_add(reload->waiting, &after);
}

static enum reload_outcome busy(struct reload *reload, const char *by, struct err *err)
{
	err_set(err,
	        "%zu older states still finish their records; it is tried again as soon as one of them has "
	        "ended",
	        pipeline_scripts(reload->pipeline) - 1);
	log_info("reload", "%s is not loaded yet (%s): %s", reload->config->script.path, by, err->text);
	wait_for_room(reload, by);
	return RELOAD_BUSY;
}

static void note(struct reload *reload, enum reload_outcome outcome, const struct err *err, struct buf *told)
{
	*metrics_value(reload->metrics, METRIC_SCRIPT_RELOADS, outcome_names[outcome]) += 1;
	if (outcome != RELOAD_BUSY)
		*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = outcome != RELOAD_FAILED;
	reload->tried = true;
	reload->last = outcome;
	mem_free(reload->last_error);
	reload->last_error = err->text[0] ? mem_strdup(err->text) : NULL;
	if (told && reload->last_error)
		buf_append_text(told, reload->last_error);
	else if (told)
		buf_printf(told, "%s %.12s", script_path(reload->script), reload->sha256);
}

static enum reload_outcome reload_seen(struct reload *reload, const char *by, struct buf *told)
{
	struct err err = {""};
	event_del(reload->waiting);
	enum reload_outcome outcome = too_many(reload) ? RELOAD_BUSY : try_loading(reload, by, &err);
	if (outcome == RELOAD_BUSY)
		busy(reload, by, &err);
	note(reload, outcome, &err, told);
	watch_again(reload);
	return outcome;
}

enum reload_outcome reload_now(struct reload *reload, const char *by, struct buf *told)
{
	if (reload->watch)
		look_now(reload);
	return reload_seen(reload, by, told);
}

static void on_look(void *context, const struct fileset_look *look)
{
	struct reload *reload = context;
	if (strcmp(look->sha256, reload->seen) == 0)
		return;
	memcpy(reload->seen, look->sha256, sizeof reload->seen);
	reload_seen(reload, "watch", NULL);
}

static void on_waiting(evutil_socket_t fd, short what, void *context)
{
	struct reload *reload = context;
	(void)fd;
	(void)what;
	if (too_many(reload))
		wait_for_room(reload, reload->waiting_by);
	else
		reload_now(reload, reload->waiting_by, NULL);
}

/* ---- building, telling ---- */

struct reload *reload_open(struct event_base *base, const struct config *config,
        const struct script_world *world, struct metrics *metrics, struct err *err)
{
	struct reload *reload = mem_zalloc(1, sizeof *reload);
	*reload = (struct reload){.config = config, .world = world, .base = base, .metrics = metrics};
	char *params = mem_strdup(config->script.params_json ? config->script.params_json : "{}");
	reload->params_file = mem_strdup(config->script_params_file);
	look_now(reload);
	struct script *script = load(reload, params, err);
	if (script == NULL) {
		mem_free(params);
		mem_free(reload->params_file);
		mem_free(reload);
		return NULL;
	}
	take_over(reload, script, params);
	*metrics_value_at(metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = 1;
	reload->waiting = event_new(base, -1, 0, on_waiting, reload);
	return reload;
}

void reload_attach(struct reload *reload, struct pipeline *pipeline)
{
	const struct filewatch_config config = {SETTLE_MS, POLL_MS, on_look, reload};
	struct fileset set;
	struct err err = {""};
	reload->pipeline = pipeline;
	pipeline_use_script(pipeline, reload->script);
	if (reload->config->script_reload != SCRIPT_RELOAD_WATCH)
		return;
	char *folder = files_of(reload, &set);
	reload->watch = filewatch_open(reload->base, &config, &set, &err);
	if (reload->watch == NULL)
		log_error(
		        "reload", "%s is not watched: %s; HUP and POST /-/reload load it", folder, err.text);
	mem_free(folder);
}

const char *reload_sha256(const struct reload *reload)
{
	return reload->sha256;
}

const char *reload_outcome_name(enum reload_outcome outcome)
{
	return outcome_names[outcome];
}

static void append_text_or_null(struct buf *out, const char *text)
{
	if (text)
		text_json_string(out, text, strlen(text));
	else
		buf_append_text(out, "null");
}

void reload_status(const struct reload *reload, struct buf *out)
{
	char loaded[CLOCK_TEXT];
	clock_format(reload->loaded_at, loaded);
	buf_append_text(out, "{\"path\":");
	append_text_or_null(out, script_path(reload->script));
	buf_printf(out,
	        ",\"sha256\":\"%s\",\"states\":%zu,\"loaded_at\":\"%s\",\"last_outcome\":", reload->sha256,
	        reload->pipeline ? pipeline_scripts(reload->pipeline) : 1, loaded);
	append_text_or_null(out, reload->tried ? outcome_names[reload->last] : NULL);
	buf_append_text(out, ",\"last_error\":");
	append_text_or_null(out, reload->last_error);
	buf_append_byte(out, '}');
}

void reload_close(struct reload *reload)
{
	if (reload == NULL)
		return;
	filewatch_close(reload->watch);
	event_free(reload->waiting);
	script_release(reload->script);
	mem_free(reload->params);
	mem_free(reload->params_file);
	mem_free(reload->last_error);
	mem_free(reload);
}
