/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpm-crb: the TPM of one HVM guest, as the registers and the buffer that it finds on its
 * board.  vtpmd starts one for each HVM guest that comes, before the guest runs; its
 * commands go over a tpmif ring to the vTPM's manager, and nothing is kept here but
 * struct saved.
 */
#include "frontend/crb/crb.h"
#include "frontend/crb/ioreq.h"
#include "frontend/crb/ppi.h"
#include "frontend/crb/ring.h"
#include "include/version.h"
#include "lib/cursor.h"
#include "lib/error.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/depriv.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <xen/gntalloc.h>
#include <xen/io/xenbus.h>
#include <xenstore.h>

/* How long the write to START waits for the response, which saves reads of START; the
 * drivers' own time limits begin after it.  TPM2_Startup, once in a boot, changes the stored
 * state, and Linux allows it 750 ms, which a busy disk may need for itself. */
#define HOLD_NS		1000000ll
#define STARTUP_HOLD_NS 5000000000ll
#define RC_CANCELED	0x909
#define PATH_SIZE	256
/* What is trapped, but for the page of the buffer, which is RAM. */
#define PPI_AT	   (PPI_BASE - CRB_BASE)
#define BOARD_SIZE (PPI_AT + PPI_SIZE)

static const char usage[] =
	"Usage: vtpm-crb --domain D --backend B --node PATH --state FILE --user UID:GID\n"
	"                [--localities MASK] [--restore | --resume PID]\n"
	"The TPM of an HVM guest.  vtpmd starts it.\n"
	"  --domain D         the guest, which has not run yet\n"
	"  --backend B        the domain of the vTPM's manager\n"
	"  --node PATH        in xenstore, for the manager\n"
	"  --state FILE       what outlives this process\n"
	"  --user UID:GID     whom it becomes\n"
	"  --localities MASK  that the guest may have; 1: locality 0 alone\n"
	"  --restore          the guest was restored, FILE is of when it was saved\n"
	"  --resume PID       the guest runs; PID has what a vtpm-crb that died had open; 0:\n"
	"                     nobody has, and a command that was executing fails\n";

struct options {
	uint32_t domain, backend, localities;
	const char *node, *state;
	bool restore, resume;
	pid_t keeper; /* 0: none */
	struct depriv_user user;
};

struct device {
	struct saved *saved;
	xenevtchn_handle *events;
	struct ioreq_server ioreq;
	struct crb_ring ring;
	struct crb crb;
	struct ppi ppi;
	int64_t hold_ns; /* of the command that executes */
	uint32_t vcpu;	 /* 1 + the one whose access is served; 0: none */
	bool noted;	 /* an event was taken in while a command was waited for */
};

static bool number(const char *text, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || v > max)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool take_option(struct options *o, int option, const char *text)
{
	uint32_t pid;

	switch (option) {
	case 'd':
		return number(text, 0x7fef, &o->domain);
	case 'b':
		return number(text, 0x7fef, &o->backend);
	case 'n':
		o->node = text;
		return true;
	case 's':
		o->state = text;
		return true;
	case 'u':
		return depriv_parse(text, &o->user);
	case 'l':
		return number(text, (1 << CRB_LOCALITIES) - 1, &o->localities);
	case 'r':
		o->restore = true;
		return true;
	case 'R':
		if (!number(text, INT32_MAX, &pid))
			return false;
		o->resume = true;
		o->keeper = (pid_t)pid;
		return true;
	default:
		return false;
	}
}

static bool parse_options(struct options *o, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"domain", required_argument, NULL, 'd'},
		{"backend", required_argument, NULL, 'b'},
		{"node", required_argument, NULL, 'n'},
		{"state", required_argument, NULL, 's'},
		{"user", required_argument, NULL, 'u'},
		{"localities", required_argument, NULL, 'l'},
		{"restore", no_argument, NULL, 'r'},
		{"resume", required_argument, NULL, 'R'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (!take_option(o, option, optarg))
			return false;
	return optind == argc && o->domain && o->node && o->state && o->user.uid &&
	       o->localities && !(o->restore && o->resume);
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "vtpm-crb: %s: %s\n", what, strerror(-rc));
	return rc;
}

static int map_saved(struct device *d, const struct options *o)
{
	int fd = open(o->state, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct saved *s;

	if (fd < 0 || ftruncate(fd, sizeof(*s)))
		return failed(o->state, -errno);
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (s == MAP_FAILED)
		return failed(o->state, -errno);
	d->saved = s;
	if (o->resume || o->restore) {
		if (s->magic != SAVED_MAGIC || (o->resume && s->domid != o->domain) ||
		    s->crb.rsp_len > sizeof(s->crb.rsp) || s->vcpus > SAVED_VCPUS)
			return failed(o->state, -EBADMSG);
	} else {
		/* vtpmd has filled these in */
		const struct ppi_told told = s->ppi_told;
		const struct ppi_state ppi = s->ppi;

		memset(s, 0, sizeof(*s));
		s->ppi_told = told;
		s->ppi = ppi;
		crb_reset(&s->crb);
		s->magic = SAVED_MAGIC;
	}
	if (s->crb.active >= CRB_LOCALITIES && s->crb.active != CRB_NO_LOCALITY)
		return failed(o->state, -EBADMSG);
	s->domid = o->domain;
	s->backend = o->backend;
	s->localities = o->localities;
	return 0;
}

/* Takes from the process that keeps them what a vtpm-crb that died had open. */
static int take_back(struct device *d, pid_t keeper)
{
	struct saved *s = d->saved;
	int pid = (int)syscall(SYS_pidfd_open, keeper, 0), events;

	if (pid < 0)
		return failed("pidfd_open", -errno);
	s->ring_fd = (int)syscall(SYS_pidfd_getfd, pid, s->ring_fd, 0);
	events = (int)syscall(SYS_pidfd_getfd, pid, s->event_fd, 0);
	close(pid);
	if (s->ring_fd < 0 || events < 0)
		return failed("pidfd_getfd", -errno);
	d->events = xenevtchn_fdopen(NULL, events, 0);
	s->event_fd = events;
	return d->events ? 0 : failed("event channels", -errno);
}

static int make_ring(struct device *d, uint32_t refs[RING_PAGES])
{
	struct saved *s = d->saved;
	struct {
		struct ioctl_gntalloc_alloc_gref head;
		uint32_t more[RING_PAGES - 1];
	} a = {.head = {.domid = (uint16_t)s->backend,
			.flags = GNTALLOC_FLAG_WRITABLE,
			.count = RING_PAGES}};
	xenevtchn_port_or_error_t port;

	s->ring_fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	if (s->ring_fd < 0 || ioctl(s->ring_fd, IOCTL_GNTALLOC_ALLOC_GREF, &a))
		return failed("/dev/xen/gntalloc", -errno);
	s->ring_index = a.head.index;
	memcpy(refs, (uint8_t *)&a + offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids),
	       RING_PAGES * sizeof(*refs));
	port = xenevtchn_bind_unbound_port(d->events, s->backend);
	if (port < 0)
		return failed("an event channel to the manager", -errno);
	s->ring_port = (uint32_t)port;
	s->event_fd = xenevtchn_fd(d->events);
	return 0;
}

static int map_ring(struct device *d)
{
	struct saved *s = d->saved;
	void *page = mmap(NULL, RING_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			  s->ring_fd, (off_t)s->ring_index);

	if (page == MAP_FAILED)
		return failed("the ring's pages", -errno);
	d->ring.page = page;
	return 0;
}

static bool put_node(struct xs_handle *xs, const struct options *o, const char *name,
		     unsigned int v)
{
	struct xs_permissions perms[] = {
		{.id = 0, .perms = XS_PERM_NONE},
		{.id = o->backend, .perms = XS_PERM_READ},
	};
	char path[PATH_SIZE], text[16];

	snprintf(path, sizeof(path), "%s/%s", o->node, name);
	snprintf(text, sizeof(text), "%u", v);
	return xs_write(xs, XBT_NULL, path, text, (unsigned int)strlen(text)) &&
	       xs_set_permissions(xs, XBT_NULL, path, perms, o->backend ? 2 : 1);
}

/* The manager connects to what the nodes say as soon as state is 3. */
static int offer_ring(const struct device *d, const struct options *o, uint32_t ref)
{
	struct xs_handle *xs = xs_open(0);
	bool good = xs && put_node(xs, o, "ring-ref", ref) &&
		    put_node(xs, o, "event-channel", d->saved->ring_port) &&
		    put_node(xs, o, "feature-protocol-v2", 1) &&
		    put_node(xs, o, "state", XenbusStateInitialised);

	if (xs)
		xs_close(xs);
	return good ? 0 : failed(o->node, -EIO);
}

static void prepare(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len)
{
	struct device *d = ctx;
	struct cursor c = cursor_reader(cmd, len);

	(void)cursor_u16(&c); /* tag */
	(void)cursor_u32(&c); /* size */
	d->hold_ns = cursor_u32(&c) == TPM2_CC_Startup ? STARTUP_HOLD_NS : HOLD_NS;
	crb_ring_prepare(&d->ring, locality, cmd, len);
}

static void send_command(void *ctx)
{
	struct device *d = ctx;

	if (d->vcpu)
		d->saved->starter = d->vcpu;
	crb_ring_send(&d->ring);
	(void)!xenevtchn_notify(d->events, d->saved->ring_port);
}

static void cancel_command(void *ctx)
{
	struct device *d = ctx;

	if (crb_ring_cancel(&d->ring))
		(void)!xenevtchn_notify(d->events, d->saved->ring_port);
}

static const struct crb_ops ops = {
	.prepare = prepare,
	.send = send_command,
	.cancel = cancel_command,
};

/* Takes in what the manager did; a command that it has not got is sent again. */
static void look_at_ring(struct device *d)
{
	static const uint8_t cancelled[] = {
		0x80, 1, 0, 0, 0, 10, 0, 0, RC_CANCELED >> 8, RC_CANCELED & 0xff};
	uint8_t rsp[CRB_BUFFER_MAX];
	size_t len = 0;

	if (!d->saved->crb.start)
		return;
	switch (crb_ring_answer(&d->ring, rsp, &len)) {
	case RING_RESPONSE:
		crb_complete(&d->crb, rsp, len);
		explicit_bzero(rsp, len);
		break;
	case RING_UNSENT:
		if (d->saved->crb.cancel)
			crb_complete(&d->crb, cancelled, sizeof(cancelled));
		else
			send_command(d);
		break;
	case RING_NOTHING:
		break;
	}
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Takes an event in; an access waits for its turn. */
static void note_event(struct device *d)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(d->events);

	if (port >= 0)
		(void)!xenevtchn_unmask(d->events, (evtchn_port_t)port);
	d->noted = true;
}

static void hold(struct device *d)
{
	int64_t until = now_ns() + d->hold_ns, left;

	look_at_ring(d);
	while (d->saved->crb.start && (left = until - now_ns()) > 0) {
		struct pollfd p = {.fd = d->saved->event_fd, .events = POLLIN};
		struct timespec t = {.tv_sec = left / 1000000000,
				     .tv_nsec = left % 1000000000};

		if (ppoll(&p, 1, &t, NULL) > 0)
			note_event(d);
		look_at_ring(d);
	}
}

static uint64_t read_board(const struct device *d, uint32_t at, unsigned int size)
{
	return at < PPI_AT ? crb_read(&d->crb, at, size)
			   : ppi_read(&d->ppi, at - PPI_AT, size);
}

static void write_board(struct device *d, uint32_t at, unsigned int size, uint64_t v)
{
	if (at < PPI_AT)
		crb_write(&d->crb, at, size, v);
	else
		ppi_write(&d->ppi, at - PPI_AT, size, v);
}

/* One element of an instruction; data is what it writes, or a place in the guest's RAM. */
static uint64_t serve_element(struct device *d, const ioreq_t *r, uint32_t at,
			      uint64_t data)
{
	uint64_t v = data;

	if (r->dir == IOREQ_READ) {
		v = read_board(d, at, r->size);
		if (r->data_is_ptr)
			ioreq_copy(&d->ioreq, data, &v, r->size, true);
		return v;
	}
	if (r->data_is_ptr)
		ioreq_copy(&d->ioreq, data, &v, r->size, false);
	write_board(d, at, r->size, v);
	return data;
}

/* An instruction that repeats is one request.  Returns what a read gives. */
static uint64_t serve_access(struct device *d, const ioreq_t *r)
{
	uint64_t at = r->addr - CRB_BASE, data = r->data, result = ~0ull;
	uint64_t step = r->df ? -(uint64_t)r->size : r->size;
	bool executes = d->saved->crb.start;

	if (r->type != IOREQ_TYPE_COPY || !r->size || r->size > 8)
		return data;
	for (uint32_t i = 0; i < r->count && at < BOARD_SIZE; i++, at += step) {
		result = serve_element(d, r, (uint32_t)at, data);
		if (r->data_is_ptr)
			data += step;
	}
	if (!executes && d->saved->crb.start)
		hold(d);
	return r->data_is_ptr ? r->data : result;
}

/* An access that a vtpm-crb which died was serving is served again, but for a write to START
 * that it had taken: what is in the buffer by now is not that command. */
static void serve_vcpu(struct device *d, unsigned int n)
{
	bool again = ioreq_is_taken(&d->ioreq, n);
	uint64_t data;
	ioreq_t r;

	if (!again && d->saved->starter == n + 1)
		d->saved->starter = 0;
	if (!ioreq_take(&d->ioreq, n, &r))
		return;
	data = r.data;
	if (again && d->saved->starter == n + 1) {
		look_at_ring(d);
	} else {
		d->vcpu = n + 1;
		data = serve_access(d, &r);
		d->vcpu = 0;
	}
	ioreq_done(&d->ioreq, n, data);
	(void)!xenevtchn_notify(d->events, d->saved->vcpu_port[n]);
}

static void serve_all(struct device *d)
{
	for (unsigned int n = 0; n < d->saved->vcpus; n++)
		serve_vcpu(d, n);
}

/* What one that died had read and not unmasked, or had done and not told. */
static void catch_up(struct device *d)
{
	(void)!xenevtchn_unmask(d->events, d->saved->ring_port);
	(void)!xenevtchn_notify(d->events, d->saved->ring_port);
	for (unsigned int n = 0; n < d->saved->vcpus; n++) {
		(void)!xenevtchn_unmask(d->events, d->saved->vcpu_port[n]);
		(void)!xenevtchn_notify(d->events, d->saved->vcpu_port[n]);
	}
}

static void serve_event(struct device *d)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(d->events);

	if (port < 0)
		return;
	(void)!xenevtchn_unmask(d->events, (evtchn_port_t)port);
	if ((uint32_t)port == d->saved->ring_port)
		look_at_ring(d);
	for (unsigned int n = 0; n < d->saved->vcpus; n++)
		if ((uint32_t)port == d->saved->vcpu_port[n])
			serve_vcpu(d, n);
}

static enum ioreq_how how_of(const struct options *o)
{
	if (o->resume)
		return o->keeper ? IOREQ_RESUME : IOREQ_REBIND;
	return o->restore ? IOREQ_RESTORE : IOREQ_NEW;
}

/* The ring and the event channels, made or taken back. */
static int open_ring(struct device *d, const struct options *o, uint32_t refs[RING_PAGES])
{
	int rc;

	if (o->keeper) {
		rc = take_back(d, o->keeper);
	} else {
		d->events = xenevtchn_open(NULL, 0);
		rc = d->events ? make_ring(d, refs) : failed("/dev/xen/evtchn", -errno);
	}
	if (rc)
		return rc;
	if (!o->keeper)
		d->saved->ring_extra = refs[1];
	d->ring.extra = d->saved->ring_extra;
	return map_ring(d);
}

static int set_up(struct device *d, const struct options *o)
{
	uint32_t refs[RING_PAGES] = {0};
	const char *what = "";
	int rc = map_saved(d, o);

	if (rc)
		return rc;
	d->saved->pid = 0;
	rc = open_ring(d, o, refs);
	if (rc)
		return rc;
	rc = ioreq_open(&d->ioreq, d->saved, how_of(o), d->events, &what);
	if (rc)
		return failed(what, rc);
	d->crb = (struct crb){
		.s = &d->saved->crb,
		.buffer = d->ioreq.buffer,
		.localities = (uint8_t)o->localities,
		.ops = &ops,
		.ctx = d,
	};
	d->ppi = (struct ppi){.s = &d->saved->ppi, .told = &d->saved->ppi_told};
	if (o->restore || (o->resume && !o->keeper))
		crb_restore(&d->crb);
	d->saved->pid = getpid();
	return o->keeper ? 0 : offer_ring(d, o, refs[0]);
}

/* The part that root goes by is mapped again of a file that is open for reading only, so
 * that no mprotect() makes it writable. */
static int seal_head(struct device *d, const struct options *o)
{
	int fd = open(o->state, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;
	void *at = fd < 0 ? MAP_FAILED
			  : mmap(d->saved, offsetof(struct saved, crb), PROT_READ,
				 MAP_SHARED | MAP_FIXED, fd, 0);

	rc = at == MAP_FAILED ? failed(o->state, -errno) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = {.localities = 1};
	struct device d = {0};
	struct error e = {.cause = CAUSE_NONE};

	if (!parse_options(&o, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (set_up(&d, &o) || seal_head(&d, &o))
		return 1;
	if (depriv_crb(&o.user, &e)) {
		fprintf(stderr, "vtpm-crb: %s\n", e.text);
		return 1;
	}
	catch_up(&d);
	look_at_ring(&d);
	serve_all(&d);
	for (;;) {
		struct pollfd p = {.fd = d.saved->event_fd, .events = POLLIN};

		while (d.noted) {
			d.noted = false;
			serve_all(&d);
		}
		if (poll(&p, 1, -1) > 0)
			serve_event(&d);
	}
}
