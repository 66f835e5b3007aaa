/* Keeps the last good script in the checkpoint folder, so that a slow or absent disk holds nothing up. */
#include "keeper.h"
#include "helper.h"
#include "log.h"
#include "mem.h"

#include <event2/event.h>

enum {
	READ_MS = 5000,
	WRITE_MS = 10000,
	AGAIN_S = 30, /* until what could not be written is tried again */
	CLOSE_MS = 1000,
};

/* The thread's own while it runs. */
struct keeping {
	struct keeper *keeper;
	char *dir, *group;
	struct lastgood *good; /* to be written; NULL = it is read, into `good` */
	bool reads, written;
	struct err err;
};

struct keeper {
	struct event_base *base;
	struct helper *helper;
	char *dir, *group;
	struct lastgood *wanted; /* to be there; NULL = it is */
	struct keeping *answer;  /* of a read */
	struct event *again;
	bool busy, reading, closing;
};

static void run_keeping(void *context)
{
	struct keeping *keeping = context;
	if (keeping->reads)
		keeping->good = lastgood_read(keeping->dir, keeping->group, &keeping->err);
	else
		keeping->written = lastgood_write(keeping->dir, keeping->group, keeping->good, &keeping->err);
}

static void keeping_free(struct keeping *keeping)
{
	lastgood_free(keeping->good);
	mem_free(keeping->dir);
	mem_free(keeping->group);
	mem_free(keeping);
}

static struct keeping *keeping_new(struct keeper *keeper)
{
	struct keeping *keeping = mem_zalloc(1, sizeof *keeping);
	keeping->keeper = keeper;
	keeping->dir = mem_strdup(keeper->dir);
	keeping->group = mem_strdup(keeper->group);
	return keeping;
}

static void begin_write(struct keeper *keeper);

static void try_again_later(struct keeper *keeper)
{
	struct timeval after = {.tv_sec = AGAIN_S};
	event_add(keeper->again, &after);
}

static void on_written(void *context, bool late)
{
	struct keeping *keeping = context;
	struct keeper *keeper = keeping->keeper;
	if (late) { /* nothing else is written until the disk has answered */
		log_warn("reload", "the last good script is not written yet: %s does not answer",
		        keeping->dir);
		return;
	}
	keeper->busy = false;
	if (!keeping->written) {
		log_warn("reload", "the last good script could not be written: %s", keeping->err.text);
		if (keeper->wanted == NULL) {
			keeper->wanted = keeping->good;
			keeping->good = NULL;
		}
		try_again_later(keeper);
	} else if (keeper->wanted) {
		begin_write(keeper);
	}
	keeping_free(keeping);
}

static void forget_written(void *context)
{
	struct keeping *keeping = context;
	struct keeper *keeper = keeping->keeper;
	keeper->busy = false;
	if (!keeping->written && keeper->wanted == NULL) {
		keeper->wanted = keeping->good;
		keeping->good = NULL;
	}
	if (keeper->wanted && !keeper->closing)
		try_again_later(keeper);
	keeping_free(keeping);
}

static void begin_write(struct keeper *keeper)
{
	if (keeper->busy || keeper->wanted == NULL)
		return;
	struct keeping *keeping = keeping_new(keeper);
	keeping->good = keeper->wanted;
	keeper->wanted = NULL;
	keeper->busy = true;
	helper_submit(keeper->helper, &(struct helper_job){.name = "writing the last good script",
	                                      .context = keeping,
	                                      .run = run_keeping,
	                                      .done = on_written,
	                                      .forget = forget_written,
	                                      .deadline_ms = WRITE_MS});
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	begin_write(context);
}

void keeper_save(struct keeper *keeper, const struct lastgood *good)
{
	lastgood_free(keeper->wanted);
	keeper->wanted = lastgood_copy(good);
	event_del(keeper->again);
	begin_write(keeper);
}

static void on_read(void *context, bool late)
{
	struct keeping *keeping = context;
	keeping->keeper->reading = false;
	if (late)
		return;
	keeping->keeper->answer = keeping;
}

static void forget_read(void *context)
{
	keeping_free(context);
}

struct lastgood *keeper_read(struct keeper *keeper, struct err *err)
{
	struct keeping *keeping = keeping_new(keeper);
	keeping->reads = keeper->reading = true;
	helper_submit(keeper->helper, &(struct helper_job){.name = "reading the last good script",
	                                      .context = keeping,
	                                      .run = run_keeping,
	                                      .done = on_read,
	                                      .forget = forget_read,
	                                      .deadline_ms = READ_MS});
	while (keeper->reading)
		event_base_loop(keeper->base, EVLOOP_ONCE);
	if (keeper->answer == NULL) {
		err_set(err, "%s does not answer", keeper->dir);
		return NULL;
	}
	struct lastgood *good = keeper->answer->good;
	*err = keeper->answer->err;
	keeper->answer->good = NULL;
	keeping_free(keeper->answer);
	keeper->answer = NULL;
	return good;
}

struct keeper *keeper_open(struct event_base *base, const char *dir, const char *group, struct err *err)
{
	struct helper *helper = helper_open(base, err);
	if (helper == NULL)
		return NULL;
	struct keeper *keeper = mem_zalloc(1, sizeof *keeper);
	keeper->base = base;
	keeper->helper = helper;
	keeper->dir = mem_strdup(dir);
	keeper->group = mem_strdup(group);
	keeper->again = event_new(base, -1, 0, on_again, keeper);
	return keeper;
}

void keeper_close(struct keeper *keeper)
{
	if (keeper == NULL)
		return;
	keeper->closing = true;
	helper_close(keeper->helper, CLOSE_MS);
	event_free(keeper->again);
	lastgood_free(keeper->wanted);
	mem_free(keeper->dir);
	mem_free(keeper->group);
	mem_free(keeper);
}
