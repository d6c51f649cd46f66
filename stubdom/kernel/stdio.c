/* SPDX-License-Identifier: Apache-2.0 */
/* The files that are no device of Xen. */
#include <asm/poll.h>
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/user.h"

#define PIECE 512
#define TEXT  256

static long write_console(struct file *f, uint64_t from, size_t n)
{
	char piece[PIECE];
	size_t done = 0;
	int rc;

	while (done < n) {
		size_t part = n - done < sizeof(piece) ? n - done : sizeof(piece);

		rc = copy_from_user(piece, from + done, part);
		if (rc)
			return done ? (long)done : rc;
		print_raw(piece, part);
		done += part;
	}
	return (long)done;
}

static long write_null(struct file *f, uint64_t from, size_t n)
{
	return (long)n;
}

static long read_nothing(struct file *f, uint64_t to, size_t n)
{
	return 0;
}

static unsigned int poll_ready(struct file *f)
{
	return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
}

static unsigned int poll_writable(struct file *f)
{
	return POLLOUT | POLLWRNORM;
}

/* The figures of now, from where the last read ended. */
static long read_counters(struct file *f, uint64_t to, size_t n)
{
	char text[TEXT];
	size_t len;
	int rc;

	len = print_to(text, sizeof(text),
		       "hypercalls %lu\nnotifications %lu\nuptime_ns %lu\n"
		       "free_kib %lu\n",
		       hypercall_count, evtchn_notifications, process_uptime(),
		       page_count_free() * (PAGE_SIZE / 1024));
	if (f->position >= len)
		return 0;
	if (n > len - f->position)
		n = len - f->position;
	rc = copy_to_user(to, text + f->position, n);
	if (rc)
		return rc;
	f->position += n;
	return (long)n;
}

const struct file_ops console_ops = {
	.mode = FILE_CHARACTER | 0620,
	.read = read_nothing,
	.write = write_console,
	.poll = poll_writable,
};

const struct file_ops null_ops = {
	.mode = FILE_CHARACTER | 0666,
	.read = read_nothing,
	.write = write_null,
	.poll = poll_ready,
};

const struct file_ops counters_ops = {
	.mode = FILE_REGULAR | 0444,
	.read = read_counters,
	.poll = poll_ready,
};
