/* A picture of an engine is made of what it exports, fits its terminal and cannot be misused to steer it. */
#include "command_top.h"
#include "metrics.h"
#include "unit.h"

#include <math.h>

static void look(struct top_look *look, struct metrics *metrics, const char *status, int64_t at)
{
	struct buf text, answer;
	buf_init(&text, 0);
	buf_init(&answer, 0);
	metrics_print(metrics, METRICS_TEXT, &text);
	buf_append_text(&answer, status);
	top_look_init(look);
	assert_true(top_look_read(look, &text, &answer));
	look->at = at;
	look->wall = 1800000000000 + at;
	buf_free(&text);
	buf_free(&answer);
}

static const char status[] =
        "{\"name\":\"job\",\"group\":\"group\",\"version\":\"1.0.0\",\"state\":\"running\",\"script\":{"
        "\"path\":"
        "\"x.lua\",\"sha256\":\"0123456789abcdef\",\"states\":1,\"loaded_at\":\"2026-11-22T13:26:28.123Z\","
        "\"last_outcome\":\"failed\",\"last_error\":\"x.lua:3: \\u001b[31mno\\nsecond line\"}}";

static struct metrics *sample(void)
{
	struct metrics *metrics = metrics_open();
	*metrics_value_at(metrics, METRIC_PROCESS_START, NULL) = 1799999000;
	*metrics_value_at(metrics, METRIC_OPEN_LIMIT, NULL) = 1000;
	*metrics_value_at(metrics, METRIC_MEMORY_LIMIT, NULL) = 512e6;
	*metrics_value(metrics, METRIC_MEMORY, "engine") = 40e6;
	*metrics_value(metrics, METRIC_HTTP_LIMIT, "wiki \"a\\b\"") = 64;
	*metrics_value(metrics, METRIC_HTTP_CIRCUIT, "wiki \"a\\b\"", "open") = 1;
	*metrics_value(metrics, METRIC_SOURCE_RECORDS, "topic") = 100;
	for (int i = 0; i < 40; i++) {
		char id[8];
		snprintf(id, sizeof id, "%d", i);
		*metrics_value(metrics, METRIC_FRESHNESS, "topic", id) = i;
		*metrics_value(metrics, METRIC_LAG, "topic", id) = 100 - i;
	}
	return metrics;
}

static void draw(struct buf *out, const struct top_look *before, const struct top_look *now, bool colour,
        unsigned width, unsigned height)
{
	struct top_frame frame = {.now = now,
	        .before = before,
	        .url = "http://x",
	        .colour = colour,
	        .width = width,
	        .height = height};
	buf_init(out, 0);
	top_draw(&frame, out);
}

static void rates_are_of_the_time_between_two_looks(void **state)
{
	struct metrics *metrics = sample();
	struct top_look before, now;
	struct buf out;
	(void)state;
	look(&before, metrics, status, 0);
	*metrics_value(metrics, METRIC_SOURCE_RECORDS, "topic") += 25;
	*metrics_value(metrics, METRIC_PAUSED, "upstream") += 1;
	for (int i = 0; i < 100; i++)
		metrics_observe(
		        metrics_histogram(metrics, METRIC_HTTP_DURATION, "wiki \"a\\b\""), i < 90 ? 0.2 : 3);
	look(&now, metrics, status, 2000);
	draw(&out, &before, &now, false, 120, 0);
	static const char *const shown[] = {"take            12.5",
	        "intake stands still: upstream, 50 % of the time", "wiki \"a\\b\"", "open", "3.8 s",
	        "job   running   up 16 min 42 s   millrace 1.0.0", "fresh 39 s",
	        "0123456789ab   loaded 2026-11-22T13:26:28Z   1 state   x.lua",
	        "the last reload failed: x.lua:3: ?[31mno", "       100        0 s"};
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (strstr(out.data, shown[i]) == NULL)
			fail_msg("%s is not in\n%s", shown[i], out.data);
	assert_null(strchr(out.data, '\033'));
	buf_free(&out);
	top_look_free(&before);
	top_look_free(&now);
	metrics_close(metrics);
}

static void it_fits_whatever_terminal_it_gets(void **state)
{
	struct metrics *metrics = sample();
	struct top_look now;
	(void)state;
	look(&now, metrics, status, 0);
	for (unsigned width = 1; width < 130; width += 13)
		for (unsigned height = 1; height < 70; height += 3) {
			struct buf out;
			unsigned lines = 0;
			draw(&out, &now, &now, false, width, height);
			for (const char *at = out.data, *end; (end = strchr(at, '\n')); at = end + 1, lines++)
				assert_true((size_t)(end - at) <= width);
			assert_true(lines <= height);
			buf_free(&out);
		}
	struct buf out;
	draw(&out, &now, &now, true, 80, 24);
	assert_non_null(strstr(out.data, "\033[1;32mrunning\033[0m"));
	assert_non_null(strstr(out.data, "more"));
	buf_free(&out);
	top_look_free(&now);
	metrics_close(metrics);
}

static void what_no_engine_answers_is_refused(void **state)
{
	static const char *const wrong[][2] = {{"", "{}"}, {"millrace_x 1\n", ""}, {"<html>", "{}"},
	        {"millrace_x 1\n", "[]"}, {"millrace_x one\n", "{}"}, {"x{a=\"b} 1\n", "{}"},
	        {"x{a=b} 1\n", "{}"}};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct buf texts[2];
		struct top_look one;
		top_look_init(&one);
		for (int j = 0; j < 2; j++) {
			buf_init(&texts[j], 0);
			buf_append_text(&texts[j], wrong[i][j]);
		}
		if (top_look_read(&one, &texts[0], &texts[1]))
			fail_msg("%s %s", wrong[i][0], wrong[i][1]);
		top_look_free(&one);
		buf_free(&texts[0]);
		buf_free(&texts[1]);
	}
}

static void every_metric_is_read_back_as_it_was_printed(void **state)
{
	struct metrics *metrics = sample();
	struct metrics_text read;
	struct buf text;
	(void)state;
	buf_init(&text, 0);
	metrics_print(metrics, METRICS_TEXT, &text);
	assert_true(metrics_text_read(&read, text.data, text.size));
	assert_true(
	        metrics_text_sum(&read, "millrace_kafka_consumer_lag_records", NULL, NULL) == 40 * 100 - 780);
	assert_true(metrics_text_sum(&read, "millrace_kafka_consumer_lag_records", "partition", "7") == 93);
	assert_true(metrics_text_sum(&read, "millrace_http_concurrency_limit", "upstream", "wiki \"a\\b\"") ==
	            64);
	assert_true(isnan(metrics_text_quantile(
	        &read, NULL, "millrace_http_request_duration_seconds", NULL, NULL, .5)));
	metrics_text_free(&read);
	buf_free(&text);
	metrics_close(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rates_are_of_the_time_between_two_looks),
	        cmocka_unit_test(it_fits_whatever_terminal_it_gets),
	        cmocka_unit_test(what_no_engine_answers_is_refused),
	        cmocka_unit_test(every_metric_is_read_back_as_it_was_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
