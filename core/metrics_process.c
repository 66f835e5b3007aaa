/* What the process takes of the machine, read from /proc, and what the log has said, as metrics. */
#include "log.h"
#include "metrics.h"
#include "metrics_user.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The text of a small file, cut to fit; "" when it cannot be read. */
static const char *read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return text;
}

/* The moment the machine started, in seconds since the epoch; 0 when it is not told. */
static double boot_time(void)
{
	double time = 0;
	char line[256];
	FILE *file = fopen("/proc/stat", "re");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "btime ", 6) == 0)
			time = strtod(line + 6, NULL);
	if (file)
		fclose(file);
	return time;
}

/* proc(5): behind the name in parentheses, which may itself hold blanks, stand state and then the numbers. */
static void fill_stat(struct metrics *metrics)
{
	enum { UTIME = 11, STIME, STARTTIME = 19, VSIZE, RSS, FIELDS };
	char text[2048];
	double fields[FIELDS] = {0}, ticks = (double)sysconf(_SC_CLK_TCK);
	char *at = strrchr(read_text("/proc/self/stat", text, sizeof text), ')');
	if (at == NULL || at[1] == '\0' || at[2] == '\0')
		return;
	at += 3;
	for (size_t i = 1; i < FIELDS; i++)
		fields[i] = strtod(at, &at);
	*metrics_value(metrics, METRIC_PROCESS_CPU, NULL) = (fields[UTIME] + fields[STIME]) / ticks;
	*metrics_value(metrics, METRIC_PROCESS_VIRTUAL, NULL) = fields[VSIZE];
	*metrics_value(metrics, METRIC_PROCESS_RSS, NULL) = fields[RSS] * (double)sysconf(_SC_PAGESIZE);
	double *start = metrics_value(metrics, METRIC_PROCESS_START, NULL);
	if (*start == 0)
		*start = boot_time() + fields[STARTTIME] / ticks;
}

static void fill_descriptors(struct metrics *metrics)
{
	char text[4096];
	DIR *folder = opendir("/proc/self/fd");
	double count = -1; /* the folder's own */
	struct dirent *entry;
	while (folder && (entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	if (folder) {
		closedir(folder);
		*metrics_value(metrics, METRIC_PROCESS_FDS, NULL) = count;
	}
	const char *limit = strstr(read_text("/proc/self/limits", text, sizeof text), "Max open files");
	if (limit) /* "unlimited" reads as 0 */
		*metrics_value(metrics, METRIC_PROCESS_MAX_FDS, NULL) =
		        strtod(limit + strlen("Max open files"), NULL);
}

static void fill_log(struct metrics *metrics)
{
	*metrics_value(metrics, METRIC_LOG_LINES, "debug") = (double)log_lines(LOG_DEBUG);
	*metrics_value(metrics, METRIC_LOG_LINES, "info") = (double)log_lines(LOG_INFO);
	*metrics_value(metrics, METRIC_LOG_LINES, "warn") = (double)log_lines(LOG_WARN);
	*metrics_value(metrics, METRIC_LOG_LINES, "error") = (double)log_lines(LOG_ERROR);
	*metrics_value(metrics, METRIC_LOG_SUPPRESSED, NULL) = (double)log_suppressed();
}

void metrics_process(struct metrics *metrics)
{
	fill_stat(metrics);
	fill_descriptors(metrics);
	fill_log(metrics);
	if (metrics)
		*metrics_value(metrics, METRIC_USER_DROPPED, NULL) =
		        metrics_user_dropped(metrics_user_of(metrics));
}
