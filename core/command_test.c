/* `millrace test`: the tests of scripts, as data. */
#include "command.h"
#include "diagnostic.h"
#include "digest.h"
#include "mem.h"
#include "testreport.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace test [PATH...] [OPTION...]\n"
        "\n"
        "Runs the tests beside scripts: x_test.yaml beside x.lua. Events go through the whole\n"
        "engine, with answers from the test and a clock that does not wait.\n"
        "\n"
        "examples:\n"
        "  millrace test                       every *_test.yaml here and below\n"
        "  millrace test scripts/enrich.lua    those of one script\n"
        "  millrace test -k missing -w         those with that name, again at each save\n"
        "  millrace test --junit report.xml    for a CI\n"
        "\n"
        "options:\n"
        "  -k, --match TEXT        only tests with this in their name or their file's\n"
        "  -u, --update            accept what came out as the new golden files (not where CI\n"
        "                          is set)\n"
        "  -w, --watch             run again when a script, a test or a fixture is saved\n"
        "      --junit FILE        also write JUnit's XML\n"
        "      --format FORMAT     text, tap or json (a line per test) [text]\n"
        "  -l, --list              name the tests and run none\n"
        "      --allow-none        no tests are no failure\n"
        "  -q, --quiet             only what failed, and the last line\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 all passed, 1 some failed or there are none, 2 usage, 78 a test file or\n"
        "a script does not load.\n"
        "See also: scripts/README.md, millrace enrich --help\n";

enum { DEPTH_MAX = 16, WATCH_MS = 300 };

struct testing {
	const char *match, *junit;
	enum testformat format;
	bool update, watch, list, quiet, allow_none;
	char **files;
	size_t count;
	bool broken;
};

/* ---- which files ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), length = strlen(end);
	return size >= length && strcmp(text + size - length, end) == 0;
}

static void add_file(struct testing *testing, const char *path)
{
	for (size_t i = 0; i < testing->count; i++)
		if (strcmp(testing->files[i], path) == 0)
			return;
	testing->files = mem_realloc(testing->files, (testing->count + 1) * sizeof *testing->files);
	testing->files[testing->count++] = mem_strdup(strncmp(path, "./", 2) == 0 ? path + 2 : path);
}

typedef void visit(void *context, const char *path);

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Every file below, but for hidden ones and what links to folders lead to, in the order of their names. */
static bool walk(const char *folder, unsigned depth, visit *visited, void *context)
{
	struct dirent **names;
	int count = scandir(folder, &names, not_hidden, alphasort);
	if (count < 0)
		return false;
	for (int i = 0; i < count; i++) {
		struct stat stat_of;
		char *path = mem_printf("%s/%s", folder, names[i]->d_name);
		if (lstat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode) && depth < DEPTH_MAX)
			walk(path, depth + 1, visited, context);
		else if (stat(path, &stat_of) == 0 && S_ISREG(stat_of.st_mode))
			visited(context, path);
		mem_free(path);
		free(names[i]);
	}
	free(names);
	return true;
}

static void on_file(void *context, const char *path)
{
	if (ends_with(path, "_test.yaml"))
		add_file(context, path);
}

/* A folder with all below it, a test file, or a script for its test file. */
static bool add_path(struct testing *testing, const char *given)
{
	struct stat found;
	char *path = mem_strdup(given);
	if (ends_with(path, "/..."))
		path[strlen(path) - 4] = '\0';
	for (size_t size = strlen(path); size > 1 && path[size - 1] == '/'; size--)
		path[size - 1] = '\0';
	bool good = stat(path, &found) == 0;
	if (!good)
		fprintf(stderr, "millrace test: %s: %s\n", path, strerror(errno));
	else if (S_ISDIR(found.st_mode))
		walk(path, 0, on_file, testing);
	else if (ends_with(path, ".lua")) {
		char *stem = mem_dup(path, strlen(path) - 4), *beside = mem_printf("%s_test.yaml", stem);
		good = access(beside, R_OK) == 0;
		if (good)
			add_file(testing, beside);
		else
			fprintf(stderr, "millrace test: %s has no tests: there is no %s\n", path, beside);
		mem_free(stem);
		mem_free(beside);
	} else {
		add_file(testing, path);
	}
	mem_free(path);
	return good;
}

static bool find_files(struct testing *testing, char **paths, int count)
{
	bool good = true;
	for (size_t i = 0; i < testing->count; i++)
		mem_free(testing->files[i]);
	testing->count = 0;
	for (int i = 0; i < count; i++)
		good = add_path(testing, paths[i]) && good;
	return good && (count > 0 || add_path(testing, "."));
}

/* ---- running ---- */

static bool wanted(const struct testing *testing, const struct testfile *file, const struct testcase *test)
{
	return testing->match == NULL || strcasestr(test->name, testing->match) ||
	       strcasestr(file->path, testing->match);
}

static void run_test(struct testing *testing, struct testreport *report, const struct testfile *file,
        struct testcase *test)
{
	struct testrun run;
	struct testverdicts verdicts;
	if (testing->list) {
		printf("%s:%u: %s\n", file->path, test->line, test->name);
		report->passed++;
		return;
	}
	testrun_run(file, test, &run);
	testjudge(test, &run, testing->update ? GOLDEN_ACCEPT : GOLDEN_COMPARE, &verdicts);
	testing->broken |= run.broken;
	testreport_test(report, file, test, &run, &verdicts);
	testjudge_free(&verdicts);
	testrun_free(&run);
}

static void run_file(struct testing *testing, struct testreport *report, const char *path)
{
	struct diagnostics found = {0};
	struct buf text = {0};
	struct testfile *file = testfile_load(path, &found);
	if (found.count) {
		diagnostics_sort(&found);
		diagnostics_text(
		        &found, file->source, file->source_size, command_colour(STDERR_FILENO), &text);
		fputs(text.data, stderr);
	}
	if (found.errors) {
		testing->broken = true;
		testreport_broken(report, file, &found.items[0]);
	} else {
		if (!testing->list)
			testreport_file(report, file);
		for (size_t i = 0; i < file->count; i++)
			if (wanted(testing, file, &file->tests[i]))
				run_test(testing, report, file, &file->tests[i]);
			else
				report->skipped++;
		if (!testing->list)
			testreport_file_end(report);
	}
	diagnostics_free(&found);
	buf_free(&text);
	testfile_free(file);
}

static int run_all(struct testing *testing)
{
	struct testreport report = {.format = testing->format,
	        .colour = command_colour(STDOUT_FILENO),
	        .quiet = testing->quiet,
	        .wants_junit = testing->junit != NULL};
	testing->broken = false;
	if (testing->format == TESTFORMAT_TAP && !testing->list)
		puts("TAP version 13");
	for (size_t i = 0; i < testing->count; i++)
		run_file(testing, &report, testing->files[i]);
	if (!testing->list)
		testreport_end(&report);
	int code = testing->broken      ? EXIT_CONFIG
	           : report.failed      ? EXIT_FAILURE
	           : report.passed == 0 ? testing->allow_none ? EXIT_SUCCESS : EXIT_FAILURE
	                                : EXIT_SUCCESS;
	if (report.passed + report.failed == 0 && !testing->broken)
		fprintf(stderr,
		        testing->match ? "millrace test: no test has '%s' in its name\n"
		                       : "millrace test: there are no tests (x_test.yaml beside x.lua)%s\n",
		        testing->match ? testing->match : "");
	if (testing->junit && !testreport_junit(&report, testing->junit)) {
		fprintf(stderr, "millrace test: %s cannot be written: %s\n", testing->junit, strerror(errno));
		code = EXIT_FAILURE;
	}
	testreport_free(&report);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "millrace test: the report cannot be written: %s\n", strerror(errno));
		code = EXIT_FAILURE;
	}
	return code;
}

/* ---- watching ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static void note_file(void *context, const char *path)
{
	struct buf *seen = context;
	struct stat found;
	static const char *const kinds[] = {".lua", ".yaml", ".json", ".jsonl"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (ends_with(path, kinds[i]) && stat(path, &found) == 0)
			buf_printf(seen, "%s %lld %lld.%ld\n", path, (long long)found.st_size,
			        (long long)found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
}

/* The names, sizes and times of all that a test may read. */
static void look(char **paths, int count, char hex[DIGEST_HEX])
{
	struct buf seen = {0};
	for (int i = 0; i < (count ? count : 1); i++) {
		char *path = mem_strdup(count ? paths[i] : "."), *slash;
		struct stat found;
		if (ends_with(path, "/..."))
			path[strlen(path) - 4] = '\0';
		if (stat(path, &found) == 0 && !S_ISDIR(found.st_mode)) {
			slash = strrchr(path, '/');
			memcpy(slash ? slash : path, slash ? "" : ".", slash ? 1 : 2);
		}
		walk(path, 0, note_file, &seen);
		mem_free(path);
	}
	struct bytes bytes = {seen.data ? seen.data : "", seen.size};
	digest_hex(DIGEST_SHA256, &bytes, 1, hex);
	buf_free(&seen);
}

static int watch(struct testing *testing, char **paths, int count)
{
	char before[DIGEST_HEX], now[DIGEST_HEX];
	struct sigaction action = {.sa_handler = on_interrupt};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (!interrupted) {
		look(paths, count, before);
		find_files(testing, paths, count);
		run_all(testing);
		fputs("waiting for a change (Ctrl-C ends)\n", stderr);
		do {
			nanosleep(&(struct timespec){.tv_nsec = WATCH_MS * 1000000L}, NULL);
			look(paths, count, now);
		} while (!interrupted && strcmp(before, now) == 0);
		if (!interrupted)
			fputs("\n", stderr);
	}
	return EXIT_SUCCESS;
}

/* ---- options ---- */

static bool format_of(const char *text, enum testformat *format)
{
	static const char *const names[] = {
	        [TESTFORMAT_TEXT] = "text", [TESTFORMAT_TAP] = "tap", [TESTFORMAT_JSON] = "json"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*format = (enum testformat)i;
			return true;
		}
	return false;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct testing *testing)
{
	enum { JUNIT = 256, FORMAT, ALLOW_NONE };
	static const struct option long_options[] = {
	        {"match", required_argument, NULL, 'k'},
	        {"update", no_argument, NULL, 'u'},
	        {"watch", no_argument, NULL, 'w'},
	        {"junit", required_argument, NULL, JUNIT},
	        {"format", required_argument, NULL, FORMAT},
	        {"list", no_argument, NULL, 'l'},
	        {"quiet", no_argument, NULL, 'q'},
	        {"allow-none", no_argument, NULL, ALLOW_NONE},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, ":k:uwlqh", long_options, NULL)) != -1)
		switch (option) {
		case 'k': testing->match = optarg; break;
		case 'u': testing->update = true; break;
		case 'w': testing->watch = true; break;
		case 'l': testing->list = true; break;
		case 'q': testing->quiet = true; break;
		case ALLOW_NONE: testing->allow_none = true; break;
		case JUNIT: testing->junit = optarg; break;
		case FORMAT:
			if (!format_of(optarg, &testing->format))
				return command_usage(
				        "test", "--format: expected text, tap or json, found '%s'", optarg);
			break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	return -1;
}

int command_test(int argc, char **argv)
{
	struct testing testing = {0};
	int code = read_options(argc, argv, &testing);
	if (code >= 0)
		return code;
	const char *ci = getenv("CI");
	if (testing.update && ci && *ci && strcmp(ci, "false") != 0)
		return command_usage(
		        "test", "--update writes golden files, which a CI must not do (CI is set)");
	if (testing.watch && testing.junit)
		return command_usage("test", "--watch and --junit do not go together");
	log_init(LOG_TEXT, LOG_INFO, "test");
	if (testing.watch)
		code = watch(&testing, argv + optind, argc - optind);
	else if (find_files(&testing, argv + optind, argc - optind))
		code = run_all(&testing);
	else
		code = EXIT_CONFIG;
	for (size_t i = 0; i < testing.count; i++)
		mem_free(testing.files[i]);
	mem_free(testing.files);
	return code;
}
