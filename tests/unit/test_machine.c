/* How much memory the process may use, read from a made-up /proc and /sys. */
#include "machine.h"
#include "mem.h"
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/millrace-machine-XXXXXX";

static void put(const char *path, const char *text)
{
	char *full = mem_printf("%s%s", root, path);
	for (char *slash = strchr(full + sizeof root, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	FILE *file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	mem_free(full);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/millrace-machine-XXXXXX");
	return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
	(void)state;
	char *command = mem_printf("rm -rf %s", root);
	int result = system(command);
	mem_free(command);
	return result;
}

static void a_container_of_version_2_sees_its_limit_at_the_root(void **state)
{
	(void)state;
	bool cgroup = false;
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "268435456\n");
	assert_int_equal(machine_memory(root, &cgroup), 268435456);
	assert_true(cgroup);
}

static void the_smallest_limit_from_the_group_up_to_the_root_counts(void **state)
{
	(void)state;
	bool cgroup = false;
	put("/proc/self/cgroup", "0::/pods/one\n");
	put("/sys/fs/cgroup/pods/one/memory.max", "max\n");
	put("/sys/fs/cgroup/pods/memory.max", "134217728\n");
	put("/sys/fs/cgroup/memory.max", "268435456\n");
	assert_int_equal(machine_memory(root, &cgroup), 134217728);
	assert_true(cgroup);
}

static void version_1_has_its_own_folder_and_file(void **state)
{
	(void)state;
	bool cgroup = false;
	put("/proc/self/cgroup", "9:pids:/x\n4:cpu,memory:/docker/abc\n0::/\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "67108864\n");
	assert_int_equal(machine_memory(root, &cgroup), 67108864);
	assert_true(cgroup);
}

static void without_a_limit_it_is_the_machine_itself(void **state)
{
	(void)state;
	bool cgroup = true;
	uint64_t whole = machine_memory(root, &cgroup);
	assert_false(cgroup);
	assert_true(whole > 1 << 20);
	put("/proc/self/cgroup", "nonsense\n\n0:\n4:memory:/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(machine_memory(root, &cgroup) == whole);
	assert_false(cgroup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_container_of_version_2_sees_its_limit_at_the_root, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(
	                the_smallest_limit_from_the_group_up_to_the_root_counts, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(
	                version_1_has_its_own_folder_and_file, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(
	                without_a_limit_it_is_the_machine_itself, make_root, remove_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
