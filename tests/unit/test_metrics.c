/* The table of metrics, and the text a scraper reads. */
#include "metrics.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* The page as text; the caller frees. */
static char *printed(struct metrics *metrics)
{
	struct buf out;
	buf_init(&out, 0);
	metrics_print(metrics, &out);
	return buf_steal(&out, NULL);
}

/* True when the page has exactly this line. */
static bool has_line(struct metrics *metrics, const char *line)
{
	char *text = printed(metrics);
	size_t size = strlen(line);
	bool found = false;
	for (char *at = text; at && *at && !found; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		found = strncmp(at, line, size) == 0 && at[size] == '\n';
	free(text);
	return found;
}

static size_t count_of(struct metrics *metrics, const char *word)
{
	char *text = printed(metrics);
	size_t count = 0;
	for (char *at = text; (at = strstr(at, word)); at += strlen(word))
		count++;
	free(text);
	return count;
}

static bool ends_in(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void counters_and_only_counters_end_in_total(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric_declaration *metric = metrics_declaration((enum metric)i);
		if (ends_in(metric->name, "_total") != (metric->type == METRIC_COUNTER))
			fail_msg("%s", metric->name);
	}
}

static void names_are_plain_and_nobody_has_two(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_COUNT; i++) {
		const char *name = metrics_declaration((enum metric)i)->name;
		if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name) ||
		        (strncmp(name, "millrace_", 9) != 0 && strncmp(name, "process_", 8) != 0))
			fail_msg("%s", name);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, metrics_declaration((enum metric)j)->name);
	}
}

static void units_are_base_units(void **state)
{
	(void)state;
	static const char *const others[] = {
	        "_ms", "_milliseconds", "_minutes", "_kb", "_mb", "_percent", "_count", "_sum", "_bucket"};
	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric_declaration *metric = metrics_declaration((enum metric)i);
		for (size_t j = 0; j < sizeof others / sizeof *others; j++)
			if (ends_in(metric->name, others[j]))
				fail_msg("%s", metric->name);
		if (metric->type == METRIC_HISTOGRAM && !ends_in(metric->name, "_seconds") &&
		        !ends_in(metric->name, "_lookups"))
			fail_msg("%s", metric->name);
	}
}

static void every_help_is_a_sentence(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_COUNT; i++) {
		const char *help = metrics_declaration((enum metric)i)->help;
		bool sentence = isupper((unsigned char)help[0]) || isdigit((unsigned char)help[0]);
		if (!sentence || !ends_in(help, ".") || strlen(help) < 12 || strpbrk(help, "\n\\"))
			fail_msg("%s: %s", metrics_declaration((enum metric)i)->name, help);
	}
}

static void labels_are_few_and_plain(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_COUNT; i++) {
		const char *labels = metrics_declaration((enum metric)i)->labels;
		size_t count = 1;
		for (const char *at = labels; *at; at++)
			count += *at == ',';
		if (count > METRIC_LABELS_MAX ||
		        strspn(labels, "abcdefghijklmnopqrstuvwxyz0123456789,") != strlen(labels))
			fail_msg("%s", labels);
	}
}

static void without_labels_it_is_there_from_the_start(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	assert_true(has_line(metrics, "# HELP millrace_open_records Records taken and not ended."));
	assert_true(has_line(metrics, "# TYPE millrace_open_records gauge"));
	assert_true(has_line(metrics, "millrace_open_records 0"));
	assert_true(has_line(metrics, "millrace_event_age_seconds_bucket{le=\"+Inf\"} 0"));
	assert_int_equal(count_of(metrics, "millrace_events_total"), 0);
	*metrics_value(metrics, METRIC_EVENTS, "enriched") += 2;
	assert_true(has_line(metrics, "# TYPE millrace_events_total counter"));
	assert_true(has_line(metrics, "millrace_events_total{outcome=\"enriched\"} 2"));
	metrics_close(metrics);
}

static void the_same_labels_are_the_same_place(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	double *first = metrics_value(metrics, METRIC_HTTP_REQUESTS, "mediawiki", "200", "first");
	for (int i = 0; i < 100; i++) {
		char code[16];
		snprintf(code, sizeof code, "%d", 300 + i);
		metrics_value(metrics, METRIC_HTTP_REQUESTS, "mediawiki", code, "first");
	}
	assert_ptr_equal(first, metrics_value(metrics, METRIC_HTTP_REQUESTS, "mediawiki", "200", "first"));
	assert_ptr_not_equal(
	        first, metrics_value(metrics, METRIC_HTTP_REQUESTS, "mediawiki", "200", "retry"));
	assert_ptr_not_equal(metrics_value(metrics, METRIC_SINK_ERRORS, "ab", "c"),
	        metrics_value(metrics, METRIC_SINK_ERRORS, "a", "bc"));
	*first = 7;
	assert_true(has_line(metrics,
	        "millrace_http_requests_total{upstream=\"mediawiki\",code=\"200\",attempt=\"first\"} 7"));
	metrics_close(metrics);
}

static void a_removed_series_is_printed_no_more(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	*metrics_value(metrics, METRIC_LAG, "t", "0") = 5;
	*metrics_value(metrics, METRIC_LAG, "t", "1") = 6;
	metrics_remove(metrics, METRIC_LAG, (const char *const[]){"t", "0"});
	metrics_remove(metrics, METRIC_LAG, (const char *const[]){"t", "9"});
	assert_int_equal(count_of(metrics, "partition=\"0\"} 5"), 0);
	assert_true(has_line(metrics, "millrace_kafka_consumer_lag_records{topic=\"t\",partition=\"1\"} 6"));
	assert_true(*metrics_value(metrics, METRIC_LAG, "t", "0") == 0);
	metrics_close(metrics);
}

static void label_values_are_escaped(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	*metrics_value(metrics, METRIC_DROPS, "a\"b\\c\nd\xff\xe2\x82\xac") = 1;
	assert_true(has_line(
	        metrics, "millrace_drops_total{reason=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xe2\x82\xac\"} 1"));
	metrics_close(metrics);
}

static void numbers_are_exact(void **state)
{
	(void)state;
	static const struct {
		double value;
		const char *text;
	} cases[] = {{9007199254740991.0, "9007199254740991"}, {1e6, "1000000"}, {1e15, "1000000000000000"},
	        {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}, {-2.5, "-2.5"}, {-0.0, "0"}, {1e-9, "1e-09"},
	        {INFINITY, "+Inf"}, {-INFINITY, "-Inf"}, {NAN, "NaN"}, {1e300, "1e+300"}};
	struct metrics *metrics = metrics_open();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char line[100];
		*metrics_value(metrics, METRIC_OPEN_RECORDS, NULL) = cases[i].value;
		snprintf(line, sizeof line, "millrace_open_records %s", cases[i].text);
		if (!has_line(metrics, line))
			fail_msg("%s", line);
	}
	metrics_close(metrics);
}

static void a_histogram_is_cumulative_and_its_bounds_belong_to_it(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	struct histogram *histogram = metrics_histogram(metrics, METRIC_HTTP_DURATION, "scores");
	static const double seen[] = {0.005, 0.006, 2.5, 61, NAN};
	for (size_t i = 0; i < 4; i++)
		metrics_observe(histogram, seen[i]);
	assert_true(has_line(metrics,
	        "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"0.005\"} 1"));
	assert_true(has_line(
	        metrics, "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"0.01\"} 2"));
	assert_true(has_line(
	        metrics, "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"1\"} 2"));
	assert_true(has_line(
	        metrics, "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"60\"} 3"));
	assert_true(has_line(
	        metrics, "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"+Inf\"} 4"));
	assert_true(
	        has_line(metrics, "millrace_http_request_duration_seconds_sum{upstream=\"scores\"} 63.511"));
	assert_true(has_line(metrics, "millrace_http_request_duration_seconds_count{upstream=\"scores\"} 4"));
	metrics_observe(histogram, seen[4]); /* nonsense is at least counted */
	assert_true(has_line(metrics, "millrace_http_request_duration_seconds_count{upstream=\"scores\"} 5"));
	metrics_close(metrics);
}

static void beyond_the_cap_labels_become_other(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	for (int i = 0; i < 1000; i++) {
		char reason[16];
		snprintf(reason, sizeof reason, "reason%d", i);
		*metrics_value(metrics, METRIC_HTTP_RETRIES, "u", reason) += 1;
	}
	assert_int_equal(count_of(metrics, "millrace_http_retries_total{"), 201);
	assert_true(
	        has_line(metrics, "millrace_http_retries_total{upstream=\"other\",reason=\"other\"} 800"));
	assert_true(has_line(metrics, "millrace_http_retries_total{upstream=\"u\",reason=\"reason199\"} 1"));
	*metrics_value(metrics, METRIC_HTTP_RETRIES, "u", "reason3") += 1;
	assert_true(has_line(metrics, "millrace_http_retries_total{upstream=\"u\",reason=\"reason3\"} 2"));
	metrics_close(metrics);
}

static void without_metrics_nobody_minds(void **state)
{
	(void)state;
	*metrics_value(NULL, METRIC_EVENTS, "enriched") += 1;
	metrics_observe(metrics_histogram(NULL, METRIC_SCRIPT_DURATION, "transform"), 0.5);
	metrics_remove(NULL, METRIC_EVENTS, (const char *const[]){"enriched"});
	metrics_process(NULL);
	metrics_close(NULL);
}

static void the_process_knows_what_it_takes(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	metrics_process(metrics);
	assert_true(*metrics_value(metrics, METRIC_PROCESS_RSS, NULL) > 100e3);
	assert_true(*metrics_value(metrics, METRIC_PROCESS_VIRTUAL, NULL) >=
	            *metrics_value(metrics, METRIC_PROCESS_RSS, NULL));
	assert_true(*metrics_value(metrics, METRIC_PROCESS_START, NULL) > 1e9);
	assert_true(*metrics_value(metrics, METRIC_PROCESS_MAX_FDS, NULL) >= 3);
	double open = *metrics_value(metrics, METRIC_PROCESS_FDS, NULL);
	int fd = dup(STDERR_FILENO);
	metrics_process(metrics);
	assert_true(*metrics_value(metrics, METRIC_PROCESS_FDS, NULL) == open + 1);
	close(fd);
	assert_true(has_line(metrics, "millrace_log_messages_total{level=\"debug\"} 0"));
	metrics_close(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(counters_and_only_counters_end_in_total),
	        cmocka_unit_test(names_are_plain_and_nobody_has_two),
	        cmocka_unit_test(units_are_base_units),
	        cmocka_unit_test(every_help_is_a_sentence),
	        cmocka_unit_test(labels_are_few_and_plain),
	        cmocka_unit_test(without_labels_it_is_there_from_the_start),
	        cmocka_unit_test(the_same_labels_are_the_same_place),
	        cmocka_unit_test(a_removed_series_is_printed_no_more),
	        cmocka_unit_test(label_values_are_escaped),
	        cmocka_unit_test(numbers_are_exact),
	        cmocka_unit_test(a_histogram_is_cumulative_and_its_bounds_belong_to_it),
	        cmocka_unit_test(beyond_the_cap_labels_become_other),
	        cmocka_unit_test(without_metrics_nobody_minds),
	        cmocka_unit_test(the_process_knows_what_it_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
