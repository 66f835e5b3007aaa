/* The hosts of one upstream that somebody asks or asked lately, and for how long each stood still. */
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

void hosts_init(struct hosts *hosts, bool (*before)(const struct heap_node *a, const struct heap_node *b))
{
	*hosts = (struct hosts){.bucket_count = BUCKETS_FIRST, .before = before};
	hosts->buckets = mem_zalloc(BUCKETS_FIRST, sizeof(struct host *));
	list_init(&hosts->all, "hosts");
	list_init(&hosts->idle, "idle hosts");
	heap_init(&hosts->paused, ends_sooner);
}

static void host_free(struct hosts *hosts, struct host *host)
{
	assert(host->users == 0 && host->ready.count == 0 && list_empty(&host->resting) &&
	        list_empty(&host->calls));
	list_remove(&hosts->all, &host->all);
	list_remove(&hosts->idle, &host->idle);
	heap_free(&host->ready);
	heap_free(&host->apart);
	heap_free(&host->full);
	mem_free(host->name);
	mem_free(host);
}

void hosts_free(struct hosts *hosts)
{
	hosts_each(hosts, node, after) host_free(hosts, host_of(node));
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

static struct host *make(struct hosts *hosts, const char *name, int64_t now)
{
	if (hosts->all.count >= hosts->bucket_count)
		grow(hosts);
	struct host **bucket = bucket_of(hosts, name);
	struct host *host = mem_zalloc(1, sizeof *host);
	host->name = mem_strdup(name);
	host->still_since = hosts->held ? now : -1;
	host->troubled = -1;
	heap_init(&host->ready, hosts->before);
	list_init(&host->resting, "resting");
	list_init(&host->calls, "calls");
	host->next = *bucket;
	*bucket = host;
	list_append(&hosts->all, &host->all);
	return host;
}

struct host *hosts_take(struct hosts *hosts, const char *name, int64_t now)
{
	struct host *host = *bucket_of(hosts, name);
	while (host && !is_named(host, name))
		host = host->next;
	if (host == NULL)
		host = make(hosts, name, now);
	else if (host->users == 0)
		list_remove(&hosts->idle, &host->idle);
	host->users++;
	return host;
}

void hosts_give(struct hosts *hosts, struct host *host, int64_t now)
{
	assert(host->users > 0);
	if (--host->users > 0)
		return;
	host->idle_since = now;
	list_append(&hosts->idle, &host->idle);
}

static void forget(struct hosts *hosts, struct host *host)
{
	struct host **link = bucket_of(hosts, host->name);
	while (*link != host)
		link = &(*link)->next;
	*link = host->next;
	if (host_is_paused(host))
		heap_remove(&hosts->paused, &host->node);
	host_free(hosts, host);
}

/* A paused one keeps its pause for those who ask it later; of too many idle ones even that goes. */
void hosts_forget(struct hosts *hosts, int64_t now)
{
	for (struct list_node *node = list_first(&hosts->idle), *after; node; node = after) {
		struct host *host = container_of(node, struct host, idle);
		bool many = hosts->idle.count > HOSTS_IDLE_MAX;
		after = list_next(&hosts->idle, node);
		if (!many && now - host->idle_since < HOSTS_REMEMBERED_MS)
			return;
		if (many || !host_is_paused(host))
			forget(hosts, host);
	}
}

size_t hosts_count(const struct hosts *hosts)
{
	return hosts->all.count;
}

static void stand_still(struct host *host, int64_t now)
{
	if (host->still_since < 0)
		host->still_since = now;
}

static void go_on(struct host *host, int64_t now)
{
	host->still_ms += now > host->still_since ? now - host->still_since : 0;
	host->still_since = -1;
}

int64_t hosts_pause(struct hosts *hosts, struct host *host, int64_t until, int64_t now)
{
	int64_t before = host_is_paused(host) && host->until > now ? host->until : now;
	if (until <= before)
		return 0;
	if (host_is_paused(host))
		heap_remove(&hosts->paused, &host->node);
	stand_still(host, now);
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
	if (!hosts->held)
		go_on(host, host->until);
	return host;
}

int64_t hosts_due(const struct hosts *hosts)
{
	struct heap_node *node = heap_first(&hosts->paused);
	return node ? container_of(node, struct host, node)->until : -1;
}

void hosts_hold(struct hosts *hosts, int64_t now)
{
	hosts->held = true;
	hosts_each(hosts, node, after) stand_still(host_of(node), now);
}

void hosts_let_go(struct hosts *hosts, int64_t now)
{
	hosts->held = false;
	hosts_each(hosts, node, after)
	{
		struct host *host = host_of(node);
		if (!host_is_paused(host))
			go_on(host, now);
		else if (host->until < now) /* over while it was held; the heap's order stays true */
			host->until = now;
	}
}

bool host_is_paused(const struct host *host)
{
	return heap_holds(&host->node);
}

int64_t hosts_still_ms(const struct hosts *hosts, const struct host *host, int64_t now)
{
	if (host->still_since < 0)
		return host->still_ms;
	int64_t end = hosts->held || now < host->until ? now : host->until;
	return host->still_ms + (end > host->still_since ? end - host->still_since : 0);
}
