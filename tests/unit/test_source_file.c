/* JSON lines of a descriptor, as records of one partition. */
#include "source.h"
#include "mem.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A source over bytes that the test writes, and what it handed over: "OFFSET:VALUE|...". */
struct fixture {
	struct event_base *base;
	struct source *source;
	int fd, writer; /* writer -1 = a file */
	struct buf got;
	size_t messages, taken, failed;
	size_t room; /* messages that may still be taken */
	struct partition *partition;
};

static bool on_room(void *context)
{
	struct fixture *f = context;
	return f->messages < f->room;
}

static void on_message(void *context, const struct source_message *message)
{
	struct fixture *f = context;
	assert_ptr_equal(message->partition, f->partition);
	assert_null(message->key.data);
	assert_true(message->timestamp > 1500000000000);
	f->messages++;
	buf_printf(&f->got, "%lld:", (long long)message->offset);
	buf_append(&f->got, message->value.data, message->value.size);
	buf_append_byte(&f->got, '|');
}

static void on_taken(void *context, struct partition *partition)
{
	struct fixture *f = context;
	assert_int_equal(f->messages, 0);
	assert_int_equal(partition->state, PARTITION_READING);
	assert_string_equal(partition->topic, "events");
	assert_int_equal(partition->id, 0);
	f->partition = partition;
	f->taken++;
}

static void on_failed(void *context, const char *why)
{
	size_t *failed = context;
	assert_non_null(strstr(why, "events"));
	++*failed;
}

static void open_source(struct fixture *f, size_t max_line)
{
	const struct source_handlers handlers = {.context = f,
	        .room = on_room,
	        .message = on_message,
	        .taken = on_taken,
	        .failed = on_failed,
	        .failed_context = &f->failed};
	f->source = source_file_open(f->base, f->fd, "events", max_line, &handlers);
	assert_int_equal(f->taken, 0);
}

static void open_pipe(struct fixture *f, size_t max_line)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	f->fd = fds[0];
	f->writer = fds[1];
	open_source(f, max_line);
}

static void open_text(struct fixture *f, const void *text, size_t size, size_t max_line)
{
	char path[] = "/tmp/test_source_file.XXXXXX";
	f->fd = mkstemp(path);
	assert_true(f->fd >= 0);
	unlink(path);
	assert_int_equal(write(f->fd, text, size), size);
	lseek(f->fd, 0, SEEK_SET);
	open_source(f, max_line);
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->writer, text, strlen(text)), strlen(text));
}

static void hang_up(struct fixture *f)
{
	close(f->writer);
	f->writer = -1;
}

static bool pump(struct fixture *f)
{
	return f->source->verbs->pump(f->source);
}

static void assert_got(struct fixture *f, const char *expected)
{
	assert_string_equal(f->got.data ? f->got.data : "", expected);
	buf_clear(&f->got);
}

static bool finished(struct fixture *f)
{
	return f->source->verbs->finished(f->source);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof *f);
	f->base = event_base_new();
	f->fd = f->writer = -1;
	f->room = SIZE_MAX;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	assert_true(f->source->verbs->close(f->source));
	f->source->verbs->destroy(f->source);
	event_base_free(f->base);
	close(f->fd);
	if (f->writer >= 0)
		close(f->writer);
	buf_free(&f->got);
	mem_free(f);
	return 0;
}

static void lines_are_records_and_numbers_are_offsets(void **state)
{
	struct fixture *f = *state;
	open_text(f, "{\"a\":1}\n{}\nlast", 15, 100);
	assert_false(pump(f));
	assert_got(f, "0:{\"a\":1}|1:{}|2:last|");
	assert_int_equal(f->taken, 1);
	assert_true(f->source->verbs->ready(f->source));
	assert_true(finished(f));
	assert_false(pump(f));
	assert_int_equal(f->messages, 3);
}

static void an_empty_file_is_finished_at_once(void **state)
{
	struct fixture *f = *state;
	open_text(f, "", 0, 100);
	assert_false(finished(f));
	assert_false(pump(f));
	assert_int_equal(f->taken, 1);
	assert_true(finished(f));
}

static void blank_lines_are_counted_but_are_no_records(void **state)
{
	struct fixture *f = *state;
	const char text[] = "\n \t\r\na\n\r\nb\r\n\n";
	open_text(f, text, strlen(text), 100);
	pump(f);
	assert_got(f, "2:a|4:b\r|");
	assert_true(finished(f));
}

static void a_nul_byte_is_a_byte(void **state)
{
	struct fixture *f = *state;
	open_text(f, "a\0b\nc\n", 6, 100);
	pump(f);
	assert_memory_equal(f->got.data, "0:a\0b|1:c|", 10);
}

static void without_room_nothing_is_taken(void **state)
{
	struct fixture *f = *state;
	f->room = 0;
	open_text(f, "a\nb\nc\n", 6, 100);
	assert_false(pump(f));
	assert_got(f, "");
	f->room = 2;
	assert_false(pump(f));
	assert_got(f, "0:a|1:b|");
	assert_false(finished(f));
	f->room = 3;
	pump(f);
	assert_got(f, "2:c|");
	f->room = 4;
	pump(f);
	assert_true(finished(f));
}

static void a_pump_is_bounded_and_says_that_there_is_more(void **state)
{
	struct fixture *f = *state;
	char text[2000];
	for (size_t i = 0; i < sizeof text; i += 2)
		memcpy(text + i, "x\n", 2);
	open_text(f, text, sizeof text, 100);
	assert_true(pump(f));
	assert_int_equal(f->messages, 256);
	size_t pumps = 1;
	while (pump(f))
		pumps++;
	assert_int_equal(pumps, 3);
	assert_int_equal(f->messages, 1000);
	assert_true(finished(f));
}

static void a_long_line_is_cut_and_the_next_is_whole(void **state)
{
	struct fixture *f = *state;
	const char text[] = "12345678\n123456789\n1234567890abcdef\nnext\n";
	open_text(f, text, strlen(text), 8);
	pump(f);
	assert_got(f, "0:12345678|1:12345678|2:12345678|3:next|");
}

static void a_huge_line_holds_no_more_than_its_beginning(void **state)
{
	enum { HUGE_LINE = 1000 * 1000 };
	struct fixture *f = *state;
	char *text = mem_alloc(HUGE_LINE + 6);
	memset(text, 'x', HUGE_LINE);
	memcpy(text + HUGE_LINE, "\nnext\n", 6);
	open_text(f, text, HUGE_LINE + 6, 8);
	mem_free(text);
	while (pump(f))
		;
	assert_got(f, "0:xxxxxxxx|1:next|");
	assert_true(finished(f));
}

static void a_cut_last_line_ends_the_file(void **state)
{
	struct fixture *f = *state;
	open_text(f, "1234567890", 10, 8);
	pump(f);
	assert_got(f, "0:12345678|");
	assert_true(finished(f));
}

static void lines_across_chunks_arrive_whole(void **state)
{
	struct fixture *f = *state;
	struct buf text, expected;
	buf_init(&text, 0);
	buf_init(&expected, 0);
	for (int i = 0; i < 5000; i++) {
		int width = 1 + i * 7919 % 200;
		buf_printf(&text, "%0*d\n", width, i);
		buf_printf(&expected, "%d:%0*d|", i, width, i);
	}
	open_text(f, text.data, text.size, 1000);
	while (pump(f))
		;
	assert_got(f, expected.data);
	buf_free(&text);
	buf_free(&expected);
}

static void a_pipe_is_waited_for_on_the_loop(void **state)
{
	struct fixture *f = *state;
	open_pipe(f, 100);
	assert_false(pump(f));
	assert_int_equal(f->taken, 1);
	assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 1);
	say(f, "a\nb");
	event_base_loop(f->base, EVLOOP_ONCE); /* would hang if nothing woke it */
	assert_false(pump(f));
	assert_got(f, "0:a|");
	say(f, "c\n");
	event_base_loop(f->base, EVLOOP_ONCE);
	pump(f);
	assert_got(f, "1:bc|");
	assert_false(finished(f));
	say(f, "end");
	hang_up(f);
	event_base_loop(f->base, EVLOOP_ONCE);
	pump(f);
	assert_got(f, "2:end|");
	assert_true(finished(f));
}

static void a_full_pipe_does_not_wake_a_loop_without_room(void **state)
{
	struct fixture *f = *state;
	open_pipe(f, 100);
	f->room = 1;
	say(f, "a\nb\n");
	assert_false(pump(f));
	assert_got(f, "0:a|");
	assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
}

static void after_stop_nothing_more_is_taken(void **state)
{
	struct fixture *f = *state;
	open_pipe(f, 100);
	say(f, "a\n");
	pump(f);
	f->source->verbs->stop(f->source);
	say(f, "b\n");
	assert_false(pump(f));
	assert_got(f, "0:a|");
	assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
}

static void what_cannot_be_read_fails_once(void **state)
{
	struct fixture *f = *state;
	f->fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	open_source(f, 100);
	assert_false(pump(f));
	assert_false(pump(f));
	assert_int_equal(f->failed, 1);
}

static void a_device_without_waiting_is_read_too(void **state)
{
	struct fixture *f = *state;
	f->fd = open("/dev/null", O_RDONLY);
	open_source(f, 100);
	assert_false(pump(f));
	assert_true(finished(f));
	assert_int_equal(f->failed, 0);
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        story(lines_are_records_and_numbers_are_offsets),
	        story(an_empty_file_is_finished_at_once),
	        story(blank_lines_are_counted_but_are_no_records),
	        story(a_nul_byte_is_a_byte),
	        story(without_room_nothing_is_taken),
	        story(a_pump_is_bounded_and_says_that_there_is_more),
	        story(a_long_line_is_cut_and_the_next_is_whole),
	        story(a_huge_line_holds_no_more_than_its_beginning),
	        story(a_cut_last_line_ends_the_file),
	        story(lines_across_chunks_arrive_whole),
	        story(a_pipe_is_waited_for_on_the_loop),
	        story(a_full_pipe_does_not_wake_a_loop_without_room),
	        story(after_stop_nothing_more_is_taken),
	        story(what_cannot_be_read_fails_once),
	        story(a_device_without_waiting_is_read_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
