/* One run of a script over events, from a file to stdout. */
#include "enrich.h"
#include "mem.h"
#include "script_trouble.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SHOWN_FAILURES = 10,
	MAX_LINE = 64 << 20,
	COUNTED_MAX = 256 << 20, /* a larger file is not read twice to say how many events it has */
	CHUNK = 65536
};

/* ---- files ---- */

int enrich_open_file(const char *path)
{
	struct stat found;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) {
		close(fd);
		fd = -1;
		errno = EISDIR;
	}
	if (fd < 0)
		fprintf(stderr, "millrace enrich: %s cannot be read: %s\n", path, strerror(errno));
	return fd;
}

int enrich_create_file(const char *path)
{
	int fd = open(path ? path : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		fprintf(stderr, "millrace enrich: %s cannot be written: %s\n", path, strerror(errno));
	return fd;
}

static bool from_standard_input(const struct enrich *enrich)
{
	return enrich->file == NULL;
}

const char *enrich_events_name(const struct enrich *enrich)
{
	return from_standard_input(enrich) ? "(stdin)" : enrich->file;
}

int enrich_open_events(const struct enrich *enrich)
{
	if (!from_standard_input(enrich))
		return enrich_open_file(enrich->file);
	if (enrich->spool < 0)
		return STDIN_FILENO;
	lseek(enrich->spool, 0, SEEK_SET);
	return dup(enrich->spool);
}

void enrich_close_events(int in)
{
	if (in > STDIN_FILENO)
		close(in);
}

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, data, size);
		if (done < 0 && errno != EINTR)
			return false;
		data += done > 0 ? done : 0;
		size -= done > 0 ? (size_t)done : 0;
	}
	return true;
}

static bool copy_all(int from, int to)
{
	char *chunk = mem_zalloc(1, CHUNK);
	ssize_t got = 0;
	bool good = true;
	while (good && ((got = read(from, chunk, CHUNK)) > 0 || (got < 0 && errno == EINTR)))
		good = got < 0 || write_all(to, chunk, (size_t)got);
	mem_free(chunk);
	return good && got == 0;
}

bool enrich_spool(struct enrich *enrich)
{
	if (!from_standard_input(enrich))
		return true;
	FILE *copy = tmpfile();
	if (copy && copy_all(STDIN_FILENO, fileno(copy)))
		enrich->spool = fcntl(fileno(copy), F_DUPFD_CLOEXEC, 3);
	if (enrich->spool < 0)
		fprintf(stderr, "millrace enrich: the events cannot be kept for reading them again: %s\n",
		        strerror(errno));
	if (copy)
		fclose(copy);
	return enrich->spool >= 0;
}

/* Lines that are not blank; 0 where that cannot be said beforehand. */
static uint64_t count_events(int fd)
{
	struct stat found;
	uint64_t count = 0;
	bool blank = true;
	if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size > COUNTED_MAX)
		return 0;
	off_t at = lseek(fd, 0, SEEK_CUR);
	char *chunk = mem_zalloc(1, CHUNK);
	for (ssize_t got; at >= 0 && (got = pread(fd, chunk, CHUNK, at)) > 0; at += got)
		for (ssize_t i = 0; i < got; i++) {
			bool dark = strchr(" \t\r\n", chunk[i]) == NULL;
			count += blank && dark;
			blank = chunk[i] == '\n' || (blank && !dark);
		}
	mem_free(chunk);
	return count;
}

/* ---- running ---- */

/* In full, as the error event that was made of it has it. */
static void tell_trouble(const struct enrich_run *run, const struct record *record, const char *message)
{
	struct buf text;
	struct bytes event = {record->outputs[0].value, record->outputs[0].value_size};
	char *where =
	        mem_printf("%s:%lld", enrich_events_name(run->enrich), (long long)record->input.offset + 1);
	buf_init(&text, 0);
	if (!script_trouble_event(
	            event, run->config->script.path, where, command_colour(STDERR_FILENO), &text))
		buf_printf(&text, "%s: %s: %s\n", where, record->reason, message);
	fputs(text.data, stderr);
	buf_free(&text);
	mem_free(where);
}

static void tell_failure(void *context, const struct record *record, const char *message)
{
	struct enrich_run *run = context;
	if (message == NULL || record->outcome != OUTCOME_FAILED || record->reason == NULL)
		return;
	if (++run->failures > SHOWN_FAILURES + 1 || run->silent)
		return;
	if (run->failures <= SHOWN_FAILURES)
		tell_trouble(run, record, message);
	else
		fprintf(stderr, "(more failures are not shown%s)\n",
		        run->enrich->errors ? "; all are in the file given with --errors"
		                            : "; --errors FILE keeps them all");
}

int enrich_run(struct enrich_run *run)
{
	const struct enrich *enrich = run->enrich;
	struct worker_files files = {.in = run->in,
	        .out = run->out,
	        .errors = run->errors,
	        .in_name = "input",
	        .max_line = MAX_LINE};
	struct worker_config worker_config = {.config = run->config,
	        .files = &files,
	        .ended = tell_failure,
	        .context = run,
	        .player = run->player,
	        .observe = run->observe};
	if (!command_script_loads(run->config))
		return EXIT_CONFIG;
	struct worker *worker = worker_start(&worker_config);
	if (worker == NULL)
		return EXIT_FAILURE;
	if (enrich->attend)
		enrich->attend(enrich->attend_context, worker);
	else
		signals_install(worker, false);
	int code = worker_join(worker, &run->counts);
	if (enrich->attend == NULL)
		signals_forget();
	run->ran = worker_end(worker)->ran;
	run->finished = worker_end(worker)->finished;
	worker_free(worker);
	return code;
}

static void summary(const struct pipeline_counts *counts)
{
	fprintf(stderr, "%llu event%s: %llu enriched, %llu passed, %llu dropped, %llu failed%s\n",
	        (unsigned long long)counts->taken, counts->taken == 1 ? "" : "s",
	        (unsigned long long)counts->outcomes[OUTCOME_ENRICHED],
	        (unsigned long long)counts->outcomes[OUTCOME_PASSED],
	        (unsigned long long)counts->outcomes[OUTCOME_DROPPED],
	        (unsigned long long)counts->outcomes[OUTCOME_FAILED],
	        counts->given_back ? "; stopped before the end" : "");
}

/* Where the outputs go. A person at a terminal gets the explanation in their place. */
static int output_of(const struct enrich *enrich)
{
	return enrich->explain && isatty(STDOUT_FILENO) ? enrich_create_file(NULL) : STDOUT_FILENO;
}

/* Who watches: an explanation, which tells the tape, or the tape itself. */
static void watch(struct enrich_run *run, struct enrich_explain *explain, struct enrich_tape *tape,
        struct observe *observe)
{
	const struct enrich *enrich = run->enrich;
	*explain = (struct enrich_explain){.to = stderr,
	        .colour = command_colour(STDERR_FILENO),
	        .config = run->config,
	        .tape = tape,
	        .events = enrich_events_name(enrich)};
	if (enrich->explain) {
		explain->total = count_events(run->in);
		enrich_explain_observe(explain, observe);
	} else {
		enrich_tape_observe(tape, observe);
	}
	enrich_tape_events(tape, run->in);
	run->silent = enrich->explain;
	run->observe = enrich->explain || tape->writer ? observe : NULL;
	run->player = enrich_tape_player(tape);
}

static int run_over(
        const struct enrich *enrich, const struct config *config, struct enrich_tape *tape, int in)
{
	struct enrich_explain explain;
	struct observe observe;
	struct enrich_run run = {.enrich = enrich,
	        .config = config,
	        .in = in,
	        .out = output_of(enrich),
	        .errors = enrich_create_file(enrich->errors)};
	int code = EXIT_FAILURE;
	watch(&run, &explain, tape, &observe);
	if (run.errors >= 0 && run.out >= 0)
		code = enrich_run(&run);
	if (tape->missing > run.counts.outcomes[OUTCOME_FAILED])
		enrich_tape_tell_missing(tape);
	if (run.ran && !enrich->quiet) {
		summary(&run.counts);
		enrich_tape_summary(tape);
	}
	if (run.errors >= 0)
		close(run.errors);
	if (run.out > STDOUT_FILENO)
		close(run.out);
	bool bad =
	        run.counts.outcomes[OUTCOME_FAILED] || run.counts.given_back || tape->failed || tape->missing;
	return code ? code : bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

bool enrich_script_is_there(const char *path)
{
	int fd = path ? enrich_open_file(path) : -1;
	if (fd >= 0)
		close(fd);
	return path == NULL || fd >= 0;
}

static int run_with(const struct enrich *enrich, struct enrich_tape *tape)
{
	int code = EXIT_FAILURE;
	struct config *config = enrich_configure(enrich, enrich->script, tape);
	if (config == NULL)
		return EXIT_CONFIG;
	int in = enrich_open_events(enrich);
	if (in >= 0)
		code = run_over(enrich, config, tape, in);
	enrich_close_events(in);
	config_free(config);
	return code;
}

int enrich_once(const struct enrich *enrich)
{
	struct enrich_tape tape;
	if (enrich->other)
		return enrich_diff(enrich);
	if (!enrich_script_is_there(enrich->script))
		return EXIT_CONFIG;
	if (!enrich_tape_open(&tape, enrich))
		return EXIT_FAILURE;
	int code = run_with(enrich, &tape);
	enrich_tape_close(&tape);
	return code;
}
