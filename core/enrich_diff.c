/* Two scripts over the same events: what differs in what they make of each. */
#include "enrich.h"
#include "enrich_answers.h"
#include "enrich_compare.h"
#include "enrich_say.h"
#include "enrich_tape.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct comparing {
	const struct enrich *enrich;
	const struct config *config;
	struct enrich_answers *answers; /* NULL = a cassette answers */
	struct observe keeper;          /* of the first run */
	struct enrich_ending *endings;  /* by offset */
	size_t room;
	const char *other_path;
	bool colour;
	uint64_t same, differ, only_first_failed, only_second_failed, both_failed;
};

/* ---- the first run: kept ---- */

static struct enrich_ending *ending_of(struct comparing *comparing, const struct record *record)
{
	size_t at = (size_t)record->input.offset, room = comparing->room;
	if (at >= room) {
		comparing->room = at < 512 ? 1024 : at * 2;
		comparing->endings =
		        mem_realloc(comparing->endings, comparing->room * sizeof *comparing->endings);
		memset(comparing->endings + room, 0, (comparing->room - room) * sizeof *comparing->endings);
	}
	return &comparing->endings[at];
}

static void on_first_came(void *context, const struct call *call)
{
	const struct comparing *comparing = context;
	if (comparing->answers)
		comparing->keeper.came(comparing->keeper.context, call);
}

static void on_first_ended(void *context, struct record *record)
{
	enrich_ending_take(ending_of(context, record), record);
}

/* ---- the second run: compared ---- */

static void count_failures(
        struct comparing *comparing, const struct enrich_ending *a, const struct enrich_ending *b)
{
	bool first = a->outcome == OUTCOME_FAILED, second = b->outcome == OUTCOME_FAILED;
	comparing->both_failed += first && second;
	comparing->only_first_failed += first && !second;
	comparing->only_second_failed += second && !first;
}

static void tell_differences(
        const struct comparing *comparing, const struct record *record, const char *differences)
{
	struct buf heading;
	buf_init(&heading, 0);
	if (comparing->differ == 0)
		printf("--- %s\n+++ %s\n", comparing->config->script.path, comparing->other_path);
	enrich_paint(&heading, comparing->colour, "1");
	enrich_say_event(&heading, enrich_events_name(comparing->enrich), record);
	enrich_paint(&heading, comparing->colour, NULL);
	printf("%s%s\n", heading.data, differences);
	fflush(stdout);
	buf_free(&heading);
}

static void on_second_ended(void *context, struct record *record)
{
	struct comparing *comparing = context;
	struct enrich_ending *first = ending_of(comparing, record), second;
	struct buf differences;
	if (!first->ended) /* it came only now: somebody writes to the file */
		return;
	buf_init(&differences, 0);
	enrich_ending_take(&second, record);
	bool differ = enrich_compare(comparing->config, comparing->colour, first, &second, &differences) > 0;
	count_failures(comparing, first, &second);
	if (differ)
		tell_differences(comparing, record, differences.data);
	comparing->differ += differ;
	comparing->same += !differ;
	buf_free(&differences);
	enrich_ending_free(&second);
	enrich_ending_free(first);
}

/* ---- both ---- */

static void summary(const struct comparing *comparing)
{
	uint64_t events = comparing->same + comparing->differ;
	fprintf(stderr,
	        "%llu event%s: %llu same, %llu differ; failed with both: %llu, with %s only: %llu, with "
	        "%s only: %llu\n",
	        (unsigned long long)events, events == 1 ? "" : "s", (unsigned long long)comparing->same,
	        (unsigned long long)comparing->differ, (unsigned long long)comparing->both_failed,
	        "the first", (unsigned long long)comparing->only_first_failed, "the second",
	        (unsigned long long)comparing->only_second_failed);
	uint64_t asked = comparing->answers ? enrich_answers_new(comparing->answers) : 0;
	if (asked)
		fprintf(stderr, "%llu call%s asked for the second script alone\n", (unsigned long long)asked,
		        asked == 1 ? " was" : "s were");
}

/* One of the two runs; false when there is nothing to compare: *code says why. */
static bool run_one(const struct enrich *enrich, const struct config *config, const struct observe *observe,
        const struct http_player *player, int *code)
{
	struct enrich_run run = {.enrich = enrich,
	        .config = config,
	        .observe = observe,
	        .player = player,
	        .silent = true,
	        .out = enrich_create_file(NULL),
	        .errors = enrich_create_file(NULL)};
	*code = EXIT_FAILURE;
	run.in = enrich_open_events(enrich);
	if (run.in >= 0 && run.out >= 0 && run.errors >= 0)
		*code = enrich_run(&run);
	if (run.out >= 0)
		close(run.out);
	if (run.errors >= 0)
		close(run.errors);
	enrich_close_events(run.in);
	if (*code == EXIT_SUCCESS && !run.finished) {
		fputs("millrace enrich: stopped before the end; nothing can be said of the rest\n", stderr);
		*code = EXIT_FAILURE;
	}
	return *code == EXIT_SUCCESS;
}

static int compare(struct comparing *comparing, const struct config *other, struct enrich_tape *tape)
{
	int code;
	const struct enrich *enrich = comparing->enrich;
	const struct http_player *player = enrich_tape_player(tape);
	struct observe first = {.context = comparing, .came = on_first_came, .ended = on_first_ended};
	struct observe second = {.context = comparing, .ended = on_second_ended};
	if (!run_one(enrich, comparing->config, &first, player, &code))
		return code;
	enrich_tape_rewind(tape);
	if (player == NULL)
		player = enrich_answers_player(comparing->answers);
	comparing->other_path = other->script.path;
	if (!run_one(enrich, other, &second, player, &code))
		return code;
	if (!enrich->quiet)
		summary(comparing);
	return comparing->differ ? EXIT_FAILURE : EXIT_SUCCESS;
}

int enrich_diff(const struct enrich *enrich)
{
	int code = EXIT_CONFIG;
	struct enrich_tape tape;
	struct comparing comparing = {.enrich = enrich, .colour = command_colour(STDOUT_FILENO)};
	struct config *first = NULL, *second = NULL;
	if (!enrich_tape_open(&tape, enrich))
		return EXIT_FAILURE;
	if (enrich_script_is_there(enrich->script) && enrich_script_is_there(enrich->other) &&
	        (first = enrich_configure(enrich, enrich->script, &tape)) &&
	        (second = enrich_configure(enrich, enrich->other, &tape))) {
		comparing.config = first;
		if (tape.cassette == NULL) {
			comparing.answers = enrich_answers_open();
			enrich_answers_observe(comparing.answers, &comparing.keeper);
		}
		code = compare(&comparing, second, &tape);
	}
	for (size_t i = 0; i < comparing.room; i++)
		enrich_ending_free(&comparing.endings[i]);
	mem_free(comparing.endings);
	if (comparing.answers)
		enrich_answers_close(comparing.answers);
	if (second)
		config_free(second);
	if (first)
		config_free(first);
	enrich_tape_close(&tape);
	return code;
}
