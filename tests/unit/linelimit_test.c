/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that another host can have written into a journal. */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/linelimit.h"

#include <sys/wait.h>
#include <unistd.h>

static unsigned int take_all(const char *host, int64_t now_ms, unsigned int *lasts)
{
	unsigned int n = 0;
	bool last;

	while (n < 1000 && linelimit_take(host, now_ms, &last)) {
		n++;
		*lasts += last;
	}
	return n;
}

static void some_at_once_then_one_in_a_while(void **state)
{
	unsigned int lasts = 0;

	linelimit_begin();
	assert_int_equal(take_all("beta", 5000, &lasts), LINELIMIT_BURST);
	assert_int_equal(lasts, 1);
	assert_int_equal(take_all("beta", 5000 + LINELIMIT_EVERY_MS - 1, &lasts), 0);
	assert_int_equal(take_all("beta", 5000 + LINELIMIT_EVERY_MS, &lasts), 1);
	assert_int_equal(take_all("beta", 5000 + 3 * LINELIMIT_EVERY_MS, &lasts), 2);
	assert_int_equal(take_all("beta", 5000 + 1000LL * LINELIMIT_EVERY_MS, &lasts),
			 LINELIMIT_BURST);
}

static void one_host_takes_no_other_ones(void **state)
{
	unsigned int lasts = 0;

	linelimit_begin();
	assert_int_equal(take_all("beta", 5000, &lasts), LINELIMIT_BURST);
	assert_int_equal(take_all("gamma", 5000, &lasts), LINELIMIT_BURST);
}

/* Each connection is a process. */
static void processes_share_them(void **state)
{
	unsigned int lasts = 0;
	pid_t pid;
	int status;

	linelimit_begin();
	for (int i = 0; i < 4; i++) {
		pid = fork();
		if (!pid)
			_exit((int)take_all("beta", 5000, &lasts));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), i ? 0 : LINELIMIT_BURST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_at_once_then_one_in_a_while),
		cmocka_unit_test(one_host_takes_no_other_ones),
		cmocka_unit_test(processes_share_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
