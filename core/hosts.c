/* The hosts of one upstream that somebody asks or that are paused, and how long they were. */
#include "hosts.h"
#include "mem.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum { BUCKETS_FIRST = 16 };

static bool ends_sooner(const struct heap_node *a, const struct heap_node *b)
{
	return container_of(a, struct host, node)->until < container_of(b, struct host, node)->until;
}

void hosts_init(struct hosts *hosts)
{
	*hosts = (struct hosts){.bucket_count = BUCKETS_FIRST};
	hosts->buckets = mem_zalloc(BUCKETS_FIRST, sizeof(struct host *));
	heap_init(&hosts->paused, ends_sooner);
}

static void host_free(struct host *host)
{
	assert(list_empty(&host->parked));
	mem_free(host->name);
	mem_free(host);
}

void hosts_free(struct hosts *hosts)
{
	for (size_t i = 0; i < hosts->bucket_count; i++)
		for (struct host *host = hosts->buckets[i], *next; host; host = next) {
			assert(host->users == 0);
			next = host->next;
			host_free(host);
		}
	mem_free(hosts->buckets);
	heap_free(&hosts->paused);
}

/* FNV-1a over the name in lower case. */
static size_t hash(const char *name)
{
	uint64_t value = 14695981039346656037u;
	for (; name && *name; name++) {
		unsigned char c = (unsigned char)*name;
		value = (value ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 1099511628211u;
	}
	return (size_t)(value ^ value >> 32);
}

static bool is_named(const struct host *host, const char *name)
{
	return name && host->name ? strcasecmp(host->name, name) == 0 : name == host->name;
}

static struct host **bucket_of(const struct hosts *hosts, const char *name)
{
	return &hosts->buckets[hash(name) % hosts->bucket_count];
}

static void grow(struct hosts *hosts)
{
	struct hosts old = *hosts;
	hosts->bucket_count *= 2;
	hosts->buckets = mem_zalloc(hosts->bucket_count, sizeof(struct host *));
	for (size_t i = 0; i < old.bucket_count; i++)
		for (struct host *host = old.buckets[i], *next; host; host = next) {
			struct host **bucket = bucket_of(hosts, host->name);
			next = host->next;
			host->next = *bucket;
			*bucket = host;
		}
	mem_free(old.buckets);
}

struct host *hosts_take(struct hosts *hosts, const char *name)
{
	struct host *host = *bucket_of(hosts, name);
	while (host && !is_named(host, name))
		host = host->next;
	if (host == NULL) {
		if (hosts->count >= hosts->bucket_count)
			grow(hosts);
		struct host **bucket = bucket_of(hosts, name);
		host = mem_zalloc(1, sizeof *host);
		host->name = mem_strdup(name);
		list_init(&host->parked, "parked");
		host->next = *bucket;
		*bucket = host;
		hosts->count++;
	}
	host->users++;
	return host;
}

static void forget_unused(struct hosts *hosts, struct host *host)
{
	if (host->users > 0 || host_is_paused(host))
		return;
	struct host **link = bucket_of(hosts, host->name);
	while (*link != host)
		link = &(*link)->next;
	*link = host->next;
	hosts->count--;
	host_free(host);
}

void hosts_give(struct hosts *hosts, struct host *host)
{
	assert(host->users > 0);
	host->users--;
	forget_unused(hosts, host);
}

int64_t hosts_pause(struct hosts *hosts, struct host *host, int64_t until, int64_t now)
{
	int64_t before = host_is_paused(host) && host->until > now ? host->until : now;
	if (until <= before)
		return 0;
	if (host_is_paused(host))
		heap_remove(&hosts->paused, &host->node);
	else
		host->since = now;
	host->until = until;
	heap_push(&hosts->paused, &host->node);
	return until - before;
}

struct host *hosts_wake(struct hosts *hosts, int64_t now)
{
	struct heap_node *node = heap_first(&hosts->paused);
	if (node == NULL)
		return NULL;
	struct host *host = container_of(node, struct host, node);
	if (host->until > now)
		return NULL;
	heap_remove(&hosts->paused, node);
	host->paused_ms += host->until - host->since;
	host->users++;
	return host;
}

int64_t hosts_due(const struct hosts *hosts)
{
	struct heap_node *node = heap_first(&hosts->paused);
	return node ? container_of(node, struct host, node)->until : -1;
}

bool host_is_paused(const struct host *host)
{
	return heap_holds(&host->node);
}

int64_t host_paused_ms(const struct host *host, int64_t now)
{
	if (!host_is_paused(host))
		return host->paused_ms;
	int64_t end = now < host->until ? now : host->until;
	return host->paused_ms + (end > host->since ? end - host->since : 0);
}
