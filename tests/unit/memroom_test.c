/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of domain 0 for what another host sends, and none of it. */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/memroom.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024u * 1024)

static char file[64];

static void have(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void have_mib(uint64_t mib)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "MemTotal:       99999999 kB\nMemFree:        1 kB\n"
		 "MemAvailable:   %" PRIu64 " kB\nBuffers: 7 kB\n",
		 mib * 1024);
	have(text);
}

static void what_the_kernel_says(void **state)
{
	uint64_t bytes;

	have_mib(300);
	assert_int_equal(memroom_read(file, &bytes), 0);
	assert_int_equal(bytes, 300 * MIB);
	have("MemTotal: 5 kB\n");
	assert_int_equal(memroom_read(file, &bytes), -EBADMSG);
	have("MemAvailable: 36028797018963968 kB\n");
	assert_int_equal(memroom_read(file, &bytes), -EBADMSG);
	assert_int_equal(memroom_read("/no/such", &bytes), -ENOENT);
	/* the machine's own */
	assert_int_equal(memroom_read(MEMROOM_FILE, &bytes), 0);
	assert_true(bytes > MIB);
}

static void what_does_not_fit_is_not_begun(void **state)
{
	struct memroom r;

	have_mib(300);
	assert_int_equal(memroom_begin(&r, file, 256, 44 * MIB), 0);
	assert_int_equal(memroom_begin(&r, file, 256, 44 * MIB + 1), -ENOMEM);
	assert_int_equal(memroom_begin(&r, file, 301, 0), -ENOMEM);
	assert_int_equal(memroom_begin(&r, file, 0, UINT64_MAX), -ENOMEM);
	assert_int_equal(memroom_begin(&r, "/no/such", 0, 1), -ENOMEM);
}

/* Of several that come at once each was begun while there was room. */
static void what_others_take_meanwhile_counts(void **state)
{
	uint64_t came = 0;
	struct memroom r;

	have_mib(1000);
	assert_int_equal(memroom_begin(&r, file, 256, 512 * MIB), 0);
	while (came < 64 * MIB) {
		assert_int_equal(memroom_take(&r, 65536), 0);
		came += 65536;
	}
	have_mib(256 + 400);
	while (!memroom_take(&r, 65536))
		came += 65536;
	assert_in_range(came, 64 * MIB, 64 * MIB + MEMROOM_STEP);
	/* it is not begun to fill what is left: nothing more fits until there is room */
	assert_int_equal(memroom_take(&r, 1), -ENOMEM);
	have_mib(1000);
	assert_int_equal(memroom_take(&r, 65536), 0);
}

static void all_of_it_comes(void **state)
{
	struct memroom r;

	have_mib(512);
	assert_int_equal(memroom_begin(&r, file, 256, 20 * MIB + 5), 0);
	for (unsigned int i = 0; i < 20 * 16; i++)
		assert_int_equal(memroom_take(&r, 65536), 0);
	assert_int_equal(memroom_take(&r, 5), 0);
	assert_int_equal(r.left, 0);
}

static int make_file(void **state)
{
	int fd;

	strcpy(file, "/tmp/memroom-XXXXXX");
	fd = mkstemp(file);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static int remove_file(void **state)
{
	return unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_says),
		cmocka_unit_test(what_does_not_fit_is_not_begun),
		cmocka_unit_test(what_others_take_meanwhile_counts),
		cmocka_unit_test(all_of_it_comes),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
