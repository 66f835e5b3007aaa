/* Runs again whenever something was saved, until a signal. */
#include "enrich.h"
#include "filewatch.h"
#include "mem.h"
#include "text.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	SETS = 3, /* the scripts' two folders and the cassette */
	SETTLE_MS = 150,
	POLL_MS = 2000,
	LOOK_MS = 500, /* between two looks during a run */
	ENDED_MS = 20  /* between two looks whether a run has ended */
};

struct watching {
	struct enrich *enrich;
	struct event_base *base;
	struct event *interrupt, *terminate, *tick;
	struct fileset sets[SETS];
	struct filewatch *watches[SETS];
	char *texts[2 * SETS]; /* paths that were made up for the sets */
	size_t set_count, text_count;
	char seen[SETS][DIGEST_HEX]; /* what the run that is under way, or was the last, began with */
	struct worker *worker;       /* of the run under way */
	unsigned runs, signals;
	int64_t look_at; /* steady ms */
	bool changed;
};

/* ---- what is watched ---- */

static const char *keep_text(struct watching *watching, char *text)
{
	watching->texts[watching->text_count++] = text;
	return text;
}

static void name_file(struct fileset *set, const char *path)
{
	if (path)
		set->files[set->file_count++] = path;
}

/* Scripts with the modules beside them, events, configuration, answers; but not what is being recorded. */
static void choose_sets(struct watching *watching)
{
	const struct enrich *enrich = watching->enrich;
	struct config *config = NULL;
	const char *script = enrich->script;
	struct config_report untold = {0}; /* the run tells */
	if (enrich->config && (config = config_load(enrich->config, &untold)) && script == NULL)
		script = keep_text(watching, mem_strdup(config->script.path));
	config_report_free(&untold);
	struct fileset *set = &watching->sets[watching->set_count++];
	set->folder = script ? keep_text(watching, text_folder(script)) : NULL;
	name_file(set, script);
	name_file(set, enrich->file);
	name_file(set, enrich->config);
	if (config) {
		name_file(set, config->script_params_file
		                       ? keep_text(watching, mem_strdup(config->script_params_file))
		                       : NULL);
		config_free(config);
	}
	if (enrich->other) {
		set = &watching->sets[watching->set_count++];
		set->folder = keep_text(watching, text_folder(enrich->other));
		name_file(set, enrich->other);
	}
	if (enrich->replay) {
		set = &watching->sets[watching->set_count++];
		set->folder = enrich->replay;
		set->suffix = ".json";
	}
}

static void forget_sets(struct watching *watching)
{
	while (watching->text_count > 0)
		mem_free(watching->texts[--watching->text_count]);
	memset(watching->sets, 0, sizeof watching->sets);
	watching->set_count = 0;
}

/* Whether something is otherwise than when the run began. */
static bool has_changed(const struct watching *watching)
{
	struct fileset_look look;
	for (size_t i = 0; i < watching->set_count; i++) {
		fileset_look(&watching->sets[i], &look, NULL, NULL);
		if (strcmp(look.sha256, watching->seen[i]) != 0)
			return true;
	}
	return false;
}

static void remember(struct watching *watching)
{
	struct fileset_look look;
	for (size_t i = 0; i < watching->set_count; i++) {
		fileset_look(&watching->sets[i], &look, NULL, NULL);
		memcpy(watching->seen[i], look.sha256, sizeof look.sha256);
	}
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t number, short what, void *context)
{
	struct watching *watching = context;
	(void)what;
	if (watching->signals++ > 0)
		_exit(128 + (int)number);
	if (watching->worker)
		worker_stop(watching->worker);
	event_base_loopbreak(watching->base);
}

/* ---- during a run ---- */

/* The steady clock may be an invented one while answers are replayed. */
static int64_t real_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context; /* the loop has only to turn */
}

/* Until the run has ended. What is saved meanwhile ends it: its outputs are of no use any more. */
static void attend(void *context, struct worker *worker)
{
	struct watching *watching = context;
	struct timeval often = {.tv_usec = ENDED_MS * 1000};
	watching->worker = worker;
	if (watching->signals || watching->changed)
		worker_stop(worker);
	while (!worker_ended(worker)) {
		event_add(watching->tick, &often);
		event_base_loop(watching->base, EVLOOP_ONCE);
		if (watching->changed || real_ms() < watching->look_at)
			continue;
		watching->changed = has_changed(watching);
		watching->look_at = real_ms() + LOOK_MS;
		if (watching->changed)
			worker_stop(worker);
	}
	event_del(watching->tick);
	watching->worker = NULL;
}

/* ---- between runs ---- */

static void on_looked(void *context, const struct fileset_look *look)
{
	struct watching *watching = context;
	(void)look;
	if (!has_changed(watching))
		return;
	watching->changed = true;
	event_base_loopbreak(watching->base);
}

static bool begin_watching(struct watching *watching)
{
	struct filewatch_config config = {
	        .settle_ms = SETTLE_MS, .poll_ms = POLL_MS, .looked = on_looked, .context = watching};
	struct err err = {""};
	for (size_t i = 0; i < watching->set_count; i++) {
		watching->watches[i] = filewatch_open(watching->base, &config, &watching->sets[i], &err);
		if (watching->watches[i] == NULL) {
			fprintf(stderr, "millrace enrich: nothing can be watched: %s\n", err.text);
			return false;
		}
	}
	return true;
}

static void end_watching(struct watching *watching)
{
	for (size_t i = 0; i < SETS; i++) {
		filewatch_close(watching->watches[i]);
		watching->watches[i] = NULL;
	}
}

static void say_watching(const struct watching *watching)
{
	const char *between = "watching ";
	for (size_t i = 0; i < watching->set_count; i++) {
		const struct fileset *set = &watching->sets[i];
		if (set->folder)
			fprintf(stderr, "%s%s/", between, set->folder);
		between = set->folder ? ", " : between;
		for (size_t n = 0; n < set->file_count; n++)
			if (i > 0 || n > 0) { /* the first is the script, which is in its folder */
				fprintf(stderr, "%s%s", between, set->files[n]);
				between = ", ";
			}
	}
	fputs(" (Ctrl-C ends)\n", stderr);
}

/* False: a signal, or nothing can be watched. */
static bool wait_for_change(struct watching *watching)
{
	say_watching(watching);
	bool good = begin_watching(watching);
	while (good && !watching->changed && watching->signals == 0)
		event_base_loop(watching->base, EVLOOP_ONCE);
	end_watching(watching);
	return good && watching->signals == 0;
}

static void separate(struct watching *watching)
{
	time_t now = time(NULL);
	struct tm local;
	char text[16] = "";
	if (watching->runs++ == 0)
		return;
	if (localtime_r(&now, &local))
		strftime(text, sizeof text, "%H:%M:%S", &local);
	bool colour = command_colour(STDERR_FILENO);
	fflush(stdout);
	fprintf(stderr, "\n%s---- saved at %s: run %u ----%s\n", colour ? "\033[1;36m" : "", text,
	        watching->runs, colour ? "\033[0m" : "");
}

static bool open_base(struct watching *watching)
{
	evthread_use_pthreads();
	watching->base = event_base_new();
	if (watching->base == NULL)
		return false;
	watching->interrupt = evsignal_new(watching->base, SIGINT, on_signal, watching);
	watching->terminate = evsignal_new(watching->base, SIGTERM, on_signal, watching);
	watching->tick = event_new(watching->base, -1, 0, on_tick, watching);
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write */
	return watching->tick && watching->interrupt && watching->terminate &&
	       event_add(watching->interrupt, NULL) == 0 && event_add(watching->terminate, NULL) == 0;
}

static void close_base(struct watching *watching)
{
	struct event *events[] = {watching->interrupt, watching->terminate, watching->tick};
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (events[i])
			event_free(events[i]);
	if (watching->base)
		event_base_free(watching->base);
}

int enrich_watch(struct enrich *enrich)
{
	struct watching watching = {.enrich = enrich};
	int code = EXIT_FAILURE;
	if (open_base(&watching)) {
		enrich->attend = attend;
		enrich->attend_context = &watching;
		do {
			forget_sets(&watching);
			choose_sets(&watching);
			remember(&watching);
			watching.changed = false;
			separate(&watching);
			enrich_once(enrich);
		} while (watching.signals == 0 && wait_for_change(&watching));
		code = watching.signals ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	forget_sets(&watching);
	close_base(&watching);
	return code;
}
