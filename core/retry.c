/* Whether and when a refused call is asked again. */
#include "retry.h"

#include <string.h>
#include <time.h>

enum { WAIT_ASKED_MAX = 600000 }; /* most of a Retry-After that is honoured, ms */

bool retry_status(const struct retry_config *config, int status)
{
	if (config->on_count == 0)
		return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
	for (size_t i = 0; i < config->on_count; i++)
		if (config->on[i] == status)
			return true;
	return false;
}

/* min(cap, base * 2^doublings), without overflow. */
static int64_t window(const struct retry_config *config, unsigned doublings)
{
	int64_t wait = config->base_ms;
	while (doublings-- > 0 && wait < config->cap_ms)
		wait = wait > INT64_MAX / 2 ? config->cap_ms : wait * 2;
	return wait < config->cap_ms ? wait : config->cap_ms;
}

bool retry_in_time(const struct retry_config *config, int64_t submitted, int64_t at)
{
	return config->deadline_ms == 0 || at - submitted <= config->deadline_ms;
}

bool retry_next(const struct retry_config *config, unsigned attempts, int64_t submitted, int64_t now,
        int64_t retry_after_ms, double random, int64_t *wait_ms)
{
	if (attempts >= config->attempts)
		return false;
	int64_t wait = (int64_t)(random * (double)window(config, attempts > 0 ? attempts - 1 : 0));
	int64_t asked = retry_after_ms < WAIT_ASKED_MAX ? retry_after_ms : WAIT_ASKED_MAX;
	if (asked > wait)
		wait = asked;
	if (!retry_in_time(config, submitted, now + wait))
		return false;
	*wait_ms = wait;
	return true;
}

static int64_t parse_seconds(const char *text, size_t size)
{
	int64_t seconds = 0;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		if (seconds < INT64_MAX / 100000)
			seconds = seconds * 10 + (text[i] - '0');
	}
	return size ? seconds * 1000 : -1;
}

static int64_t parse_date(const char *text, int64_t wall)
{
	static const char *const forms[] = {
	        "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate: the one that may be sent */
	        "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
	        "%a %b %e %H:%M:%S %Y",      /* asctime */
	};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = {0};
		const char *rest = strptime(text, forms[i], &tm);
		if (rest == NULL || *rest != '\0')
			continue;
		int64_t wait = (int64_t)timegm(&tm) * 1000 - wall;
		return wait > 0 ? wait : 0;
	}
	return -1;
}

int64_t retry_after(const char *value, int64_t wall)
{
	char text[64];
	if (value == NULL)
		return -1;
	value += strspn(value, " \t");
	size_t size = strlen(value);
	while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
		size--;
	if (size == 0 || size >= sizeof text)
		return -1;
	memcpy(text, value, size);
	text[size] = '\0';
	int64_t wait = parse_seconds(text, size);
	return wait >= 0 ? wait : parse_date(text, wall);
}
