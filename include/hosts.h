/* The hosts of one upstream that somebody asks or that are paused, and how long they were. Pure.
 *
 * A host lives while it has users or is paused. Names are compared without case; NULL is the upstream's own
 * host. */
#ifndef MILLRACE_HOSTS_H
#define MILLRACE_HOSTS_H

#include "heap.h"
#include "list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host {
	char *name;         /* NULL = the upstream's own */
	struct list parked; /* what waits for the end of the pause: the user's */
	size_t users;
	int64_t since, until; /* of the present pause, steady ms; meaningless when there is none */
	int64_t paused_ms;    /* all pauses before this one */
	struct host *next;    /* in its bucket */
	struct heap_node node;
};

struct hosts {
	struct host **buckets;
	size_t bucket_count, count;
	struct heap paused; /* by until */
};

void hosts_init(struct hosts *hosts);
void hosts_free(struct hosts *hosts); /* nobody may use one any more */
/* The host of that name, made when it is new, with one user more. */
struct host *hosts_take(struct hosts *hosts, const char *name);
void hosts_give(struct hosts *hosts, struct host *host); /* one user less; may free it */
/* Pauses it until then; a longer pause stays as it is. Answers by how many ms the pause grew. */
int64_t hosts_pause(struct hosts *hosts, struct host *host, int64_t until, int64_t now);
/* A host whose pause is over, with one user more (hosts_give it), or NULL: call until NULL. */
struct host *hosts_wake(struct hosts *hosts, int64_t now);
int64_t hosts_due(const struct hosts *hosts); /* when the next pause is over, -1 = none is paused */
bool host_is_paused(const struct host *host);
int64_t host_paused_ms(const struct host *host, int64_t now); /* in all, up to now */

#endif
