/* How much memory this process may use, as the kernel tells. */
#ifndef MILLRACE_MACHINE_H
#define MILLRACE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes; *cgroup tells whether a control group's limit says so (v2 memory.max, v1 memory.limit_in_bytes; the
 * smallest from the process's own group up to the root), else it is the machine's whole memory. `root` stands
 * before /proc and /sys: "" but in tests. Never 0. */
uint64_t machine_memory(const char *root, bool *cgroup);

#endif
