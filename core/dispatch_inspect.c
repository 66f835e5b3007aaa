/* What can be seen of dispatch from outside: its hosts, the worst first, and how much of it is in use. */
#include "dispatch_private.h"

#include <string.h>

static void describe(const struct host *host, int64_t now, struct dispatch_host *seen)
{
	*seen = (struct dispatch_host){.name = host->name,
	        .waiting = host->ready.count,
	        .in_flight = host->calls.count,
	        .backing_off = host->resting.count,
	        .failures = host->failures,
	        .troubled_ms = host->troubled < 0 ? -1 : now - host->troubled};
	if (host_is_paused(host) && host->until > now)
		seen->paused_ms = host->until - now;
}

static bool is_worse(const struct dispatch_host *one, const struct dispatch_host *two)
{
	if ((one->paused_ms > 0) != (two->paused_ms > 0))
		return one->paused_ms > 0;
	if (one->failures != two->failures)
		return one->failures > two->failures;
	if (one->troubled_ms != two->troubled_ms)
		return one->troubled_ms > two->troubled_ms;
	return one->waiting + one->in_flight + one->backing_off >
	       two->waiting + two->in_flight + two->backing_off;
}

/* Among the `count` that are there, sorted; the last one goes when there is no room. */
static size_t put(struct dispatch_host *hosts, size_t count, size_t most, const struct dispatch_host *host)
{
	size_t at = count;
	while (at > 0 && is_worse(host, &hosts[at - 1]))
		at--;
	if (at == most)
		return count;
	size_t behind = (count < most ? count : most - 1) - at;
	memmove(&hosts[at + 1], &hosts[at], behind * sizeof *hosts);
	hosts[at] = *host;
	return count < most ? count + 1 : count;
}

size_t dispatch_hosts(
        const struct dispatch *dispatch, int64_t now, struct dispatch_host *hosts, size_t most, size_t *all)
{
	size_t count = 0;
	*all = 0;
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		const struct upstream *upstream = &dispatch->upstreams[i];
		*all += hosts_count(&upstream->hosts);
		hosts_each(&upstream->hosts, node, after)
		{
			struct dispatch_host seen;
			describe(host_of(node), now, &seen);
			seen.upstream = upstream->config->name;
			count = put(hosts, count, most, &seen);
		}
	}
	return count;
}

double dispatch_occupied(const struct dispatch *dispatch)
{
	double in_flight = 0, limit = 0;
	for (size_t i = 0; i < dispatch->config.upstream_count; i++) {
		in_flight += dispatch->upstreams[i].limiter.in_flight;
		limit += dispatch->upstreams[i].limiter.concurrency;
	}
	if (limit <= 0)
		return 0;
	return in_flight < limit ? in_flight / limit : 1;
}
