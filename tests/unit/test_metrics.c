/* The table of metrics, and the text a scraper reads. */
#include "metrics.h"
#include "metrics_user.h"

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
	metrics_print(metrics, METRICS_TEXT, &out);
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
	for (int i = 0; i < 30; i++) {
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
	        metrics, "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"1.0\"} 2"));
	assert_true(has_line(
	        metrics, "millrace_http_request_duration_seconds_bucket{upstream=\"scores\",le=\"60.0\"} 3"));
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
	*metrics_value(metrics, METRIC_HTTP_RETRIES, "v", "reason3") += 1;
	assert_int_equal(count_of(metrics, "millrace_http_retries_total{"), 26);
	assert_true(has_line(metrics, "millrace_http_retries_total{upstream=\"u\",reason=\"other\"} 976"));
	assert_true(has_line(metrics, "millrace_http_retries_total{upstream=\"v\",reason=\"other\"} 1"));
	assert_true(has_line(metrics, "millrace_http_retries_total{upstream=\"u\",reason=\"reason23\"} 1"));
	*metrics_value(metrics, METRIC_HTTP_RETRIES, "u", "reason3") += 1;
	assert_true(has_line(metrics, "millrace_http_retries_total{upstream=\"u\",reason=\"reason3\"} 2"));
	metrics_close(metrics);
}

/* ---- how many series there are at most ---- */

/* What a label can say in a job of one source topic, twelve partitions, two upstreams, a sink and an error
 * stream; NULL ends. Labels that are capped bring as many values as one likes. */
enum { DOMAIN = 24 };

static const struct domain {
	const char *metrics, *label; /* metrics: what the name begins with */
	const char *values[DOMAIN];
} domains[] = {
        {"millrace_build_info", "version", {"1"}},
        {"millrace_build_info", "revision", {"r"}},
        {"millrace_build_info", "luajit", {"l"}},
        {"millrace_build_info", "librdkafka", {"k"}},
        {"millrace_build_info", "libcurl", {"c"}},
        {"millrace_config_hash_info", "sha256", {"s"}},
        {"millrace_state", "state", {"starting", "running", "paused", "draining"}},
        {"millrace_records", "state",
                {"TAKEN", "DECODED", "ASKING", "ANSWERED", "RESTING", "MADE", "RELEASED", "SENDING"}},
        {"millrace_http_circuit_state", "state", {"closed", "open", "probing"}},
        {"millrace_sink", "topic", {"sink", "errors"}},
        {"millrace_kafka_producer", "topic", {"sink", "errors"}},
        {"millrace_", "topic", {"source"}},
        {"millrace_", "partition", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}},
        {"millrace_", "upstream", {"mediawiki", "scores"}},
        {"millrace_", "client", {"source", "sink", "errors"}},
        {"millrace_", "sink", {"sink"}},
        {"millrace_events_total", "outcome", {"enriched", "passed", "dropped", "failed"}},
        {"millrace_event_processing_seconds", "outcome", {"enriched", "passed", "dropped", "failed"}},
        {"millrace_kafka_commits_total", "outcome", {"ok", "failed"}},
        {"millrace_checkpoint_writes_total", "outcome", {"ok", "failed", "late", "skipped"}},
        {"millrace_diffs_total", "outcome", {"made", "too_large", "timeout", "cancelled"}},
        {"millrace_script_reloads_total", "outcome",
                {"swapped", "unchanged", "failed", "tests_failed", "busy", "refused", "rolled_back"}},
        {"millrace_schema_checks_total", "outcome", {"valid", "invalid", "unknown", "unchecked"}},
        {"millrace_schema_loads_total", "outcome", {"loaded", "absent", "broken", "away"}},
        {"millrace_schema_checks_total", "side", {"input", "output"}},
        {"millrace_given_back_records_total", "reason", {"revoked", "lost", "stopped"}},
        {"millrace_http_throttled_seconds_total", "reason", {"429", "retry", "breaker"}},
        {"millrace_paused_seconds_total", "reason", {"sink", "upstream", "schema", "source", "store"}},
        {"millrace_kafka_rebalances_total", "type", {"assign", "revoke", "lost"}},
        {"millrace_http_requests_total", "attempt", {"first", "retry"}},
        {"millrace_kafka_broker_rtt_seconds", "stat", {"avg", "p99"}},
        {"millrace_script_info", "script", {"s.lua"}},
        {"millrace_script_info", "sha256", {"s"}},
        {"millrace_script_duration_seconds", "hook", {"request", "transform"}},
        {"millrace_script_errors_total", "hook", {"request", "transform", "other"}},
        {"millrace_script_errors_total", "kind", {"error", "timeout", "memory"}},
        {"millrace_stage_", "stage", {"source", "request", "http", "transform", "sink"}},
        {"millrace_memory_bytes", "kind",
                {"engine", "source", "records", "answers", "outputs", "script", "sink", "taps"}},
        {"millrace_log_messages_total", "level", {"debug", "info", "warn", "error"}},
};

static const struct domain *domain_of(const char *metric, const char *label, size_t size)
{
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
		if (strncmp(metric, domains[i].metrics, strlen(domains[i].metrics)) == 0 &&
		        strlen(domains[i].label) == size && strncmp(domains[i].label, label, size) == 0)
			return &domains[i];
	return NULL;
}

/* How many values a capped label has in a job that meets many kinds of trouble; the script's drop reasons are
 * as many as it may have. */
static size_t realistic_values(enum metric metric)
{
	switch (metric) {
	case METRIC_DROPS: return 40;
	case METRIC_FAILURES: return 20;
	case METRIC_HTTP_REQUESTS:
	case METRIC_HTTP_RETRIES: return 7;
	case METRIC_HTTP_SPLITS: return 4;
	case METRIC_KAFKA_ERRORS:
	case METRIC_SINK_ERRORS: return 3;
	default: return 2;
	}
}

/* One series for every combination of what the labels from `at` on can say; capped ones: all, or as many as
 * are realistic. */
static void fill(struct metrics *metrics, enum metric metric, const char *at, const char **values,
        size_t count, bool all)
{
	const char *name = metrics_declaration(metric)->name, *open;
	size_t cap = metrics_cap(metric, &open), size = strcspn(at, ",");
	bool capped = cap && strlen(open) == size && strncmp(at, open, size) == 0;
	const struct domain *domain = domain_of(name, at, size);
	size_t most = !capped ? DOMAIN : all ? 2 * cap : realistic_values(metric);
	if (size == 0) {
		values[count] = NULL;
		if (metrics_declaration(metric)->type == METRIC_HISTOGRAM)
			metrics_histogram_at(metrics, metric, values);
		else
			metrics_value_at(metrics, metric, values);
		return;
	}
	if (!capped && domain == NULL)
		fail_msg("%s: what can its label %.*s say? A cap, or a line in `domains`", name, (int)size,
		        at);
	for (size_t i = 0; i < most && (capped || domain->values[i]); i++) {
		char junk[24];
		snprintf(junk, sizeof junk, "x%zu", i);
		values[count] = capped ? junk : domain->values[i];
		fill(metrics, metric, at + size + (at[size] == ','), values, count + 1, all);
	}
}

static size_t series_of_a_full_page(bool all)
{
	const char *values[METRIC_LABELS_MAX + 1];
	size_t series = 0, declared = 0;
	struct metrics *metrics = metrics_open();
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
		fill(metrics, metric, metrics_declaration(metric)->labels, values, 0, all);
	char *text = printed(metrics);
	for (char *at = text; *at; at = strchr(at, '\n') + 1) {
		series += *at != '#';
		declared += strncmp(at, "# TYPE", 6) == 0;
	}
	assert_int_equal(declared, METRIC_COUNT);
	free(text);
	metrics_close(metrics);
	print_message("%zu series\n", series);
	return series;
}

/* The page is scraped from every pod every few seconds, and kept for months. */
static void a_large_job_has_less_than_five_hundred_series(void **state)
{
	(void)state;
	assert_in_range(series_of_a_full_page(false), 300, 500);
}

/* Whatever scripts, brokers and upstreams come up with. Those of millrace.counter are capped apart. */
static void the_caps_bound_the_page(void **state)
{
	(void)state;
	assert_in_range(series_of_a_full_page(true), 300, 600);
}

/* ---- what scripts count ---- */

static void count(struct metrics *metrics, const char *name, const char *code, double n)
{
	const char *labels[] = {"code"};
	metrics_user_add(metrics_user_of(metrics), name, "A \"help\" with a \\.", labels, &code, 1, n);
}

static void what_scripts_count_is_on_the_page(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	count(metrics, "api_errors", "badtoken", 1);
	count(metrics, "api_errors", "badtoken", 2.5);
	count(metrics, "api_errors", "a\"b\n\xff", 1);
	metrics_user_add(metrics_user_of(metrics), "plain", "Plain.", NULL, NULL, 0, 0);
	assert_true(has_line(metrics, "# TYPE millrace_user_api_errors_total counter"));
	assert_true(has_line(metrics, "# HELP millrace_user_api_errors_total A \"help\" with a \\\\."));
	assert_true(has_line(metrics, "millrace_user_api_errors_total{code=\"badtoken\"} 3.5"));
	assert_true(has_line(metrics, "millrace_user_api_errors_total{code=\"a\\\"b\\n\xef\xbf\xbd\"} 1"));
	assert_true(has_line(metrics, "millrace_user_plain_total 0"));
	metrics_close(metrics);
}

static void what_scripts_count_is_capped(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	char text[40];
	for (int i = 0; i < 150; i++) {
		snprintf(text, sizeof text, "%d", i);
		count(metrics, i < 60 ? "one" : "two", text, 1);
	}
	snprintf(text, sizeof text, "never%d", 1);
	count(metrics, text, "0", 1); /* a counter of its own is no way around */
	count(metrics, "one", "3", 1);
	metrics_process(metrics);
	assert_int_equal(METRICS_USER_SERIES, count_of(metrics, "\nmillrace_user_") - 1);
	assert_true(has_line(metrics, "millrace_user_one_total{code=\"3\"} 2"));
	assert_true(has_line(metrics, "millrace_user_series_dropped_total 51"));
	assert_int_equal(0, count_of(metrics, "never1"));
	metrics_close(metrics);
}

/* ---- OpenMetrics ---- */

static void open_metrics_differs_in_heads_and_in_its_end(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_open();
	struct buf out;
	buf_init(&out, 0);
	*metrics_value(metrics, METRIC_EVENTS, "enriched") += 2;
	*metrics_value(metrics, METRIC_SCRIPT_INFO, "s.lua", "abc") = 1;
	count(metrics, "api_errors", "badtoken", 1);
	metrics_print(metrics, METRICS_OPEN, &out);
	buf_append_byte(&out, '\0');
	const char *text = out.data;
	assert_non_null(strstr(text, "\n# TYPE millrace_events counter\nmillrace_events_total{outcome="));
	assert_non_null(strstr(text, "\n# TYPE millrace_script info\nmillrace_script_info{script="));
	assert_non_null(
	        strstr(text, "\n# TYPE millrace_user_api_errors counter\nmillrace_user_api_errors_total{"));
	assert_non_null(strstr(text, "\n# HELP millrace_user_api_errors A \\\"help\\\" with a \\\\.\n"));
	assert_non_null(strstr(text, "millrace_event_age_seconds_bucket{le=\"1.0\"} 0\n"));
	assert_null(strstr(text, "_total counter"));
	assert_null(strstr(text, "\n\n"));
	assert_true(ends_in(text, "\n# EOF\n"));
	buf_free(&out);
	metrics_close(metrics);
}

static void who_asks_for_open_metrics_gets_it(void **state)
{
	(void)state;
	static const struct {
		const char *accept;
		enum metrics_form form;
	} cases[] = {{NULL, METRICS_TEXT}, {"", METRICS_TEXT}, {"*/*", METRICS_TEXT},
	        {"text/html", METRICS_TEXT}, {"application/openmetrics-text", METRICS_OPEN},
	        {"application/openmetrics-text; version=1.0.0; charset=utf-8", METRICS_OPEN},
	        /* Prometheus 2.42 and 3.5 */
	        {"application/openmetrics-text;version=1.0.0,application/"
	         "openmetrics-text;version=0.0.1;q=0.75,"
	         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	                METRICS_OPEN},
	        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
	         "text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
	                METRICS_OPEN},
	        {"text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5",
	                METRICS_TEXT},
	        {"application/openmetrics-text;version=0.0.1", METRICS_TEXT},
	        {"application/openmetrics-text;q=0", METRICS_TEXT},
	        {"application/openmetrics-texts", METRICS_TEXT},
	        {"APPLICATION/OpenMetrics-Text ; q=0.9 , text/plain; q=0.2", METRICS_OPEN},
	        {";,;q=,,q", METRICS_TEXT}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (expose_wanted(cases[i].accept) != cases[i].form)
			fail_msg("%s", cases[i].accept);
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
	        cmocka_unit_test(a_large_job_has_less_than_five_hundred_series),
	        cmocka_unit_test(the_caps_bound_the_page),
	        cmocka_unit_test(what_scripts_count_is_on_the_page),
	        cmocka_unit_test(what_scripts_count_is_capped),
	        cmocka_unit_test(open_metrics_differs_in_heads_and_in_its_end),
	        cmocka_unit_test(who_asks_for_open_metrics_gets_it),
	        cmocka_unit_test(without_metrics_nobody_minds),
	        cmocka_unit_test(the_process_knows_what_it_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
