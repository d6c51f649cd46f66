/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs in a guest: gap FILE keeps in FILE, in ms, the longest time for which the guest stood
 * still.  It looks ten times a second: where processors are emulated an interrupt of a timer
 * may take tens of ms, and a guest that spends its time in them moves four times as slowly.  It
 * touches as little memory as it can, since what a guest writes while it moves is copied again.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_MS 100

/* Since the guest's boot, with what it slept. */
static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	const struct timespec period = {.tv_nsec = PERIOD_MS * 1000000};
	int64_t longest = 0, last = now_ms(), now;
	char text[24];
	int fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
			   : -1;
	int n;

	if (fd < 0) {
		fprintf(stderr, "usage: gap FILE\n");
		return 2;
	}
	for (;; last = now) {
		nanosleep(&period, NULL);
		now = now_ms();
		if (now - last <= longest)
			continue;
		longest = now - last;
		n = snprintf(text, sizeof(text), "%lld\n", (long long)longest);
		if (pwrite(fd, text, (size_t)n, 0) != n)
			return 1;
	}
}
