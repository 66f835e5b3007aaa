/* The hosts of one upstream that somebody asks or asked lately, and for how long each stood still. Pure.
 *
 * A host lives while it has users, and HOSTS_REMEMBERED_MS after the last one (not when there are more than
 * HOSTS_IDLE_MAX such). It stands still while it is paused, and all of them do while they are held. Names are
 * compared without case; NULL is the upstream's own host. */
#ifndef MILLRACE_HOSTS_H
#define MILLRACE_HOSTS_H

#include "breaker.h"
#include "heap.h"
#include "list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOSTS_REMEMBERED_MS = BREAKER_WINDOW_MS, HOSTS_IDLE_MAX = 4096 };

struct lookup;

struct host {
	char *name; /* NULL = the upstream's own */
	size_t users;
	int64_t until; /* of the present pause, steady ms; meaningless when there is none */
	/* The user's: */
	struct heap ready;      /* lookups that may be sent, by age */
	struct heap apart;      /* of them, by age: those that share no call */
	struct heap full;       /* batches that make a call as they are, by their oldest */
	struct lookup *next_up; /* the one of ready that is sent next; NULL: all of them gather */
	int64_t gathered;       /* until when, while in the upstream's gathering */
	struct heap_node gathering;
	bool overdue;        /* they gathered for long enough */
	size_t batch_bytes;  /* that a shared answer is known to have room for */
	struct list resting; /* lookups that back off */
	struct list calls;   /* in flight */
	unsigned failures;   /* calls that failed since the last good one */
	uint64_t failed;     /* number of the latest of them, 0 = none */
	bool fails_at_large; /* two of them had no lookup in common, or did not reach it */
	int64_t troubled;    /* when the first pause or failure since the last good answer was, -1 = none */
	struct breaker_window window;
	struct heap_node turn; /* among the hosts that have a lookup to send */
	/* Private to hosts.c: */
	int64_t still_since; /* of the present standstill, -1 = there is none */
	int64_t still_ms;    /* all standstills before this one */
	int64_t idle_since;
	struct host *next;    /* in its bucket */
	struct list_node all; /* in hosts.all */
	struct list_node idle;
	struct heap_node node; /* in hosts.paused */
};

struct hosts {
	struct host **buckets;
	size_t bucket_count;
	struct list all;
	struct list idle;   /* without users, the one that was given back first in front */
	struct heap paused; /* by until */
	bool held;
	bool (*before)(const struct heap_node *a, const struct heap_node *b);
};

/* before: the order of host.ready. */
void hosts_init(struct hosts *hosts, bool (*before)(const struct heap_node *a, const struct heap_node *b));
void hosts_free(struct hosts *hosts); /* nobody may use one any more */
/* The host of that name, made when it is new, with one user more. */
struct host *hosts_take(struct hosts *hosts, const char *name, int64_t now);
void hosts_give(struct hosts *hosts, struct host *host, int64_t now); /* one user less */
void hosts_forget(struct hosts *hosts, int64_t now); /* those that nobody has used for long; may free them */
size_t hosts_count(const struct hosts *hosts);
#define hosts_each(hosts, node, after) list_each (&(hosts)->all, node, after)
#define host_of(node) container_of(node, struct host, all)
/* Pauses it until then; a longer pause stays as it is. Answers by how many ms the pause grew. */
int64_t hosts_pause(struct hosts *hosts, struct host *host, int64_t until, int64_t now);
/* A host whose pause is over, or NULL: call until NULL. */
struct host *hosts_wake(struct hosts *hosts, int64_t now);
int64_t hosts_due(const struct hosts *hosts); /* when the next pause is over, -1 = none is paused */
/* All of them stand still from now on, until they are let go; O(hosts). */
void hosts_hold(struct hosts *hosts, int64_t now);
void hosts_let_go(struct hosts *hosts, int64_t now);
bool host_is_paused(const struct host *host);
/* For how long it stood still in all, up to now; what was both paused and held counts once. */
int64_t hosts_still_ms(const struct hosts *hosts, const struct host *host, int64_t now);

#endif
