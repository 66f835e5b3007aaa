/* Lines on stderr, caught through a pipe. */
#include "log.h"
#include "clock.h"
#include "mem.h"
#include <pthread.h>
#include <fcntl.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Catches what goes to stderr from catch_stderr to caught. */
static int real_stderr = -1, reader = -1;

static void catch_stderr(void)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	fcntl(fds[1], F_SETPIPE_SZ, 1024 * 1024);
	real_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
}

/* All that was written; valid until the next catch. */
static const char *caught(void)
{
	static char text[1024 * 1024];
	size_t size = 0;
	ssize_t got;
	dup2(real_stderr, STDERR_FILENO); /* the last writer: what follows it is the end */
	close(real_stderr);
	while ((got = read(reader, text + size, sizeof text - 1 - size)) > 0)
		size += (size_t)got;
	close(reader);
	text[size] = '\0';
	return text;
}

static size_t lines_in(const char *text)
{
	size_t lines = 0;
	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static bool has(const char *text, const char *word)
{
	return strstr(text, word) != NULL;
}

static void a_json_line_has_the_fields_of_ecs(void **state)
{
	(void)state;
	log_init(LOG_JSON, LOG_INFO, "page-enrich");
	catch_stderr();
	log_warn("source", "partition %d is \"late\"\n", 3);
	const char *line = caught();
	assert_memory_equal(line, "{\"@timestamp\":\"20", 17);
	assert_true(
	        has(line, "Z\",\"log.level\":\"warn\",\"log.logger\":\"source\","
	                  "\"message\":\"partition 3 is \\\"late\\\"\\n\",\"service.name\":\"page-enrich\","
	                  "\"ecs.version\":\"1.11.0\"}\n"));
	assert_int_equal(lines_in(line), 1);
}

static void without_a_terminal_auto_is_json(void **state)
{
	(void)state;
	catch_stderr();
	log_init(LOG_AUTO, LOG_INFO, "test");
	log_info("main", "hello");
	assert_int_equal(caught()[0], '{');
}

static void a_text_line_moves_no_terminal(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_INFO, "test");
	catch_stderr();
	log_info("main", "bell \a and \033[31mred\177");
	const char *line = caught();
	assert_string_equal(line + 8, " info  main: bell ? and ?[31mred?\n");
}

static void a_logfmt_line_quotes_its_message(void **state)
{
	(void)state;
	log_init(LOG_LOGFMT, LOG_INFO, "test");
	catch_stderr();
	log_error("sink", "a \"b\"");
	const char *line = caught();
	assert_memory_equal(line, "ts=20", 5);
	assert_true(has(line, "Z level=error logger=sink msg=\"a \\\"b\\\"\"\n"));
}

static void below_the_level_nothing_is_said_or_counted(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_WARN, "test");
	uint64_t infos = log_lines(LOG_INFO), warns = log_lines(LOG_WARN), debugs = log_lines(LOG_DEBUG);
	catch_stderr();
	log_debug("main", "no");
	log_info("main", "no");
	log_warn("main", "yes");
	log_set_level(LOG_DEBUG);
	log_debug("main", "now");
	assert_int_equal(lines_in(caught()), 2);
	assert_int_equal(log_lines(LOG_INFO), infos);
	assert_int_equal(log_lines(LOG_WARN), warns + 1);
	assert_int_equal(log_lines(LOG_DEBUG), debugs + 1);
}

static void levels_are_read_by_name(void **state)
{
	(void)state;
	enum log_level level = LOG_DEBUG;
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_ERROR);
	assert_true(log_level_parse("info", &level));
	assert_int_equal(level, LOG_INFO);
	assert_false(log_level_parse("INFO", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_INFO);
}

static void repeats_are_left_out_and_counted(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_INFO, "test");
	uint64_t before = log_suppressed();
	struct log_site site = {0, 0};
	catch_stderr();
	for (int i = 0; i < 5; i++)
		log_write(LOG_WARN, &site, "main", "again");
	site.last -= 10000; /* ten seconds later */
	log_write(LOG_WARN, &site, "main", "again");
	log_write(LOG_WARN, &site, "main", "again");
	site.last -= 10000;
	log_write(LOG_WARN, &site, "main", "again");
	const char *text = caught();
	assert_int_equal(lines_in(text), 3);
	assert_true(has(text, "main: again\n"));
	assert_true(has(text, "main: again (and 4 more like it)\n"));
	assert_true(has(text, "main: again (and 1 more like it)\n"));
	assert_int_equal(log_suppressed(), before + 5);
}

static void each_place_is_throttled_for_itself(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_INFO, "test");
	catch_stderr();
	for (int i = 0; i < 3; i++) {
		log_throttled(LOG_WARN, "main", "here %d", i);
		log_throttled(LOG_WARN, "main", "there %d", i);
	}
	const char *text = caught();
	assert_int_equal(lines_in(text), 2);
	assert_true(has(text, "here 0") && has(text, "there 0"));
}

static void what_is_below_the_level_does_not_use_up_the_throttle(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_INFO, "test");
	struct log_site site = {0, 0};
	catch_stderr();
	log_write(LOG_DEBUG, &site, "main", "quiet");
	log_write(LOG_WARN, &site, "main", "loud");
	assert_int_equal(lines_in(caught()), 1);
}

static void a_huge_message_is_cut_between_characters(void **state)
{
	(void)state;
	char *message = mem_alloc(100001);
	log_init(LOG_JSON, LOG_INFO, "test");
	for (size_t i = 0; i < 99999; i += 3)
		memcpy(message + i, "\xe2\x82\xac", 3);
	message[99999] = '\0';
	message[1] = 'x'; /* one mistake early does not cut it there */
	catch_stderr();
	log_info("main", "%s", message);
	const char *line = caught();
	assert_in_range(strlen(line), 16000, 17000);
	assert_true(has(line, "\xe2\x82\xac...\""));
	mem_free(message);
}

static void a_status_stays_below_the_lines_that_go_by(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_INFO, "test");
	catch_stderr();
	log_status("1 of 2");
	log_info("test", "a line");
	log_status("2 of 2");
	log_status("");
	log_info("test", "another");
	const char *text = caught();
	assert_int_equal(strncmp(text, "\r\033[K1 of 2\r\033[K", 14), 0);
	assert_true(has(text, "test: a line\n1 of 2\r\033[K2 of 2\r\033[K"));
	assert_true(has(text, "test: another\n"));
	assert_int_equal(lines_in(text), 2);
}

static void *shout(void *name)
{
	for (int i = 0; i < 500; i++)
		log_info(name, "a line that must stay whole");
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	(void)state;
	pthread_t threads[2];
	log_init(LOG_TEXT, LOG_INFO, "test");
	uint64_t before = log_lines(LOG_INFO);
	catch_stderr();
	pthread_create(&threads[0], NULL, shout, "one");
	pthread_create(&threads[1], NULL, shout, "two");
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	const char *text = caught();
	size_t whole = 0;
	for (const char *at = text; (at = strstr(at, ": a line that must stay whole\n")); at++)
		whole++;
	assert_int_equal(whole, 1000);
	assert_int_equal(lines_in(text), 1000);
	assert_int_equal(log_lines(LOG_INFO), before + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_json_line_has_the_fields_of_ecs),
	        cmocka_unit_test(without_a_terminal_auto_is_json),
	        cmocka_unit_test(a_text_line_moves_no_terminal),
	        cmocka_unit_test(a_logfmt_line_quotes_its_message),
	        cmocka_unit_test(below_the_level_nothing_is_said_or_counted),
	        cmocka_unit_test(levels_are_read_by_name),
	        cmocka_unit_test(repeats_are_left_out_and_counted),
	        cmocka_unit_test(each_place_is_throttled_for_itself),
	        cmocka_unit_test(what_is_below_the_level_does_not_use_up_the_throttle),
	        cmocka_unit_test(a_huge_message_is_cut_between_characters),
	        cmocka_unit_test(a_status_stays_below_the_lines_that_go_by),
	        cmocka_unit_test(lines_of_threads_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
