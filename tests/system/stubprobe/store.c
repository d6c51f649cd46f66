/* SPDX-License-Identifier: Apache-2.0 */
/* xenstore through the file /dev/xen/xenbus, opened more than once. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <stdint.h>
#include <xenstore.h>
#include <xen/io/xs_wire.h>
#include "backend/xen.h"
#include "probe.h"

static struct xenstore one, two;

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1 && p.revents & POLLIN;
}

static void test_values(void)
{
	char text[64], domid[16], long_value[2001];

	probe_ok(!xenstore_open(&one) && !xenstore_open(&two), "two files at once");
	probe_ok(!xenstore_read(&one, "domid", domid, sizeof(domid)), "we are domain %s",
		 domid);
	probe_ok(!xenstore_write(&one, "data/a", "hello") &&
			 !xenstore_read(&two, "data/a", text, sizeof(text)) &&
			 !strcmp(text, "hello"),
		 "what one writes the other reads");
	probe_ok(xenstore_read(&one, "data/none", text, sizeof(text)) == -ENOENT,
		 "a key that is not there: ENOENT");
	probe_ok(xenstore_write(&one, "/local/domain/0/x", "y") == -EACCES,
		 "a key that is not ours: EACCES");
	memset(long_value, 'v', 2000);
	long_value[2000] = 0;
	probe_ok(!xenstore_write(&two, "data/long", long_value), "2000 bytes");
	for (int i = 0; i < 200; i++)
		if (xenstore_write(&one, "data/b", "1") ||
		    xenstore_read(&two, "data/long", long_value, sizeof(long_value)))
			probe_ok(false, "request %d", i);
	probe_ok(strlen(long_value) == 2000, "400 requests go round the ring");
}

static void test_watches(void)
{
	probe_ok(!xenstore_watch(&one, "data/w") && !xenstore_watch(&two, "data/v"),
		 "each sets a watch");
	while (readable(one.fd, 200))
		(void)!xenstore_changed(&one);
	while (readable(two.fd, 50))
		(void)!xenstore_changed(&two);
	probe_ok(!xenstore_write(&one, "data/v/deep", "1"), "one writes below two's");
	probe_ok(readable(two.fd, 1000) && xenstore_changed(&two) == 1, "two is told");
	probe_ok(!readable(one.fd, 50) && xenstore_changed(&one) == 0, "one is not");
	probe_ok(xenstore_watch(&one, "data/w") == -EEXIST, "the same again: EEXIST");
	for (int i = 0; i < 300; i++)
		(void)!xenstore_write(&one, "data/v/deep", "2");
	probe_ok(readable(two.fd, 1000) && xenstore_changed(&two) == 1,
		 "300 events fit in a page, or are merged");
	probe_ok(!xenstore_unwatch(&two, "data/v") &&
			 !xenstore_write(&one, "data/v", "3"),
		 "unwatch");
	(void)!xenstore_changed(&two);
	probe_ok(!readable(two.fd, 50), "then no more events");
}

/* -errno of writing this header. */
static int send_header(int fd, uint32_t type, uint32_t len, uint32_t tx)
{
	struct xsd_sockmsg h = {.type = type, .req_id = 5, .tx_id = tx, .len = len};

	return write(fd, &h, sizeof(h)) == sizeof(h) ? 0 : -errno;
}

static void test_garbage(void)
{
	char text[64];
	int fd = open("/dev/xen/xenbus", O_RDWR | O_NONBLOCK), n = 0, more[64];

	probe_ok(send_header(fd, XS_READ, 4097, 0) == -EINVAL, "4097 bytes: EINVAL");
	probe_ok(send_header(fd, XS_READ, 0xffffffff, 0) == -EINVAL, "2^32 - 1: EINVAL");
	probe_ok(send_header(fd, XS_RESET_WATCHES, 0, 0) == -EINVAL,
		 "the reset of all watches is refused");
	probe_ok(send_header(fd, XS_DIRECTORY, 0, 77) == -ENOENT,
		 "a transaction that is not its own: ENOENT");
	probe_ok(send_header(fd, XS_WATCH, 0, 0) == -EINVAL, "a watch without a path");
	probe_ok(read(fd, text, 8) == -1 && errno == EAGAIN, "nothing to read: EAGAIN");
	probe_ok(!send_header(fd, 9999, 0, 0) && readable(fd, 1000) &&
			 read(fd, text, 16) == 16,
		 "an unknown request is xenstored's to refuse");
	while (n < 64 && (more[n] = open("/dev/xen/xenbus", O_RDWR)) >= 0)
		n++;
	probe_say("%d more files", n);
	while (n)
		close(more[--n]);
	close(fd);
	probe_ok(!xenstore_read(&one, "data/a", text, sizeof(text)), "all goes on");
}

static void test_library(void)
{
	struct xs_handle *xs = xs_open(0);
	xs_transaction_t t;
	unsigned int n;
	char **event, *value;

	if (!probe_ok(xs != NULL, "libxenstore opens it, too"))
		return;
	t = xs_transaction_start(xs);
	probe_ok(t && xs_write(xs, t, "data/t", "1", 1) &&
			 xs_transaction_end(xs, t, false),
		 "a transaction");
	value = xs_read(xs, XBT_NULL, "data/t", &n);
	probe_ok(value && n == 1, "was committed");
	probe_ok(xs_watch(xs, "data/t", "token with spaces"), "a watch of libxenstore's");
	event = xs_read_watch(xs, &n);
	probe_ok(event && !strcmp(event[XS_WATCH_TOKEN], "token with spaces"),
		 "comes back with its token");
	xs_close(xs);
}

void probe_store(void)
{
	struct probe_figures a = {0}, b = {0};

	(void)probe_figures(&a);
	test_values();
	test_watches();
	test_garbage();
	test_library();
	xenstore_close(&one);
	xenstore_close(&two);
	(void)probe_figures(&b);
	probe_ok(b.free_kib + 64 >= a.free_kib,
		 "closed files leave no memory behind: %lu, %lu", a.free_kib, b.free_kib);
}
