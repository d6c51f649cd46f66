/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpm-crb: the TPM of one HVM guest, as the registers and the buffer that it finds on its
 * board.  vtpmd starts one for each HVM guest that comes, before the guest runs; its
 * commands go over a tpmif ring to the vTPM's manager, and nothing is kept here but
 * struct saved.
 */
#include "frontend/crb/serve.h"
#include "include/channel.h"
#include "lib/error.h"
#include "stubdom/manager/depriv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <xen/gntalloc.h>
#include <xen/io/xenbus.h>
#include <xenstore.h>

/* Where vtpmd put them. */
#define EVENTS_FD 3
#define GRANTS_FD 4

static const char usage[] =
	"Usage: vtpm-crb new|restore|resume|rebind|renew FILE UID:GID\n"
	"The TPM of an HVM guest.  vtpmd starts it, with /dev/xen/evtchn as descriptor 3,\n"
	"and /dev/xen/gntalloc as 4.\n"
	"  new      the guest has not run yet\n"
	"  restore  it was restored, and FILE is of when it was saved\n"
	"  resume   it runs, and the descriptors have what a vtpm-crb that died had opened\n"
	"  rebind   it runs, and they are new: a command that was executing fails\n"
	"  renew    as resume, and the guest's device was made anew: kexec, vtpm-attach\n"
	"  FILE     what outlives this process\n"
	"  UID:GID  whom it becomes\n";

struct options {
	enum ioreq_how how;
	const char *state;
	struct depriv_user user;
};

static bool parse_options(struct options *o, int argc, char **argv)
{
	static const char *const hows[] = {
		[IOREQ_NEW] = "new",	   [IOREQ_RESTORE] = "restore",
		[IOREQ_RESUME] = "resume", [IOREQ_REBIND] = "rebind",
		[IOREQ_RENEW] = "renew",
	};
	unsigned int how;

	if (argc != 4)
		return false;
	for (how = 0; how < ARRAY_SIZE(hows) && strcmp(argv[1], hows[how]); how++)
		;
	o->how = how;
	o->state = argv[2];
	return how < ARRAY_SIZE(hows) && depriv_parse(argv[3], &o->user);
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "vtpm-crb: %s: %s\n", what, strerror(-rc));
	return rc;
}

/* What one that served has written is checked as a stranger's. */
static int map_saved(struct device *d, const struct options *o)
{
	int fd = open(o->state, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct saved *s;

	if (fd < 0)
		return failed(o->state, -errno);
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (s == MAP_FAILED)
		return failed(o->state, -errno);
	d->saved = s;
	if (o->how == IOREQ_NEW)
		crb_reset(&s->crb);
	d->crb = (struct crb){
		.s = &s->crb,
		.localities = (uint8_t)s->localities,
		.ops = &serve_ops,
		.ctx = d,
	};
	if (s->magic != SAVED_MAGIC || s->vcpus > SAVED_VCPUS || !crb_is_sound(&d->crb))
		return failed(o->state, -EBADMSG);
	return 0;
}

static int make_grants(struct saved *s)
{
	struct {
		struct ioctl_gntalloc_alloc_gref head;
		uint32_t more[RING_PAGES - 1];
	} a = {.head = {.domid = (uint16_t)s->manager.domid,
			.flags = GNTALLOC_FLAG_WRITABLE,
			.count = RING_PAGES}};
	uint32_t refs[RING_PAGES];

	if (ioctl(GRANTS_FD, IOCTL_GNTALLOC_ALLOC_GREF, &a))
		return failed("/dev/xen/gntalloc", -errno);
	s->ring_index = a.head.index;
	memcpy(refs, (uint8_t *)&a + offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids),
	       sizeof(refs));
	s->ring_ref = refs[0];
	s->ring_extra = refs[1];
	return 0;
}

/* The grants may be those of the manager's last guest. */
static int make_ring(struct device *d)
{
	struct saved *s = d->saved;
	int rc = s->ring_ref ? 0 : make_grants(s);
	xenevtchn_port_or_error_t port;

	if (rc)
		return rc;
	port = xenevtchn_bind_unbound_port(d->events, s->manager.domid);
	if (port < 0)
		return failed("an event channel to the manager", -errno);
	s->ring_port = (uint32_t)port;
	return 0;
}

/* The pages stay with who has mapped them, and with vtpmd. */
static int map_ring(struct device *d, bool is_new)
{
	struct saved *s = d->saved;
	void *page = mmap(NULL, RING_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			  GRANTS_FD, (off_t)s->ring_index);

	if (page == MAP_FAILED)
		return failed("the ring's pages", -errno);
	close(GRANTS_FD);
	if (is_new)
		memset(page, 0, RING_PAGES * 4096);
	d->ring = (struct crb_ring){.page = page, .extra = s->ring_extra};
	return 0;
}

static bool put_node(struct xs_handle *xs, const struct saved *s, const char *name,
		     unsigned int v)
{
	struct xs_permissions perms[] = {
		{.id = 0, .perms = XS_PERM_NONE},
		{.id = s->manager.domid, .perms = XS_PERM_READ},
	};
	char path[64], text[16];

	snprintf(path, sizeof(path), CHANNEL_CRB_NODES "/%u/%s", s->guest.domid, name);
	snprintf(text, sizeof(text), "%u", v);
	return xs_write(xs, XBT_NULL, path, text, (unsigned int)strlen(text)) &&
	       xs_set_permissions(xs, XBT_NULL, path, perms, s->manager.domid ? 2 : 1);
}

/* The manager connects to what the nodes say as soon as state is 3. */
static int offer_ring(const struct saved *s)
{
	struct xs_handle *xs = xs_open(0);
	bool good = xs && put_node(xs, s, "ring-ref", s->ring_ref) &&
		    put_node(xs, s, "event-channel", s->ring_port) &&
		    put_node(xs, s, "feature-protocol-v2", 1) &&
		    put_node(xs, s, "state", XenbusStateInitialised);

	if (xs)
		xs_close(xs);
	return good ? 0 : failed("xenstore", -EIO);
}

static int set_up(struct device *d, const struct options *o)
{
	bool is_new = o->how != IOREQ_RESUME && o->how != IOREQ_RENEW;
	const char *what = "";
	int rc = map_saved(d, o);

	if (rc)
		return rc;
	d->events = xenevtchn_fdopen(NULL, EVENTS_FD, 0);
	rc = d->events ? 0 : failed("event channels", -errno);
	if (!rc && is_new)
		rc = make_ring(d);
	if (!rc)
		rc = map_ring(d, is_new);
	if (rc)
		return rc;
	rc = ioreq_open(&d->ioreq, d->saved, o->how, d->events, &what);
	if (rc)
		return failed(what, rc);
	d->crb.buffer = d->ioreq.buffer;
	d->ppi = (struct ppi){.s = &d->saved->ppi, .told = &d->saved->ppi_told};
	if (d->saved->lost)
		crb_fail(&d->crb);
	else if (is_new)
		crb_abort(&d->crb);
	/* its RAM was saved before the response came */
	if (o->how == IOREQ_RESTORE)
		crb_deliver(&d->crb);
	/* who resumes has offered it */
	rc = o->how != IOREQ_RESUME ? offer_ring(d->saved) : 0;
	if (rc)
		return rc;
	d->saved->bound = 1;
	d->saved->pid = getpid();
	return rc;
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

static volatile sig_atomic_t is_over;

static void on_term(int sig)
{
	is_over = 1;
}

/* From now on SIGTERM ends serve_next() alone. */
static void await_term(void)
{
	const struct sigaction over = {.sa_handler = on_term};
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
	(void)sigaction(SIGTERM, &over, NULL);
}

int main(int argc, char **argv)
{
	static struct device d;
	struct options o = {0};
	struct error e = {.cause = CAUSE_NONE};

	if (!parse_options(&o, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	await_term();
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (set_up(&d, &o) || seal_head(&d, &o))
		return 1;
	if (depriv_crb(&o.user, &e)) {
		fprintf(stderr, "vtpm-crb: %s\n", e.text);
		return 1;
	}
	serve_begin(&d);
	while (!is_over)
		serve_next(&d);
	serve_end(&d);
	return 0;
}
