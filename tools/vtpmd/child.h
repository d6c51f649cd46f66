/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that vtpmd runs: the managers of process placement, xl, and vtpmctl. */
#ifndef VTPMD_CHILD_H
#define VTPMD_CHILD_H

#include "include/compiler.h"
#include "lib/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

/* status as of waitpid(2) */
typedef void child_done(void *ctx, int status);

#define CHILD_FDS 2u

struct child_start {
	char *const *argv;
	const int *fds; /* fd_count of them become file descriptors 3, 4, ... */
	unsigned int fd_count;
	int out;    /* becomes standard output and error; -1: vtpmd's own */
	bool bound; /* killed when vtpmd ends, however it does */
	child_done *done;
	void *ctx;
};

int __must_check child_init(struct event_base *base);
/* done is called from the loop once the child has ended. */
int __must_check child_spawn(const struct child_start *s, pid_t *pid);
/* Forgets all. */
void child_end(void);
/* Drops the callback; the child is still reaped. */
void child_forget(pid_t pid);

/* Writes "UID:GID" of the user that managers and vtpm-crb become.  -ENOENT, -EPERM */
int __must_check child_user(const char *name, char *out, size_t size, struct error *e);

#endif
