/* What the process really takes: looked at now and then, and what malloc keeps of it is given back. */
#include "resident.h"
#include "log.h"
#include "mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_MS = 100, GIVE_MS = 1000 };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

size_t resident_bytes(void)
{
#ifdef SANITIZED
	return 0;
#else
	char text[128], *at = text;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	strtoull(text, &at, 10); /* proc(5): size, resident, ... in pages */
	return (size_t)strtoull(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
#endif
}

void resident_init(struct resident *resident, size_t limit)
{
	*resident = (struct resident){.limit = limit, .look = resident_bytes, .give_back = mem_give_back};
}

static void tell(struct resident *resident)
{
	if (resident->over && !resident->told)
		log_warn("memory",
		        "the process takes %zu MiB, more than limits.memory (%zu MiB): nothing more is taken "
		        "until "
		        "some of it is given back",
		        resident->bytes >> 20, resident->limit >> 20);
	resident->told = resident->over;
}

bool resident_over(struct resident *resident, int64_t now)
{
	if (resident->limit == 0 || now < resident->look_at)
		return resident->over;
	resident->look_at = now + LOOK_MS;
	resident->bytes = resident->look();
	if (resident->bytes > resident->limit / 2 && now >= resident->give_at) {
		resident->give_at = now + GIVE_MS;
		resident->give_back();
		resident->bytes = resident->look();
	}
	resident->over = resident->bytes > resident->limit;
	tell(resident);
	return resident->over;
}
