/* Answers in place of a network: who gives them is asked at once, they come when they are due. */
#include "http_player.h"
#include "clock.h"
#include "mem.h"

#include <event2/event.h>
#include <stdio.h>

struct playing {
	struct http_player player;
	void (*over)(void *context, struct http_transfer *transfer);
	void *context;
	struct event *timer;
	struct list waiting; /* by due */
};

static struct http_transfer *transfer_of(struct list_node *node)
{
	return container_of(node, struct http_transfer, node);
}

int64_t playing_next(const struct playing *playing)
{
	return list_empty(&playing->waiting) ? -1 : transfer_of(list_first(&playing->waiting))->due;
}

static void arm(struct playing *playing)
{
	int64_t next = playing_next(playing), now = clock_now();
	if (next < 0) {
		event_del(playing->timer);
		return;
	}
	int64_t wait = next > now ? next - now : 0;
	if (clock_invented() && wait > 0)
		wait = 1; /* the loop's owner lets time pass, and the timer counts the real one */
	struct timeval after = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
	event_add(playing->timer, &after);
}

/* An answer that comes too late or is too large is none, as over a network. */
static int64_t limit(struct http_transfer *transfer, int64_t after_ms)
{
	int64_t timeout = transfer->timeout_ms ? transfer->timeout_ms : transfer->upstream->timeout_ms;
	if (timeout > 0 && after_ms >= timeout) {
		transfer->failure = HTTP_TIMEOUT;
		snprintf(transfer->reason, sizeof transfer->reason, "no whole answer in %.3g s",
		        (double)timeout / 1000);
		after_ms = timeout;
	} else if (transfer->failure == HTTP_ANSWERED && transfer->answer.full) {
		transfer->failure = HTTP_TOO_LARGE;
		snprintf(transfer->reason, sizeof transfer->reason, "the answer is larger than max_body");
	}
	transfer->came = transfer->answer.size;
	return after_ms;
}

static void forget_answer(struct http_transfer *transfer)
{
	headers_free(transfer->answer_headers, transfer->answer_header_count);
	transfer->answer_headers = NULL;
	transfer->answer_header_count = 0;
	transfer->status = 0;
	buf_free(&transfer->answer);
}

static void give(struct playing *playing, struct http_transfer *transfer)
{
	bool answered = transfer->failure == HTTP_ANSWERED;
	if (answered && transfer->room && !transfer->room(transfer, transfer->answer.size))
		transfer->failure = HTTP_NO_ROOM;
	if (transfer->failure != HTTP_ANSWERED)
		forget_answer(transfer);
	playing->over(playing->context, transfer);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct playing *playing = context;
	int64_t now = clock_now();
	(void)fd, (void)what;
	while (!list_empty(&playing->waiting) && playing_next(playing) <= now) {
		struct http_transfer *transfer = transfer_of(list_first(&playing->waiting));
		list_remove(&playing->waiting, &transfer->node);
		give(playing, transfer);
	}
	arm(playing);
}

struct playing *playing_open(struct event_base *base, const struct http_player *player,
        void (*over)(void *context, struct http_transfer *transfer), void *context)
{
	struct playing *playing = mem_zalloc(1, sizeof *playing);
	*playing = (struct playing){.player = *player, .over = over, .context = context};
	playing->timer = event_new(base, -1, 0, on_timer, playing);
	list_init(&playing->waiting, "answers that are played");
	return playing;
}

void playing_close(struct playing *playing)
{
	if (playing == NULL)
		return;
	list_each (&playing->waiting, node, after)
		list_remove(&playing->waiting, node);
	event_free(playing->timer);
	mem_free(playing);
}

bool playing_send(struct playing *playing, struct http_transfer *transfer)
{
	int64_t after_ms = playing->player.play(playing->player.context, transfer);
	if (after_ms == HTTP_PLAY_NETWORK)
		return false;
	after_ms = limit(transfer, after_ms);
	struct list_node *where = &playing->waiting.head;
	transfer->elapsed = (double)after_ms / 1000;
	transfer->due = clock_now() + after_ms;
	list_each (&playing->waiting, node, after)
		if (transfer_of(node)->due > transfer->due) {
			where = node;
			break;
		}
	list_insert_before(&playing->waiting, where, &transfer->node);
	arm(playing);
	return true;
}

void playing_cancel(struct playing *playing, struct http_transfer *transfer)
{
	list_remove(&playing->waiting, &transfer->node);
	arm(playing);
}

size_t playing_in_flight(const struct playing *playing)
{
	return playing->waiting.count;
}
