/* What is told of tests that ran: for people, as TAP, as JSON lines, as JUnit's XML. */
#include "testreport.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <string.h>

enum { LOG_LINES = 20 }; /* shown of a test that failed */

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* ---- for people ---- */

/* "- ..." in red, "+ ..." in green, all behind an indent. */
static void print_fault(
        const struct testreport *report, const struct testfile *file, const struct testfault *fault)
{
	printf("  %s:%u  ", file->path, fault->line);
	for (const char *at = fault->text; *at;) {
		size_t size = strcspn(at, "\n");
		const char *colour = !report->colour     ? ""
		                     : at == fault->text ? ""
		                     : *at == '-'        ? "\033[31m"
		                     : *at == '+'        ? "\033[32m"
		                                         : "";
		printf("%s%s%.*s%s\n", at == fault->text ? "" : "    ", colour, (int)size, at,
		        *colour ? "\033[0m" : "");
		at += size + (at[size] == '\n');
	}
}

/* The last lines: what it came to. */
static void print_log(const struct testrun *run)
{
	size_t at = run->log.size, lines = 0;
	while (at > 0 && (run->log.data[at - 1] != '\n' || lines++ < LOG_LINES))
		at--;
	if (at > 0)
		puts("  log: ...");
	while (at < run->log.size) {
		size_t size = strcspn(run->log.data + at, "\n");
		printf("  log: %.*s\n", (int)size, run->log.data + at);
		at += size + 1;
	}
}

static void print_test(const struct testreport *report, const struct testfile *file,
        const struct testcase *test, const struct testrun *run, const struct testverdicts *verdicts)
{
	bool good = verdicts->count == 0;
	const char *mark = good ? "✓" : "✗", *colour = good ? "\033[32m" : "\033[1;31m";
	printf("%s%s%s %s%s (%.1f ms)\n", report->colour ? colour : "", mark, report->colour ? "\033[0m" : "",
	        test->name, verdicts->accepted ? ": accepted" : "", run->seconds * 1000);
	for (size_t i = 0; i < verdicts->count; i++)
		print_fault(report, file, &verdicts->faults[i]);
	if (!good)
		print_log(run);
}

/* ---- for machines ---- */

static void print_tap(const struct testreport *report, const struct testfile *file,
        const struct testcase *test, const struct testverdicts *verdicts)
{
	printf("%sok %u - %s: %s\n", verdicts->count ? "not " : "", report->passed + report->failed,
	        name_of(file->path), test->name);
	for (size_t i = 0; i < verdicts->count; i++) {
		printf("# %s:%u ", file->path, verdicts->faults[i].line);
		for (const char *at = verdicts->faults[i].text; *at; at++)
			fputs(*at == '\n' ? "\n#   " : (char[]){*at, '\0'}, stdout);
		putchar('\n');
	}
}

static void print_json(const struct testfile *file, const struct testcase *test, const struct testrun *run,
        const struct testverdicts *verdicts)
{
	struct buf out = {0};
	buf_printf(&out, "{\"passed\":%s", verdicts->count ? "false" : "true");
	text_json_member(&out, "file", file->path);
	text_json_member(&out, "name", test->name);
	buf_printf(&out, ",\"line\":%u,\"seconds\":%.6f,\"failures\":[", test->line, run->seconds);
	for (size_t i = 0; i < verdicts->count; i++) {
		buf_printf(&out, "%s{\"line\":%u", i ? "," : "", verdicts->faults[i].line);
		text_json_member(&out, "text", verdicts->faults[i].text);
		buf_append_byte(&out, '}');
	}
	buf_append_text(&out, "]");
	text_json_member(&out, "log", run->log.data ? run->log.data : "");
	buf_append_byte(&out, '}');
	puts(out.data);
	buf_free(&out);
}

/* XML 1.0 has no way to write most control characters. */
static void append_xml(struct buf *out, const char *text)
{
	size_t size = strlen(text), valid = text_utf8_valid(text, size);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		switch (c) {
		case '&': buf_append_text(out, "&amp;"); break;
		case '<': buf_append_text(out, "&lt;"); break;
		case '>': buf_append_text(out, "&gt;"); break;
		case '"': buf_append_text(out, "&quot;"); break;
		default:
			if ((c < ' ' && c != '\n' && c != '\t') || i >= valid)
				buf_append_byte(out, '?');
			else
				buf_append_byte(out, (char)c);
		}
	}
}

static void append_junit(struct testreport *report, const struct testfile *file, const struct testcase *test,
        const struct testrun *run, const struct testverdicts *verdicts)
{
	struct buf *out = &report->junit;
	buf_append_text(out, "    <testcase classname=\"");
	append_xml(out, file->path);
	buf_append_text(out, "\" name=\"");
	append_xml(out, test->name);
	buf_printf(out, "\" file=\"");
	append_xml(out, file->path);
	buf_printf(out, "\" line=\"%u\" time=\"%.6f\">\n", test->line, run->seconds);
	for (size_t i = 0; i < verdicts->count; i++) {
		const char *text = verdicts->faults[i].text;
		char first[200];
		snprintf(first, sizeof first, "%.*s", (int)strcspn(text, "\n"), text);
		buf_append_text(out, "      <failure message=\"");
		append_xml(out, first);
		buf_printf(out, "\">");
		append_xml(out, file->path);
		buf_printf(out, ":%u ", verdicts->faults[i].line);
		append_xml(out, text);
		buf_append_text(out, "</failure>\n");
	}
	if (run->log.size) {
		buf_append_text(out, "      <system-err>");
		append_xml(out, run->log.data);
		buf_append_text(out, "</system-err>\n");
	}
	buf_append_text(out, "    </testcase>\n");
}

/* The element stands before its contents, and how many they are is known after them. */
static void begin_suite(struct testreport *report, const char *path)
{
	buf_append_text(&report->junit, "  <testsuite name=\"");
	append_xml(&report->junit, path);
	buf_append_text(&report->junit, "\" ");
	report->suite_begin = report->junit.size;
}

static void end_suite(struct testreport *report, unsigned tests, unsigned failures, unsigned errors)
{
	struct buf *out = &report->junit;
	size_t begin = report->suite_begin, size = out->size - begin;
	char *cases = mem_dup(out->data + begin, size);
	out->size = begin;
	buf_printf(out, "tests=\"%u\" failures=\"%u\" errors=\"%u\">\n", tests, failures, errors);
	buf_append(out, cases, size);
	buf_append_text(out, "  </testsuite>\n");
	mem_free(cases);
}

/* ---- all of it ---- */

void testreport_file(struct testreport *report, const struct testfile *file)
{
	if (report->format == TESTFORMAT_TEXT && !report->quiet)
		printf("%s%s%s\n", report->colour ? "\033[1m" : "", file->path,
		        report->colour ? "\033[0m" : "");
	report->suite[0] = report->passed;
	report->suite[1] = report->failed;
	if (report->wants_junit)
		begin_suite(report, file->path);
}

void testreport_file_end(struct testreport *report)
{
	unsigned passed = report->passed - report->suite[0], failed = report->failed - report->suite[1];
	if (report->wants_junit)
		end_suite(report, passed + failed, failed, 0);
}

void testreport_broken(
        struct testreport *report, const struct testfile *file, const struct diagnostic *diagnostic)
{
	struct buf *out = &report->junit;
	report->errors++;
	if (!report->wants_junit)
		return;
	begin_suite(report, file->path);
	buf_append_text(out, "    <testcase classname=\"");
	append_xml(out, file->path);
	buf_append_text(out, "\" name=\"can be read\">\n      <error message=\"");
	append_xml(out, diagnostic->message);
	buf_append_text(out, "\">");
	append_xml(out, file->path);
	buf_printf(out, ":%u:%u ", diagnostic->line, diagnostic->column);
	append_xml(out, diagnostic->message);
	buf_append_text(out, "</error>\n    </testcase>\n");
	end_suite(report, 1, 0, 1);
}

void testreport_test(struct testreport *report, const struct testfile *file, const struct testcase *test,
        const struct testrun *run, const struct testverdicts *verdicts)
{
	if (verdicts->count)
		report->failed++;
	else
		report->passed++;
	bool told = verdicts->count > 0 || verdicts->accepted || !report->quiet;
	if (report->format == TESTFORMAT_TAP) /* whose lines are counted */
		print_tap(report, file, test, verdicts);
	else if (told && report->format == TESTFORMAT_TEXT)
		print_test(report, file, test, run, verdicts);
	else if (told)
		print_json(file, test, run, verdicts);
	if (report->wants_junit)
		append_junit(report, file, test, run, verdicts);
	fflush(stdout);
}

void testreport_end(struct testreport *report)
{
	if (report->format == TESTFORMAT_TAP)
		printf("1..%u\n", report->passed + report->failed);
	FILE *to = report->format == TESTFORMAT_TEXT ? stdout : stderr;
	const char *colour = report->failed ? "\033[1;31m" : "\033[32m";
	bool colours = report->colour && to == stdout;
	fprintf(to, "%s%u passed, %u failed", colours ? colour : "", report->passed, report->failed);
	if (report->skipped)
		fprintf(to, ", %u skipped", report->skipped);
	fprintf(to, "%s\n", colours ? "\033[0m" : "");
}

bool testreport_junit(const struct testreport *report, const char *path)
{
	FILE *open = fopen(path, "we");
	if (open == NULL)
		return false;
	fprintf(open,
	        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"%u\" "
	        "failures=\"%u\" errors=\"%u\">\n%s</testsuites>\n",
	        report->passed + report->failed + report->errors, report->failed, report->errors,
	        report->junit.data ? report->junit.data : "");
	bool good = !ferror(open);
	return fclose(open) == 0 && good;
}

void testreport_free(struct testreport *report)
{
	buf_free(&report->junit);
}
