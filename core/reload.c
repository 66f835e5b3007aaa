/* Replaces the script that new records begin on, and keeps the old one when the new one is not good.
 *
 *   on_look, reload_ask    files changed, or somebody asks
 *   begin                  configuration read, script loaded, selftest run
 *   trial_test      ~~>    data tests, by another process; what changes meanwhile begins again
 *   on_tested, swap        new records begin on it
 *   reload_decided  ~~>    each record says how it fares
 *   on_verdict             proved: kept as the last good one; bad: rolled back to that
 *
 * `~~>` marks where the loop runs in between. */
#include "reload.h"
#include "clock.h"
#include "digest.h"
#include "filewatch.h"
#include "keeper.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "readfile.h"
#include "rollback.h"
#include "text.h"
#include "trial.h"

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
        [RELOAD_TESTS_FAILED] = "tests_failed",
        [RELOAD_BUSY] = "busy",
        [RELOAD_REFUSED] = "refused",
        [RELOAD_ROLLED_BACK] = "rolled_back",
};

/* Who waits for the outcome. */
struct asker {
	reload_told *told;
	void *context;
};

struct reload {
	const struct config *config;
	struct config *live;  /* the same, to change it; NULL = nothing is reloaded */
	struct config *first; /* the file as it was at the start, to compare with; NULL = it is no file */
	const struct script_world *world;
	struct event_base *base;
	struct metrics *metrics;
	char config_sha[13]; /* "" = none was read */
	const char *tester;
	void (*configured)(void *context, bool asked);
	void *configured_context;
	struct pipeline *pipeline;
	struct filewatch *watch; /* NULL = nobody watches */
	struct event *waiting;   /* of a reload that found too many states */
	const char *waiting_by;
	/* the script that runs */
	struct script *script;
	char *params;              /* JSON text that it was loaded with */
	int64_t budget_ms;         /* likewise */
	char sha256[DIGEST_HEX];   /* of it; stays where it is */
	char identity[DIGEST_HEX]; /* of it and its params */
	int64_t loaded_at;         /* wall ms */
	bool from_start;           /* no other has run yet */
	/* what lies on disk */
	char *path, *params_file; /* as the configuration file said last; params_file may be NULL */
	char seen[DIGEST_HEX];    /* what was there when the last attempt began */
	/* the attempt under way: only while tests run */
	struct trial trial;
	const char *by;
	bool asked; /* by somebody: what was rolled back is loaded, too */
	struct asker *askers;
	size_t asker_count;
	struct buf changes; /* of the configuration, for whoever asked */
	char *pending;      /* keys that want a restart */
	/* how the script fares */
	struct rollback rollback;
	uint64_t watched; /* records that began on this script and later ones count */
	struct event *verdict;
	struct lastgood *good; /* what to go back to; NULL = nothing */
	struct keeper *keeper; /* NULL = no folder is configured */
	char refused[DIGEST_HEX];
	char *refused_reason; /* NULL = nothing was rolled back */
	char *stands_in;      /* why; NULL = it does not */
	/* what became of the last attempt */
	bool tried; /* since the start */
	enum reload_outcome last;
	char *last_error;
};

/* ---- what belongs to the script ---- */

/* Fills the set; answers its folder and the file of its tests, which the caller frees. */
static void files_of(const struct reload *reload, struct fileset *set, char *owned[2])
{
	owned[0] = text_folder(reload->path);
	owned[1] = trial_tests_of(reload->path);
	*set = (struct fileset){
	        .folder = owned[0], .files = {reload->path, reload->config->path, owned[1]}, .file_count = 3};
	if (reload->params_file)
		set->files[set->file_count++] = reload->params_file;
}

static void free_both(char *owned[2])
{
	mem_free(owned[0]);
	mem_free(owned[1]);
}

static void look_now(const struct reload *reload, char seen[DIGEST_HEX])
{
	struct fileset set;
	struct fileset_look look;
	char *owned[2];
	files_of(reload, &set, owned);
	fileset_look(&set, &look, NULL, NULL);
	memcpy(seen, look.sha256, DIGEST_HEX);
	free_both(owned);
}

static void watch_again(struct reload *reload)
{
	struct fileset set;
	char *owned[2];
	files_of(reload, &set, owned);
	if (reload->watch)
		filewatch_use(reload->watch, &set);
	free_both(owned);
}

static const char *params_of(const struct config *config)
{
	return config->script.params_json ? config->script.params_json : "{}";
}

/* ---- the script that runs ---- */

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

/* Takes the script. */
static void take_over(struct reload *reload, struct script *script, const char *params, int64_t budget_ms)
{
	char *copy = mem_strdup(params);
	if (reload->script) {
		tell_script(reload, false);
		script_release(reload->script);
	}
	mem_free(reload->params);
	reload->script = script;
	reload->params = copy;
	reload->budget_ms = budget_ms;
	snprintf(reload->sha256, sizeof reload->sha256, "%s", script_sha256(script));
	lastgood_identity(reload->sha256, copy, reload->identity);
	reload->loaded_at = clock_wall();
	reload->from_start = false;
	tell_script(reload, true);
	*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_TIME, NULL) =
	        (double)reload->loaded_at / 1000;
}

static void set_text(char **place, const char *text)
{
	char *copy = mem_strdup(text);
	mem_free(*place);
	*place = copy;
}

static void stand_in(struct reload *reload, const char *why)
{
	set_text(&reload->stands_in, why);
	*metrics_value_at(reload->metrics, METRIC_SCRIPT_STANDS_IN, NULL) = why != NULL;
	if (why)
		*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = 0;
}

/* ---- how it fares ---- */

static void begin_watching(struct reload *reload)
{
	const struct rollback_config *config = &reload->config->rollback;
	struct timeval after = {.tv_sec = config->time_ms / 1000, .tv_usec = config->time_ms % 1000 * 1000};
	rollback_begin(&reload->rollback, config, clock_now());
	reload->watched = pipeline_script_number(reload->pipeline);
	event_add(reload->verdict, &after);
}

static void end_watching(struct reload *reload)
{
	rollback_end(&reload->rollback);
	event_del(reload->verdict);
}

void reload_decided(void *context, uint64_t script, const char *type, const char *message)
{
	struct reload *reload = context;
	if (reload->rollback.state != ROLLBACK_WATCHING || script == 0 || script < reload->watched)
		return;
	enum rollback_state state =
	        rollback_ended(&reload->rollback, rollback_sign_of(type), message, clock_now());
	if (state == ROLLBACK_BAD || state == ROLLBACK_PROVED) /* the pipeline is at work: not now */
		event_active(reload->verdict, EV_TIMEOUT, 0);
}

static void keep(struct reload *reload)
{
	if (reload->good == NULL)
		return;
	lastgood_refuse(
	        reload->good, reload->refused_reason ? reload->refused : NULL, reload->refused_reason);
	if (reload->keeper)
		keeper_save(reload->keeper, reload->good);
}

/* From now on this one is what to go back to. */
static void prove(struct reload *reload)
{
	struct err err = {""};
	end_watching(reload);
	if (reload->rollback.faults * 2 >= reload->rollback.signs) /* where nothing is rolled back */
		return;
	struct lastgood *good = lastgood_of(reload->script, reload->params, clock_wall(), &err);
	if (reload->refused_reason && strcmp(reload->refused, reload->identity) == 0)
		set_text(&reload->refused_reason, NULL);
	if (good == NULL) {
		log_warn("reload", "this script cannot be kept as the last good one: %s", err.text);
		return;
	}
	log_info("reload", "%s %.12s has proved itself; it is kept as the last good one",
	        script_path(reload->script), reload->sha256);
	lastgood_free(reload->good);
	reload->good = good;
	keep(reload);
}

static char *describe_faults(const struct rollback *rollback)
{
	const struct rollback_error *worst = rollback_worst(rollback);
	return mem_printf("%u of %u records failed by errors of the script, most often (%u times): %s",
	        rollback->faults, rollback->signs, worst ? worst->count : 0, worst ? worst->text : "");
}

/* True when the last good one runs; false when it does not, or not yet. */
static bool go_back(struct reload *reload, struct err *err)
{
	struct script *script = lastgood_load(reload->good, &reload->config->script, reload->world, err);
	if (script == NULL)
		return false;
	if (!pipeline_use_script(reload->pipeline, script)) {
		script_release(script);
		return false;
	}
	take_over(reload, script, reload->good->params, reload->config->script.budget_ms);
	return true;
}

static void note(struct reload *reload, enum reload_outcome outcome, const char *error);

/* What was to be given up, and why. */
struct given_up {
	char identity[DIGEST_HEX], sha256[DIGEST_HEX];
	char *faults;
	bool from_start;
};

static void rolled_back(struct reload *reload, const struct given_up *bad)
{
	char *reason = mem_printf("%s %.12s was rolled back to %.12s: %s", script_path(reload->script),
	        bad->sha256, reload->sha256, bad->faults);
	log_error("reload",
	        "%s; it is not loaded again by itself: change it, or ask for it with `millrace reload`",
	        reason);
	memcpy(reload->refused, bad->identity, DIGEST_HEX);
	set_text(&reload->refused_reason, reason);
	note(reload, RELOAD_ROLLED_BACK, reason);
	if (bad->from_start)
		stand_in(reload, reason);
	keep(reload);
	mem_free(reason);
}

static void roll_back(struct reload *reload)
{
	struct err err = {""};
	struct timeval again = {.tv_usec = BUSY_MS * 1000};
	struct given_up bad = {
	        .faults = describe_faults(&reload->rollback), .from_start = reload->from_start};
	memcpy(bad.identity, reload->identity, DIGEST_HEX);
	memcpy(bad.sha256, reload->sha256, DIGEST_HEX);
	bool other = reload->good && strcmp(reload->good->identity, bad.identity) != 0;
	if (other && go_back(reload, &err)) {
		end_watching(reload);
		rolled_back(reload, &bad);
	} else if (other && err.text[0] == '\0') {
		event_add(reload->verdict, &again); /* until a state has ended */
	} else {
		end_watching(reload);
		log_error("reload", "%s %.12s: %s; there is no script to go back to%s%s",
		        script_path(reload->script), bad.sha256, bad.faults, err.text[0] ? ": " : "",
		        err.text);
	}
	mem_free(bad.faults);
}

static void on_verdict(evutil_socket_t fd, short what, void *context)
{
	struct reload *reload = context;
	(void)fd;
	(void)what;
	switch (rollback_look(&reload->rollback, clock_now())) {
	case ROLLBACK_BAD: roll_back(reload); break;
	case ROLLBACK_PROVED: prove(reload); break;
	default: break; /* too few records to say anything: the one that is enough calls again */
	}
}

/* ---- the configuration ---- */

/* What was changed and wants a restart is told once. */
static void tell_pending(struct reload *reload, const struct config *now)
{
	struct buf names;
	buf_init(&names, 0);
	if (reload->first)
		config_changes(reload->first, now, CONFIG_PART_FIXED, &names);
	const char *pending = names.size ? names.data : "";
	if (strcmp(pending, reload->pending) != 0 && *pending)
		log_warn("reload", "%s: a restart is needed for what changed in %s", reload->config->path,
		        pending);
	if (*pending)
		buf_printf(&reload->changes, "; a restart is needed for %s", pending);
	set_text(&reload->pending, pending);
	buf_free(&names);
}

/* True when something changed. */
static bool adopt(struct reload *reload, enum config_part part)
{
	struct buf names;
	enum log_level level = reload->config->log_level;
	buf_init(&names, 0);
	config_adopt(reload->live, reload->trial.config, part, &names);
	if (reload->config->log_level != level)
		log_set_level(reload->config->log_level);
	if (names.size && part == CONFIG_PART_OTHER) {
		pipeline_retune(reload->pipeline, reload->config->retry.deadline_ms);
		log_info("reload", "%s: changed without a restart: %s", reload->config->path, names.data);
		buf_printf(&reload->changes, "; changed: %s", names.data);
	}
	bool changed = names.size > 0;
	buf_free(&names);
	return changed;
}

/* Which configuration file was read, by its first 12 hex digits. */
static void tell_config(struct reload *reload)
{
	char sha[DIGEST_HEX];
	struct buf text;
	buf_init(&text, 0);
	if (reload->config->path && readfile(reload->config->path, &text) &&
	        digest_hex(DIGEST_SHA256, &(struct bytes){text.data, text.size}, 1, sha)) {
		sha[12] = '\0';
		metrics_remove(
		        reload->metrics, METRIC_CONFIG_HASH, (const char *const[]){reload->config_sha, NULL});
		memcpy(reload->config_sha, sha, sizeof reload->config_sha);
		*metrics_value(reload->metrics, METRIC_CONFIG_HASH, sha) = 1;
	}
	buf_free(&text);
}

static bool read_config(struct reload *reload, struct err *err)
{
	bool good = trial_read(&reload->trial, reload->config->path, err);
	*metrics_value_at(reload->metrics, METRIC_CONFIG_RELOAD_OK, NULL) = good;
	if (!good)
		return false;
	*metrics_value_at(reload->metrics, METRIC_CONFIG_RELOAD_TIME, NULL) = (double)clock_wall() / 1000;
	tell_config(reload);
	set_text(&reload->path, reload->trial.config->script.path);
	set_text(&reload->params_file, reload->trial.config->script_params_file);
	bool changed = adopt(reload, CONFIG_PART_OTHER);
	if (reload->configured)
		reload->configured(reload->configured_context, changed || reload->asked);
	tell_pending(reload, reload->trial.config);
	return true;
}

/* ---- one attempt, from the files to the swap ---- */

static bool is_present(const struct reload *reload)
{
	const struct trial *trial = &reload->trial;
	return strcmp(script_sha256(trial->script), reload->sha256) == 0 &&
	       strcmp(params_of(trial->config), reload->params) == 0 &&
	       trial->config->script.budget_ms == reload->budget_ms;
}

static bool is_refused(const struct reload *reload)
{
	char identity[DIGEST_HEX];
	lastgood_identity(script_sha256(reload->trial.script), params_of(reload->trial.config), identity);
	return reload->refused_reason && strcmp(identity, reload->refused) == 0;
}

static void note(struct reload *reload, enum reload_outcome outcome, const char *error)
{
	bool good = outcome == RELOAD_SWAPPED || outcome == RELOAD_UNCHANGED;
	*metrics_value(reload->metrics, METRIC_SCRIPT_RELOADS, outcome_names[outcome]) += 1;
	if (outcome != RELOAD_BUSY)
		*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = good;
	if (good)
		stand_in(reload, NULL);
	reload->tried = true;
	reload->last = outcome;
	set_text(&reload->last_error, error && *error ? error : NULL);
}

static void tell_askers(struct reload *reload, enum reload_outcome outcome)
{
	struct buf told;
	struct asker *askers = reload->askers;
	size_t count = reload->asker_count;
	buf_init(&told, 0);
	if (reload->last_error)
		buf_append_text(&told, reload->last_error);
	else
		buf_printf(&told, "%s %.12s", script_path(reload->script), reload->sha256);
	buf_append(&told, reload->changes.data ? reload->changes.data : "", reload->changes.size);
	reload->askers = NULL;
	reload->asker_count = 0;
	for (size_t i = 0; i < count; i++)
		askers[i].told(askers[i].context, outcome, told.data);
	mem_free(askers);
	buf_free(&told);
}

static void finish(struct reload *reload, enum reload_outcome outcome, const struct err *err)
{
	note(reload, outcome, err->text);
	trial_clear(&reload->trial);
	tell_askers(reload, outcome);
	watch_again(reload);
}

static void fail(struct reload *reload, struct err *err)
{
	bool tests = reload->trial.failure == TRIAL_TESTS;
	log_error("reload", "%s is not loaded (%s), %.12s goes on: %s", reload->path, reload->by,
	        reload->sha256, err->text);
	finish(reload, tests ? RELOAD_TESTS_FAILED : RELOAD_FAILED, err);
}

static void wait_for_room(struct reload *reload, const char *by)
{
	struct timeval after = {.tv_usec = BUSY_MS * 1000};
	reload->waiting_by = by;
	event_add(reload->waiting, &after);
}

static bool too_many(const struct reload *reload)
{
	return pipeline_scripts(reload->pipeline) >= PIPELINE_SCRIPTS;
}

static void busy(struct reload *reload)
{
	struct err err;
	err_set(&err,
	        "%zu older states still finish their records; it is tried again as soon as one of them has "
	        "ended",
	        pipeline_scripts(reload->pipeline) - 1);
	log_info("reload", "%s is not loaded yet (%s): %s", reload->path, reload->by, err.text);
	wait_for_room(reload, reload->by);
	finish(reload, RELOAD_BUSY, &err);
}

static void unchanged(struct reload *reload)
{
	struct err none = {""};
	log_info("reload", "%s and its params are unchanged (%s)", reload->path, reload->by);
	adopt(reload, CONFIG_PART_SCRIPT);
	finish(reload, RELOAD_UNCHANGED, &none);
}

static void refuse(struct reload *reload)
{
	struct err err;
	err_set(&err, "it is the script that was rolled back: %s", reload->refused_reason);
	log_warn("reload", "%s is not loaded (%s): %s", reload->path, reload->by, err.text);
	finish(reload, RELOAD_REFUSED, &err);
}

static void swap(struct reload *reload)
{
	struct err none = {""};
	struct script *script = reload->trial.script;
	bool same_text = strcmp(script_sha256(script), reload->sha256) == 0;
	if (!pipeline_use_script(reload->pipeline, script)) {
		busy(reload);
		return;
	}
	log_info("reload", "%s: new records begin on %.12s%s instead of %.12s (%s)", script_path(script),
	        script_sha256(script), same_text ? " with changed params" : "", reload->sha256, reload->by);
	adopt(reload, CONFIG_PART_SCRIPT);
	reload->trial.script = NULL;
	take_over(reload, script, params_of(reload->config), reload->config->script.budget_ms);
	begin_watching(reload);
	finish(reload, RELOAD_SWAPPED, &none);
}

/* What is on disk. A script whose text is the present one's has been tested. */
static void begin(struct reload *reload)
{
	struct err err = {""};
	struct trial *trial = &reload->trial;
	trial_clear(trial);
	buf_clear(&reload->changes);
	event_del(reload->waiting);
	memcpy(trial->seen, reload->seen, DIGEST_HEX);
	if (too_many(reload))
		busy(reload);
	else if (!read_config(reload, &err) || !trial_load(trial, reload->config, reload->world, &err))
		fail(reload, &err);
	else if (is_present(reload))
		unchanged(reload);
	else if (!reload->asked && is_refused(reload))
		refuse(reload);
	else if (strcmp(script_sha256(trial->script), reload->sha256) == 0 || !trial_has_tests(trial))
		swap(reload);
	else if (!trial_test(trial, reload->base, reload->tester, &err))
		fail(reload, &err);
}

/* What was tested is what was loaded, or it begins again. */
static void on_tested(void *context, const struct err *told)
{
	struct reload *reload = context;
	struct err err = *told;
	look_now(reload, reload->seen);
	if (strcmp(reload->seen, reload->trial.seen) != 0)
		begin(reload);
	else if (reload->trial.failure)
		fail(reload, &err);
	else
		swap(reload);
}

/* Tests of the same files go on. */
static void attempt(struct reload *reload, const char *by, bool asked)
{
	bool testing = reload->trial.child != NULL;
	reload->asked = asked || (testing && reload->asked);
	reload->by = by;
	if (!testing || strcmp(reload->seen, reload->trial.seen) != 0)
		begin(reload);
}

void reload_ask(struct reload *reload, const char *by, reload_told *told, void *context)
{
	if (told) {
		reload->askers =
		        mem_realloc(reload->askers, (reload->asker_count + 1) * sizeof *reload->askers);
		reload->askers[reload->asker_count++] = (struct asker){told, context};
	}
	look_now(reload, reload->seen);
	attempt(reload, by, true);
}

static void on_look(void *context, const struct fileset_look *look)
{
	struct reload *reload = context;
	if (strcmp(look->sha256, reload->seen) == 0)
		return;
	memcpy(reload->seen, look->sha256, sizeof reload->seen);
	attempt(reload, "watch", false);
}

static void on_waiting(evutil_socket_t fd, short what, void *context)
{
	struct reload *reload = context;
	(void)fd;
	(void)what;
	if (too_many(reload)) {
		wait_for_room(reload, reload->waiting_by);
		return;
	}
	look_now(reload, reload->seen);
	attempt(reload, reload->waiting_by, reload->asked);
}

/* ---- building, telling ---- */

/* What was kept: something to go back to, and what not to load. */
static void remember(struct reload *reload, bool keeps)
{
	struct err err = {""};
	const char *dir = reload->config->checkpoint_dir, *group = reload->config->source.group;
	if (!keeps || dir == NULL || group == NULL)
		return;
	reload->keeper = keeper_open(reload->base, dir, group, &err);
	if (reload->keeper)
		reload->good = keeper_read(reload->keeper, &err);
	if (err.text[0])
		log_warn("reload", "the last good script cannot be had: %s", err.text);
	if (reload->good == NULL || reload->good->refused[0] == '\0')
		return;
	memcpy(reload->refused, reload->good->refused, DIGEST_HEX);
	set_text(&reload->refused_reason, reload->good->refused_reason ? reload->good->refused_reason : "");
}

/* The last good one in the place of the one on disk, and why. False: there is none, or it does not load. */
static bool start_with_last_good(struct reload *reload, const char *why)
{
	struct err err = {""};
	char time[CLOCK_TEXT];
	if (reload->good == NULL)
		return false;
	struct script *script = lastgood_load(reload->good, &reload->config->script, reload->world, &err);
	if (script == NULL) {
		log_error("reload", "the last good script does not load, too: %s", err.text);
		return false;
	}
	take_over(reload, script, reload->good->params, reload->config->script.budget_ms);
	clock_format(reload->good->time, time);
	log_error("reload",
	        "%s; the last good script, %.12s of %s, stands in for it: not ready until a good one "
	        "comes",
	        why, reload->sha256, time);
	stand_in(reload, why);
	return true;
}

static bool start_with_disk(struct reload *reload, struct err *err)
{
	struct script_config config = reload->config->script;
	char identity[DIGEST_HEX];
	config.params_json = params_of(reload->config);
	struct script *script = script_open(&config, reload->world, err);
	if (script == NULL)
		return start_with_last_good(reload, err->text);
	lastgood_identity(script_sha256(script), config.params_json, identity);
	if (reload->refused_reason && strcmp(identity, reload->refused) == 0 &&
	        start_with_last_good(reload, reload->refused_reason)) {
		script_release(script);
		return true;
	}
	take_over(reload, script, config.params_json, config.budget_ms);
	*metrics_value_at(reload->metrics, METRIC_SCRIPT_RELOAD_OK, NULL) = 1;
	return true;
}

/* NULL where the configuration came from no file. */
static struct config *read_first(const char *path)
{
	struct config_report report = {0};
	struct config *config = config_load(path, &report);
	config_report_free(&report);
	return config;
}

struct reload *reload_open(struct event_base *base, const struct reload_config *own, struct err *err)
{
	struct reload *reload = mem_zalloc(1, sizeof *reload);
	*reload = (struct reload){.config = own->config,
	        .live = own->live,
	        .world = own->world,
	        .base = base,
	        .metrics = own->metrics,
	        .configured = own->configured,
	        .configured_context = own->configured_context,
	        .tester = own->tester ? own->tester : "/proc/self/exe",
	        .path = mem_strdup(own->config->script.path),
	        .params_file = mem_strdup(own->config->script_params_file),
	        .pending = mem_strdup(""),
	        .trial = {.tested = on_tested, .context = reload}};
	buf_init(&reload->changes, 0);
	reload->waiting = event_new(base, -1, 0, on_waiting, reload);
	reload->verdict = event_new(base, -1, 0, on_verdict, reload);
	look_now(reload, reload->seen);
	remember(reload, own->keeps);
	if (!start_with_disk(reload, err)) {
		reload_close(reload);
		return NULL;
	}
	reload->from_start = true;
	if (own->live)
		reload->first = read_first(own->config->path);
	*metrics_value_at(reload->metrics, METRIC_CONFIG_RELOAD_OK, NULL) = 1;
	*metrics_value_at(reload->metrics, METRIC_CONFIG_RELOAD_TIME, NULL) = (double)clock_wall() / 1000;
	tell_config(reload);
	return reload;
}

void reload_attach(struct reload *reload, struct pipeline *pipeline)
{
	const struct filewatch_config config = {SETTLE_MS, POLL_MS, on_look, reload};
	struct fileset set;
	struct err err = {""};
	char *owned[2];
	reload->pipeline = pipeline;
	pipeline_use_script(pipeline, reload->script);
	if (reload->stands_in == NULL)
		begin_watching(reload);
	if (reload->live == NULL || reload->config->script_reload != SCRIPT_RELOAD_WATCH)
		return;
	files_of(reload, &set, owned);
	reload->watch = filewatch_open(reload->base, &config, &set, &err);
	if (reload->watch == NULL)
		log_error("reload", "%s is not watched: %s; HUP and POST /-/reload load it", set.folder,
		        err.text);
	free_both(owned);
}

struct script *reload_renew(void *context)
{
	struct reload *reload = context;
	struct err err = {""};
	struct script_config config = reload->config->script;
	config.path = script_path(reload->script);
	config.params_json = reload->params;
	config.budget_ms = reload->budget_ms;
	config.sources = script_sources(reload->script, &config.source_count);
	struct script *fresh = script_open(&config, reload->world, &err);
	if (fresh && strcmp(script_sha256(fresh), reload->sha256) != 0) {
		script_release(fresh); /* it is too large to be kept, and the files have changed */
		fresh = NULL;
		err_set(&err, "%s is not the script that runs any more", config.path);
	}
	if (fresh == NULL) {
		log_throttled(LOG_ERROR, "reload", "no fresh state of %.12s: %s", reload->sha256, err.text);
		return NULL;
	}
	script_release(reload->script);
	reload->script = fresh;
	return fresh;
}

const char *reload_trouble(const struct reload *reload)
{
	return reload->stands_in;
}

const char *reload_sha256(const struct reload *reload)
{
	return reload->sha256;
}

const char *reload_outcome_name(enum reload_outcome outcome)
{
	return outcome_names[outcome];
}

/* "a, b" as a list. */
static void append_list(struct buf *out, const char *names)
{
	const char *between = "";
	for (const char *at = names; *at; at += strspn(at, ", ")) {
		size_t size = strcspn(at, ",");
		buf_append_text(out, between);
		text_json_string(out, at, size);
		between = ",";
		at += size;
	}
}

/* [{"name":"enrich.lua","sha256":"..."},{"name":"lib/shared.lua",...}]: the script's own file first, then its
 * modules as they lie below its folder. */
static void append_files(struct buf *out, const struct script *script)
{
	const char *sha256, *name;
	buf_append_text(out, "[");
	for (size_t i = 0; (sha256 = script_file(script, i, &name)) != NULL; i++) {
		const char *slash = strrchr(name, '/');
		char *file = i ? mem_printf("%s.lua", name) : mem_strdup(slash ? slash + 1 : name);
		for (char *at = file; i && at < file + strlen(name); at++)
			*at = *at == '.' ? '/' : *at;
		buf_append_text(out, i ? ",{\"name\":" : "{\"name\":");
		text_json_string(out, file, strlen(file));
		buf_printf(out, ",\"sha256\":\"%s\"}", sha256);
		mem_free(file);
	}
	buf_append_text(out, "]");
}

void reload_status(const struct reload *reload, struct buf *out)
{
	char loaded[CLOCK_TEXT];
	const char *path = script_path(reload->script);
	clock_format(reload->loaded_at, loaded);
	buf_append_text(out, "{\"path\":");
	text_json_string(out, path, strlen(path));
	buf_printf(out, ",\"sha256\":\"%s\",\"states\":%zu,\"loaded_at\":\"%s\",\"testing\":%s",
	        reload->sha256, reload->pipeline ? pipeline_scripts(reload->pipeline) : 1, loaded,
	        reload->trial.child ? "true" : "false");
	buf_append_text(out, ",\"files\":");
	append_files(out, reload->script);
	text_json_member(out, "last_outcome", reload->tried ? outcome_names[reload->last] : NULL);
	text_json_member(out, "last_error", reload->last_error);
	text_json_member(out, "stands_in", reload->stands_in);
	text_json_member(out, "rolled_back", reload->refused_reason);
	buf_append_text(out, ",\"restart_needed\":[");
	append_list(out, reload->pending);
	buf_append_text(out, "]}");
}

void reload_close(struct reload *reload)
{
	if (reload == NULL)
		return;
	filewatch_close(reload->watch);
	trial_clear(&reload->trial);
	keeper_close(reload->keeper);
	event_free(reload->waiting);
	event_free(reload->verdict);
	script_release(reload->script);
	config_free(reload->first);
	lastgood_free(reload->good);
	buf_free(&reload->changes);
	mem_free(reload->askers);
	mem_free(reload->params);
	mem_free(reload->path);
	mem_free(reload->params_file);
	mem_free(reload->pending);
	mem_free(reload->refused_reason);
	mem_free(reload->stands_in);
	mem_free(reload->last_error);
	mem_free(reload);
}
