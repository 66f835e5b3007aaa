/* The time: a steady count for waiting, a wall clock for people and events. */
#include "clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

/* The invented time, where somebody invented one. */
static struct {
	_Atomic bool on;
	_Atomic int64_t now, wall; /* ms */
} invented;

void clock_invent(int64_t wall)
{
	if (!invented.on)
		invented.now = clock_now();
	invented.wall = wall;
	invented.on = true;
}

void clock_skip(int64_t ms)
{
	invented.now += ms;
	invented.wall += ms;
}

bool clock_invented(void)
{
	return invented.on;
}

int64_t clock_now_ns(void)
{
	if (invented.on)
		return invented.now * 1000000;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_now(void)
{
	return clock_now_ns() / 1000000;
}

int64_t clock_wall(void)
{
	if (invented.on)
		return invented.wall;
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void clock_format(int64_t wall, char text[CLOCK_TEXT])
{
	int64_t ms = wall % 1000;
	time_t seconds = (time_t)(wall / 1000);
	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	struct tm tm;
	if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099) {
		snprintf(text, CLOCK_TEXT, "0000-00-00T00:00:00.000Z");
		return;
	}
	snprintf(text, CLOCK_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	        (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
	        (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
	        (unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
}

static bool digits(const char **at, const char *end, int count, int *value)
{
	*value = 0;
	for (int i = 0; i < count; i++, (*at)++) {
		if (*at >= end || **at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (**at - '0');
	}
	return true;
}

static bool expect(const char **at, const char *end, const char *any)
{
	if (*at >= end)
		return false;
	for (; *any; any++)
		if (**at == *any) {
			(*at)++;
			return true;
		}
	return false;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

_Bool clock_parse(const char *text, size_t size, int64_t *wall)
{
	const char *at = text, *end = text + size;
	struct tm tm = {0};
	int year, month, ms = 0, offset = 0;
	if (!digits(&at, end, 4, &year) || !expect(&at, end, "-") || !digits(&at, end, 2, &month) ||
	        !expect(&at, end, "-") || !digits(&at, end, 2, &tm.tm_mday) || !expect(&at, end, "Tt ") ||
	        !digits(&at, end, 2, &tm.tm_hour) || !expect(&at, end, ":") ||
	        !digits(&at, end, 2, &tm.tm_min) || !expect(&at, end, ":") ||
	        !digits(&at, end, 2, &tm.tm_sec))
		return false;
	if (month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > days_in(year, month) ||
	        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	if (expect(&at, end, ".")) {
		int scale = 100, digit, count = 0;
		while (at < end && *at >= '0' && *at <= '9') {
			digit = *at++ - '0';
			ms += digit * scale;
			scale /= 10;
			count++;
		}
		if (count == 0)
			return false;
	}
	if (!expect(&at, end, "Zz")) {
		int sign = at < end && *at == '-' ? -1 : 1, hours, minutes;
		if (!expect(&at, end, "+-") || !digits(&at, end, 2, &hours) || !expect(&at, end, ":") ||
		        !digits(&at, end, 2, &minutes) || hours > 23 || minutes > 59)
			return false;
		offset = sign * (hours * 60 + minutes) * 60;
	}
	if (at != end)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	*wall = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
	return true;
}
