/* Preloaded into the binary under test: fsync hangs as long as the file $HANGING is there. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fsync(int fd)
{
	const char *hanging = getenv("HANGING");
	while (hanging && access(hanging, F_OK) == 0)
		usleep(10000);
	int (*real)(int) = NULL;
	*(void **)&real = dlsym(RTLD_NEXT, "fsync");
	return real(fd);
}
