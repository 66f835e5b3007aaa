/* Lines on a descriptor, and what becomes of them when nobody reads or nothing fits. */
#include "sink.h"
#include "mem.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { OUTPUTS = 64 };

struct fixture {
	struct sink_config config;
	struct sink *sink;
	int fd, reader; /* reader -1 = a file */
	struct output outputs[OUTPUTS];
	size_t settled, rooms;
	bool sending;
	struct output *again; /* is sent again from within its settling */
};

static void on_settled(void *context, struct output *output)
{
	struct fixture *f = context;
	assert_false(f->sending);
	f->settled++;
	if (f->again == output) {
		f->again = NULL;
		assert_int_equal(f->sink->verbs->send(f->sink, output), SINK_TAKEN);
	}
}

static void on_room(void *context)
{
	struct fixture *f = context;
	f->rooms++;
}

static void open_sink(struct fixture *f)
{
	const struct sink_handlers handlers = {.context = f, .settled = on_settled, .room = on_room};
	f->sink = sink_file_open(f->fd, &f->config, &handlers);
	assert_true(f->sink->verbs->ready(f->sink));
}

static void open_pipe(struct fixture *f)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	f->reader = fds[0];
	f->fd = fds[1];
	open_sink(f);
}

static void open_file(struct fixture *f)
{
	char path[] = "/tmp/test_sink_file.XXXXXX";
	f->fd = mkstemp(path);
	assert_true(f->fd >= 0);
	unlink(path);
	open_sink(f);
}

static enum sink_sent send_text(struct fixture *f, int index, const char *value, size_t size)
{
	struct output *output = &f->outputs[index];
	output_free(output);
	output->value = mem_dup(value, size);
	output->value_size = value ? size : 0;
	f->sending = true;
	enum sink_sent sent = f->sink->verbs->send(f->sink, output);
	f->sending = false;
	return sent;
}

/* A line of `size` bytes, its end not counted. */
static enum sink_sent send_long(struct fixture *f, int index, size_t size)
{
	char *value = mem_alloc(size);
	memset(value, 'a' + index % 26, size);
	enum sink_sent sent = send_text(f, index, value, size);
	mem_free(value);
	return sent;
}

static void serve(struct fixture *f)
{
	f->sink->verbs->serve(f->sink);
}

static size_t outstanding(struct fixture *f)
{
	return f->sink->verbs->outstanding(f->sink);
}

static void assert_file(struct fixture *f, const char *expected)
{
	char text[1000];
	ssize_t size = pread(f->fd, text, sizeof text - 1, 0);
	assert_true(size >= 0);
	text[size] = '\0';
	assert_string_equal(text, expected);
}

/* Reads what the pipe holds; answers how much that was. */
static size_t drain(struct fixture *f)
{
	static char bytes[1024 * 1024];
	ssize_t size = read(f->reader, bytes, sizeof bytes);
	return size > 0 ? (size_t)size : 0;
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof *f);
	signal(SIGPIPE, SIG_IGN);
	f->fd = f->reader = -1;
	f->config.name = "stdout";
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	f->sink->verbs->close(f->sink);
	for (int i = 0; i < OUTPUTS; i++)
		output_free(&f->outputs[i]);
	close(f->fd);
	if (f->reader >= 0)
		close(f->reader);
	mem_free(f);
	return 0;
}

static void outputs_are_lines_and_settle_on_the_next_serve(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	assert_int_equal(send_text(f, 0, "{\"a\":1}", 7), SINK_TAKEN);
	assert_int_equal(send_text(f, 1, "{}", 2), SINK_TAKEN);
	assert_int_equal(f->outputs[0].state, OUTPUT_SENT);
	assert_int_equal(outstanding(f), 2);
	assert_int_equal(f->sink->verbs->held_bytes(f->sink), 11);
	serve(f);
	assert_file(f, "{\"a\":1}\n{}\n");
	assert_int_equal(f->outputs[0].state, OUTPUT_ACKED);
	assert_int_equal(f->outputs[1].state, OUTPUT_ACKED);
	assert_int_equal(f->settled, 2);
	assert_int_equal(outstanding(f), 0);
	assert_int_equal(f->sink->verbs->held_bytes(f->sink), 0);
}

static void a_tombstone_is_null(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	send_text(f, 0, NULL, 0);
	serve(f);
	assert_file(f, "null\n");
}

static void an_output_is_one_line(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	send_text(f, 0, "{\n\"a\":\n1\n}\n", 11);
	send_text(f, 1, "", 0);
	serve(f);
	assert_file(f, "{ \"a\": 1 } \n\n");
}

static void a_full_pipe_makes_nobody_wait(void **state)
{
	struct fixture *f = *state;
	int taken = 0;
	open_pipe(f);
	while (taken < OUTPUTS && send_long(f, taken, 64 * 1024) == SINK_TAKEN)
		taken++;
	assert_in_range(taken, 2, OUTPUTS - 1);
	serve(f);
	assert_in_range(f->settled, 0, 1);
	assert_int_equal(f->rooms, 0);
	size_t got = 0;
	for (int i = 0; i < 1000 && outstanding(f) > 0; i++) {
		got += drain(f);
		serve(f);
	}
	assert_int_equal(f->rooms, 1);
	assert_int_equal(f->settled, taken);
	assert_int_equal(got + drain(f), taken * (64 * 1024 + 1));
	assert_int_equal(send_long(f, taken, 10), SINK_TAKEN);
}

static void a_pipe_that_takes_bytes_again_wakes_the_loop(void **state)
{
	struct fixture *f = *state;
	open_pipe(f);
	struct event_base *base = event_base_new();
	sink_file_wake(f->sink, base);
	send_long(f, 0, 200 * 1024);
	serve(f);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 1);
	drain(f);
	event_base_loop(base, EVLOOP_ONCE); /* would hang if nothing woke it */
	while (outstanding(f) > 0) {
		serve(f);
		drain(f);
	}
	assert_int_equal(f->outputs[0].state, OUTPUT_ACKED);
	f->sink->verbs->close(f->sink);
	event_base_free(base);
	open_sink(f);
}

static void when_nobody_reads_outputs_come_back(void **state)
{
	struct fixture *f = *state;
	open_pipe(f);
	close(f->reader);
	f->reader = -1;
	send_text(f, 0, "a", 1);
	send_long(f, 1, 100 * 1024);
	assert_int_equal(f->settled, 0);
	serve(f);
	assert_int_equal(f->settled, 2);
	assert_int_equal(f->outputs[0].state, OUTPUT_FAILED);
	assert_int_equal(f->outputs[1].state, OUTPUT_FAILED);
	assert_string_equal(f->outputs[1].error, "cannot write the lines of stdout: Broken pipe");
	assert_int_equal(outstanding(f), 0);
}

static void after_a_failure_lines_go_on_untorn(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small = {10, RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	open_file(f);
	send_text(f, 0, "0000", 4);
	send_text(f, 1, "11111111", 8);
	send_text(f, 2, "2222", 4);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	serve(f);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(f->outputs[0].state, OUTPUT_ACKED);
	assert_int_equal(f->outputs[1].state, OUTPUT_FAILED);
	assert_int_equal(f->outputs[2].state, OUTPUT_FAILED);
	assert_string_equal(f->outputs[2].error, "cannot write the lines of stdout: File too large");
	assert_file(f, "0000\n11111");
	assert_int_equal(send_text(f, 1, "11111111", 8), SINK_TAKEN);
	assert_int_equal(send_text(f, 2, "2222", 4), SINK_TAKEN);
	serve(f);
	assert_file(f, "0000\n11111111\n11111111\n2222\n");
	assert_int_equal(f->outputs[1].state, OUTPUT_ACKED);
	assert_null(f->outputs[1].error);
	assert_int_equal(outstanding(f), 0);
}

static void what_failed_may_be_sent_again_at_once(void **state)
{
	struct fixture *f = *state;
	open_pipe(f);
	close(f->reader);
	f->reader = -1;
	send_text(f, 0, "a", 1);
	send_text(f, 1, "b", 1);
	f->again = &f->outputs[0];
	serve(f);
	assert_int_equal(f->settled, 2);
	assert_int_equal(f->outputs[0].state, OUTPUT_SENT);
	assert_int_equal(outstanding(f), 1);
	serve(f);
	assert_int_equal(f->settled, 3);
}

static void too_large_is_refused(void **state)
{
	struct fixture *f = *state;
	f->config.max_bytes = 1000;
	open_file(f);
	assert_int_equal(send_long(f, 0, 1000), SINK_REFUSED);
	assert_int_equal(f->outputs[0].state, OUTPUT_REFUSED);
	assert_non_null(strstr(f->outputs[0].error, "max_bytes of stdout is 1000"));
	assert_int_equal(send_long(f, 1, 800), SINK_TAKEN);
	serve(f);
	assert_int_equal(f->settled, 1);
}

static void closing_gives_back_what_is_not_written(void **state)
{
	struct fixture *f = *state;
	open_pipe(f);
	send_long(f, 0, 10);
	send_long(f, 1, 300 * 1024);
	f->sink->verbs->close(f->sink);
	assert_int_equal(f->settled, 2);
	assert_int_equal(f->outputs[0].state, OUTPUT_ACKED);
	assert_int_equal(f->outputs[1].state, OUTPUT_FAILED);
	assert_int_equal(fcntl(f->fd, F_GETFL) & O_NONBLOCK, 0);
	open_sink(f);
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        story(outputs_are_lines_and_settle_on_the_next_serve),
	        story(a_tombstone_is_null),
	        story(an_output_is_one_line),
	        story(a_full_pipe_makes_nobody_wait),
	        story(a_pipe_that_takes_bytes_again_wakes_the_loop),
	        story(when_nobody_reads_outputs_come_back),
	        story(after_a_failure_lines_go_on_untorn),
	        story(what_failed_may_be_sent_again_at_once),
	        story(too_large_is_refused),
	        story(closing_gives_back_what_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
