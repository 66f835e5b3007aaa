/* A changed script on its way to take over: read and loaded beside the running one, tested as its data tests
 * say. */
#include "trial.h"
#include "child.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	TESTS_MS = 30000, /* less than `millrace reload` waits for an answer */
	SAID_MAX = 800,   /* the first failures are enough */
};

char *trial_tests_of(const char *script_path)
{
	size_t size = strlen(script_path);
	if (size > 4 && strcmp(script_path + size - 4, ".lua") == 0)
		size -= 4;
	return mem_printf("%.*s_test.yaml", (int)size, script_path);
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

static bool fails(struct trial *trial, enum trial_failure failure)
{
	trial->failure = failure;
	return false;
}

bool trial_read(struct trial *trial, const char *config_path, struct err *err)
{
	struct config_report report = {0};
	trial->config = config_load(config_path, &report);
	if (trial->config == NULL)
		tell_problem(&report, err);
	config_report_free(&report);
	return trial->config ? true : fails(trial, TRIAL_CONFIG);
}

bool trial_load(
        struct trial *trial, const struct config *live, const struct script_world *world, struct err *err)
{
	struct script_config config = live->script;
	config.path = trial->config->script.path;
	config.params_json = trial->config->script.params_json;
	config.budget_ms = trial->config->script.budget_ms;
	trial->script = script_open(&config, world, err);
	return trial->script ? true : fails(trial, TRIAL_SCRIPT);
}

bool trial_has_tests(const struct trial *trial)
{
	char *tests = trial_tests_of(trial->config->script.path);
	bool there = trial->config->script_tests && access(tests, F_OK) == 0;
	mem_free(tests);
	return there;
}

static void on_tested(void *context, const struct child_end *end)
{
	struct trial *trial = context;
	struct err err = {""};
	trial->child = NULL;
	if (end->code == 0) {
		trial->tested(trial->context, &err);
		return;
	}
	char *tests = trial_tests_of(trial->config->script.path);
	trial->failure = TRIAL_TESTS;
	char what[80] = "do not pass";
	if (end->late)
		snprintf(what, sizeof what, "had not ended after %d s", TESTS_MS / 1000);
	else if (end->signal)
		snprintf(what, sizeof what, "were ended by signal %d", end->signal);
	int size = (int)end->said.size;
	while (size && end->said.data[size - 1] == '\n')
		size--;
	err_set(&err, "%s: its tests %s%s%.*s", tests, what, size ? ": " : "", size, end->said.data);
	mem_free(tests);
	trial->tested(trial->context, &err);
}

bool trial_test(struct trial *trial, struct event_base *base, const char *program, struct err *err)
{
	char *tests = trial_tests_of(trial->config->script.path);
	const char *const argv[] = {program, "test", tests, "--quiet", NULL};
	struct child_config child = {argv, TESTS_MS, SAID_MAX, on_tested, trial};
	trial->child = child_start(base, &child, err);
	mem_free(tests);
	return trial->child ? true : fails(trial, TRIAL_TESTS);
}

void trial_clear(struct trial *trial)
{
	child_stop(trial->child);
	script_release(trial->script);
	config_free(trial->config);
	*trial = (struct trial){.tested = trial->tested, .context = trial->context};
}
