/* SPDX-License-Identifier: Apache-2.0 */
/* An echo over a vchan: the server in the stub domain, the client in dom0. */
#include <libxenvchan.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "probe.h"

#define PATH	 "data/probe"
#define ROOM	 16384
#define WARM_UP	 10
#define MESSAGE	 64
#define COST_MAX 6
#define TOLD_MAX 2

/* Waits in poll(), as the manager does; 0 when the client is gone. */
static int wait_for(struct libxenvchan *v, int (*ready)(struct libxenvchan *v))
{
	struct pollfd p = {.fd = libxenvchan_fd_for_select(v), .events = POLLIN};

	while (!ready(v)) {
		if (libxenvchan_is_open(v) == 0 || poll(&p, 1, 20000) <= 0)
			return 0;
		libxenvchan_wait(v);
	}
	return 1;
}

static unsigned int echo(struct libxenvchan *v, struct probe_figures *warm)
{
	static char buf[ROOM];
	unsigned int n = 0;
	int len;

	while (wait_for(v, libxenvchan_data_ready)) {
		len = libxenvchan_read(v, buf, sizeof(buf));
		if (len <= 0 || libxenvchan_send(v, buf, (size_t)len) != len)
			break;
		if (++n == WARM_UP)
			(void)probe_figures(warm);
	}
	return n;
}

static int is_connected(struct libxenvchan *v)
{
	return libxenvchan_is_open(v) == 1;
}

void probe_vchan(void)
{
	struct libxenvchan *v = libxenvchan_server_init(NULL, 0, PATH, ROOM, ROOM);
	struct probe_figures a = {0}, b = {0};
	unsigned int n;

	if (!probe_ok(v != NULL, "a vchan server"))
		return;
	v->blocking = 0;
	probe_say("waiting for a client");
	if (!probe_ok(wait_for(v, is_connected), "a client came"))
		return;
	n = echo(v, &a);
	(void)probe_figures(&b);
	libxenvchan_close(v);
	if (!probe_ok(n > WARM_UP, "%u messages", n))
		return;
	n -= WARM_UP;
	probe_say("%.2f hypercalls and %.2f notifications a message",
		  (double)(b.hypercalls - a.hypercalls) / n,
		  (double)(b.notifications - a.notifications) / n);
	probe_ok((b.hypercalls - a.hypercalls) <= (uint64_t)n * COST_MAX,
		 "at most %d hypercalls a message", COST_MAX);
	probe_ok((b.notifications - a.notifications) <= (uint64_t)n * TOLD_MAX,
		 "at most %d notifications a message", TOLD_MAX);
}

int probe_vchan_client(int domid, int count)
{
	char path[64], out[ROOM / 2], in[ROOM / 2];
	struct libxenvchan *v = NULL;

	snprintf(path, sizeof(path), "/local/domain/%d/" PATH, domid);
	for (int i = 0; !v && i < 100; i++) {
		v = libxenvchan_client_init(NULL, domid, path);
		if (!v)
			usleep(50000);
	}
	if (!v)
		return 2;
	v->blocking = 1;
	for (int i = 0; i < count; i++) {
		size_t n = i == 3 ? sizeof(out) : MESSAGE;

		memset(out, i, n);
		if (libxenvchan_send(v, out, n) != (int)n ||
		    libxenvchan_recv(v, in, n) != (int)n || memcmp(in, out, n))
			return 3;
	}
	libxenvchan_close(v);
	printf("%d messages\n", count);
	return 0;
}
