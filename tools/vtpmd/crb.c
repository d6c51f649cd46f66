/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/crb.h"
#include "frontend/crb/saved.h"
#include "include/channel.h"
#include "lib/error.h"
#include "lib/text.h"
#include "tools/vtpmd/board.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/crb_devices.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_board.h"
#include "tools/vtpmd/xen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define FILE_PREFIX "crb-"
#define NODE_SIZE   64
/* Each request that a guest makes is written to the disk: at most one in this time, and so
 * many; later ones at its end.  That it has none any more is always written. */
#define REQUEST_S    5
#define REQUESTS_MAX 64
/* After its guest's end: for the response to a command, which may make a key. */
#define FINISH_S   30
#define RELEASE_MS 500 /* when the next guest is there */
#define ENDS_MAX   5   /* in a minute; then its guest stays without a TPM */

struct crb_process {
	struct crb_process *next;
	struct vtpmd *d;
	char uuid[37], name[64];
	uint32_t domid;
	struct saved *saved;	    /* the file, mapped */
	struct crb_devices devices; /* what it has open, kept for the next one */
	int pidfd;		    /* -1: none runs */
	struct event *ended;	    /* pidfd is readable */
	unsigned int requests;	    /* of physical presence that were noted */
	struct event *over; /* its guest has ended; the time that it has for its end */
	bool resumes;	    /* one before it was ready once */
	bool renews;	    /* the next one offers the ring to the manager again */
	int64_t ends[ENDS_MAX]; /* stamp_ms() */
};

static struct crb_process *processes;
static crb_request *on_request;
static struct event *look; /* at the requests, while there are processes */

static void node_of(uint32_t domid, char out[static NODE_SIZE])
{
	snprintf(out, NODE_SIZE, CHANNEL_CRB_NODES "/%u", domid);
}

bool crb_is_wanted(const struct vtpmd *d, uint32_t domid)
{
	char path[64], type[16];

	snprintf(path, sizeof(path), "/libxl/%u/type", domid);
	return d->xen && !xen_read(d->xen, path, type, sizeof(type)) &&
	       !strcmp(type, "hvm");
}

static bool is_domain(const struct vtpmd *d, const struct saved_domain *is)
{
	uint8_t uuid[16];

	return !xen_uuid(d->xen, is->domid, uuid) &&
	       !memcmp(uuid, is->uuid, sizeof(uuid));
}

static bool guest_lives(const struct crb_process *p)
{
	return is_domain(p->d, &p->saved->guest);
}

/* A manager that is a process ends with its vtpmd. */
static bool manager_lives(const struct crb_process *p)
{
	return p->saved->manager.domid && is_domain(p->d, &p->saved->manager);
}

/* Opens for a vtpm-crb what is not open. */
static int open_devices(struct crb_process *p)
{
	const char *what;
	int rc;

	p->saved->bound = 0;
	if (p->devices.fd[CRB_GRANTS] < 0)
		p->saved->ring_ref = 0;
	rc = crb_devices_open(&p->devices, &what);
	if (rc)
		log_line(LOG_ERR, "vTPM %s: %s cannot be opened: %s", p->name, what,
			 strerror(-rc));
	return rc;
}

/* The process is gone, or not ours to watch any more. */
static void forget_process(struct crb_process *p)
{
	if (p->ended)
		event_free(p->ended);
	p->ended = NULL;
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
}

static void free_process(struct crb_process *p)
{
	struct crb_process **at = &processes;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	if (!processes)
		(void)event_del(look);
	xen_unwatch(p->d->xen, p);
	forget_process(p);
	if (p->over)
		event_free(p->over);
	crb_devices_leave(&p->devices);
	if (p->saved)
		munmap(p->saved, sizeof(*p->saved));
	free(p);
}

/* all: also when its guest made many before. */
static void note_request(struct crb_process *p, bool all)
{
	uint32_t now = __atomic_load_n(&p->saved->ppi.request, __ATOMIC_RELAXED);
	uuid_t vtpm;

	if (now == p->saved->ppi_noted || !on_request || uuid_parse(p->uuid, vtpm))
		return;
	if (now && !all && p->requests >= REQUESTS_MAX)
		return;
	if (!on_request(p->d, vtpm, now))
		return;
	p->saved->ppi_noted = now;
	p->requests++;
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	for (struct crb_process *p = processes; p; p = p->next)
		note_request(p, false);
}

static void signal_crb(const struct crb_process *p, int sig)
{
	if (p->pidfd >= 0)
		(void)!syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
}

/* Its guest has ended, and so has it, or has to. */
static void forget_guest(struct crb_process *p)
{
	char node[NODE_SIZE];

	signal_crb(p, SIGKILL);
	node_of(p->domid, node);
	xen_remove(p->d->xen, node);
	note_request(p, true);
	p->saved->pid = 0;
	p->saved->guest.domid = 0;
	if (manager_lives(p))
		crb_devices_keep(&p->devices, p->saved->manager.uuid);
	else
		crb_devices_close(&p->devices);
	free_process(p);
}

static void on_overdue(evutil_socket_t fd, short what, void *ctx)
{
	struct crb_process *p = ctx;

	log_line(LOG_WARNING,
		 "vTPM %s: the last command of domain %u, which has ended, has no "
		 "response after %d s; a guest that is restored reads TPM_RC_FAILURE",
		 p->name, p->domid, FINISH_S);
	forget_guest(p);
}

/* Its guest has ended: it gives back what is the domain's, which could not go otherwise, at
 * once, and ends with the response to the command that executes: a guest that was saved
 * reads that when it is restored. */
static void end_process(struct crb_process *p)
{
	static const struct timeval finish = {.tv_sec = FINISH_S};

	if (p->over)
		return;
	note_request(p, true);
	p->over = evtimer_new(p->d->base, on_overdue, p);
	if (p->pidfd < 0 || !p->over || event_add(p->over, &finish))
		forget_guest(p);
	else
		signal_crb(p, SIGTERM);
}

static void on_crb_end(evutil_socket_t fd, short what, void *ctx);

/* Whether a process runs vtpm-crb: of a number that a file has, as it may be another's by
 * now. */
static bool is_crb(const struct vtpmd *d, pid_t pid)
{
	char link[32], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, path, sizeof(path) - 1);
	/* who cannot be looked at may be it: never two for one guest */
	if (n < 0)
		return errno != ENOENT && errno != ESRCH;
	/* " (deleted)" follows after an upgrade */
	return (size_t)n >= strlen(d->crb) && !strncmp(path, d->crb, strlen(d->crb));
}

static int watch_process(struct crb_process *p, pid_t pid)
{
	forget_process(p);
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p->pidfd < 0)
		return -errno;
	p->ended = event_new(p->d->base, p->pidfd, EV_READ, on_crb_end, p);
	return p->ended && !event_add(p->ended, NULL) ? 0 : -ENOMEM;
}

static int spawn_crb(struct crb_process *p, const char *how)
{
	char file[320], user[32];
	char *argv[] = {(char *)p->d->crb, (char *)how, file, user, NULL};
	/* bound until it becomes another user, whom the kernel takes that from */
	const struct child_start s = {.argv = argv,
				      .fds = p->devices.fd,
				      .fd_count = CRB_DEVICES,
				      .out = -1,
				      .bound = true};
	struct error e = {.cause = CAUSE_NONE};
	pid_t pid;
	int rc;

	p->saved->pid = 0; /* until it is ready */
	snprintf(file, sizeof(file), "%s/" FILE_PREFIX "%s", p->d->run, p->uuid);
	rc = child_user(p->d->user, user, sizeof(user), &e);
	if (rc) {
		log_line(LOG_ERR, "vTPM %s: %s", p->name, e.text);
		return rc;
	}
	rc = child_spawn(&s, &pid);
	if (rc)
		return rc;
	rc = watch_process(p, pid);
	if (rc)
		kill(pid, SIGKILL);
	return rc;
}

/* Whether it ended too often lately. */
static bool ends_too_often(struct crb_process *p)
{
	int64_t now = stamp_ms();
	size_t i;

	for (i = 0; i < ENDS_MAX; i++)
		if (!p->ends[i] || now - p->ends[i] > 60000) {
			p->ends[i] = now;
			return false;
		}
	return true;
}

/* The next one goes on with the channels that are kept; if none are, with new ones. */
static void resume_crb(struct crb_process *p)
{
	bool keeps = p->saved->bound && crb_devices_are_open(&p->devices);
	const char *how;
	int rc;

	if (!keeps)
		crb_devices_close(&p->devices);
	rc = keeps ? 0 : open_devices(p);

	p->resumes = true;
	how = p->renews ? "renew" : "resume";
	p->renews = false;
	if (rc || spawn_crb(p, keeps ? how : "rebind"))
		log_line(LOG_ERR, "vTPM %s: vtpm-crb could not be started", p->name);
}

/* Its guest waits for it in the midst of an access, and nothing is lost. */
static void on_crb_end(evutil_socket_t fd, short what, void *ctx)
{
	struct crb_process *p = ctx;

	forget_process(p);
	if (p->over || !guest_lives(p)) {
		forget_guest(p);
		return;
	}
	if ((!p->saved->pid && !p->resumes) || ends_too_often(p)) {
		log_line(LOG_ERR,
			 "vTPM %s: the TPM of HVM domain %u cannot be served; its "
			 "vtpm-crb %s: destroy the guest, and see the lines before",
			 p->name, p->domid,
			 p->resumes ? "ends again and again" : "did not get ready");
		return;
	}
	if (!p->saved->lost && !p->renews)
		log_line(LOG_WARNING,
			 "vTPM %s: vtpm-crb of domain %u ended; the next one goes on",
			 p->name, p->domid);
	resume_crb(p);
}

static void on_crb_change(void *ctx)
{
	struct crb_process *p = ctx;

	if (!guest_lives(p))
		end_process(p);
}

static int map_file(struct crb_process *p)
{
	char name[64];
	struct saved *s;
	int fd;

	snprintf(name, sizeof(name), FILE_PREFIX "%s", p->uuid);
	fd = openat(p->d->run_dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(*s))) {
		close(fd);
		return -EIO;
	}
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	p->saved = s == MAP_FAILED ? NULL : s;
	return p->saved ? 0 : -errno;
}

static struct crb_process *new_process(struct vtpmd *d, const char *uuid,
				       const char *name)
{
	static const struct timeval every = {.tv_sec = REQUEST_S};
	struct crb_process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	if (!processes && event_add(look, &every)) {
		free(p);
		return NULL;
	}
	p->d = d;
	p->pidfd = -1;
	crb_devices_init(&p->devices, uuid);
	snprintf(p->uuid, sizeof(p->uuid), "%s", uuid);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->next = processes;
	processes = p;
	if (!map_file(p))
		return p;
	free_process(p);
	return NULL;
}

static struct crb_process *find_process(const char *uuid)
{
	struct crb_process *p = processes;

	while (p && strcmp(p->uuid, uuid))
		p = p->next;
	return p;
}

static int watch_guest(struct crb_process *p)
{
	char node[NODE_SIZE];

	node_of(p->domid, node);
	return xen_watch(p->d->xen, node, on_crb_change, p);
}

static bool has_process(uint32_t domid)
{
	struct crb_process *p = processes;

	while (p && (p->domid != domid || !guest_lives(p)))
		p = p->next;
	return p;
}

/* The manager has no command by now, and so its answer, if there is one, has been given. */
static void await_end(const struct crb_process *p)
{
	struct pollfd end = {.fd = p->pidfd, .events = POLLIN};

	if (p->pidfd >= 0)
		(void)!poll(&end, 1, RELEASE_MS);
}

void crb_release(const uint8_t vtpm[16])
{
	struct crb_process *p;
	char uuid[37];

	uuid_unparse_lower(vtpm, uuid);
	p = find_process(uuid);
	if (!p || guest_lives(p))
		return;
	signal_crb(p, SIGTERM);
	await_end(p);
	forget_guest(p);
}

/* Whether a vtpmd has begun with the board of domain g. */
static bool has_begun(const struct saved *s, const struct saved_domain *g)
{
	return s->magic == SAVED_MAGIC && s->board.begun && s->guest.domid == g->domid &&
	       !memcmp(s->guest.uuid, g->uuid, sizeof(g->uuid));
}

static void init_saved(struct crb_process *p, const struct crb_guest *g,
		       const struct saved_domain *guest)
{
	struct saved *s = p->saved;
	struct saved_board board = {0};

	/* one that goes on knows its own registers alone */
	if (!g->restored && has_begun(s, guest))
		board = s->board;
	/* a guest that goes on with its PCRs is the last one, of whom this is, though xl
	 * gives it another UUID when its configuration has none */
	if (!g->restored || g->moved || s->magic != SAVED_MAGIC ||
	    (g->lost && memcmp(s->guest.uuid, guest->uuid, sizeof(guest->uuid)))) {
		memset(s, 0, sizeof(*s));
		s->magic = SAVED_MAGIC;
		s->crb.active = CRB_NO_LOCALITY;
	}
	s->guest = *guest;
	s->manager.domid = g->backend;
	if (xen_uuid(p->d->xen, g->backend, s->manager.uuid))
		memset(s->manager.uuid, 0, sizeof(s->manager.uuid));
	if (g->moved)
		s->crb = g->moved->crb;
	s->board = board;
	s->lost = g->lost;
	s->localities = g->localities;
	s->ppi_told = g->ppi_told;
	s->ppi = (struct ppi_state){.request = g->ppi_request};
	s->ppi_noted = g->ppi_request;
	if (!crb_devices_again(&p->devices, s->manager.uuid))
		s->ring_ref = 0;
	p->domid = guest->domid;
}

static int furnish(const struct crb_process *p)
{
	const char *what;
	int rc = board_furnish(p->d->xen, p->domid, &p->saved->board, &what);

	if (rc)
		log_line(LOG_ERR, "vTPM %s: HVM domain %u: %s: %s", p->name, p->domid,
			 what, strerror(-rc));
	return rc;
}

bool crb_is_restored(struct vtpmd *d, const uint8_t vtpm[16], uint32_t domid)
{
	struct saved_domain guest = {.domid = domid};
	struct crb_process *p;
	char uuid[37];
	bool is;

	uuid_unparse_lower(vtpm, uuid);
	if (find_process(uuid) || xen_uuid(d->xen, domid, guest.uuid) ||
	    !board_is_there(d->xen, domid))
		return false;
	p = new_process(d, uuid, uuid);
	is = p && !has_begun(p->saved, &guest);
	if (p)
		free_process(p);
	return is;
}

/* Whether it may have one; else *why. */
static int check_guest(struct vtpmd *d, const struct crb_guest *g, const char **why)
{
	*why = "it is an HVM guest, which has one TPM: leave its other vtpm lines out";
	if (has_process(g->domid))
		return -EBUSY;
	*why = "it is an HVM guest, and a TPM is part of the board, which is not "
	       "attached to one that runs: write the vtpm line into its "
	       "configuration, and start it again";
	return xen_has_run(d->xen, g->domid) ? -EPERM : 0;
}

/* What was written into the buffer last, and that a copy of the guest's memory may lack. */
static int put_buffer(const struct crb_process *p, const struct move_board *b)
{
	uint8_t *at = xen_map(p->d->xen, p->domid, CRB_BUFFER / 4096, 1);

	if (!at)
		return -EIO;
	memcpy(at, b->buffer, sizeof(b->buffer));
	xen_unmap(at, 1);
	return 0;
}

/* A driver of Xen's would find a second TPM there. */
static void hide_device(const struct crb_process *p)
{
	char node[NODE_SIZE];

	snprintf(node, sizeof(node), "/local/domain/%u/device/vtpm", p->domid);
	xen_remove(p->d->xen, node);
}

static int begin_process(struct crb_process *p, const struct crb_guest *g)
{
	int rc;

	hide_device(p);
	rc = g->restored ? 0 : furnish(p);
	if (!rc && g->moved)
		rc = put_buffer(p, g->moved);
	if (!rc)
		rc = watch_guest(p);
	if (!rc)
		rc = open_devices(p);
	return rc ? rc : spawn_crb(p, g->restored ? "restore" : "new");
}

/*
 * The device of a guest that has its TPM was made anew: by `xl vtpm-attach` behind a detach, or
 * by libxl behind a soft reset (kexec), with which Xen destroys all ioreq servers.  Another
 * vtpm-crb goes on, and the manager connects to it, before the guest runs.
 */
static void renew_process(struct crb_process *p)
{
	char node[NODE_SIZE];

	if (p->renews || !p->saved->pid || p->pidfd < 0)
		return;
	log_line(LOG_NOTICE,
		 "vTPM %s: the device of HVM domain %u was made anew (kexec, or xl "
		 "vtpm-attach): its next vtpm-crb goes on",
		 p->name, p->domid);
	node_of(p->domid, node);
	xen_remove(p->d->xen, node);
	hide_device(p);
	p->renews = true;
	signal_crb(p, SIGKILL);
}

static int start_again(struct crb_process *p, const struct crb_guest *g)
{
	if (p->saved->lost || p->saved->manager.domid != g->backend)
		return -EPERM;
	renew_process(p);
	return 0;
}

int crb_start(struct vtpmd *d, const struct crb_guest *g, const char **why)
{
	struct saved_domain guest = {.domid = g->domid};
	struct crb_process *p;
	char uuid[37];
	int rc;

	uuid_unparse_lower(g->vtpm, uuid);
	p = find_process(uuid);
	*why = "this vTPM was restarted while the guest ran, and its PCRs are lost; restart "
	       "the guest";
	if (p && p->domid == g->domid)
		return start_again(p, g);
	*why = "another guest that runs has this TPM on its board: shut that down first";
	if (p)
		return -EBUSY;
	rc = check_guest(d, g, why);
	if (rc)
		return rc;
	*why = "the TPM for an HVM guest could not be started: see vtpmd's log";
	p = xen_uuid(d->xen, g->domid, guest.uuid) ? NULL : new_process(d, uuid, g->name);
	if (!p)
		return -ENOMEM;
	init_saved(p, g, &guest);
	if (begin_process(p, g)) {
		crb_devices_close(&p->devices);
		free_process(p);
		return -EIO;
	}
	return 0;
}

/* Has another vtpm-crb go on, which fails what executes, and all that follows. */
static void lose_tpm(struct crb_process *p)
{
	p->saved->lost = 1;
	log_line(
		LOG_ERR,
		"vTPM %s: its stub domain ended under HVM domain %u, and with it what the "
		"PCRs were: each TPM command of that guest fails until it is started again",
		p->name, p->domid);
	signal_crb(p, SIGKILL);
}

static struct crb_process *process_of(const uint8_t vtpm[16])
{
	char uuid[37];

	uuid_unparse_lower(vtpm, uuid);
	return find_process(uuid);
}

bool crb_is_ready(const uint8_t vtpm[16])
{
	const struct crb_process *p = process_of(vtpm);

	return p && !p->over && p->pidfd >= 0 &&
	       __atomic_load_n(&p->saved->pid, __ATOMIC_ACQUIRE) > 0;
}

bool crb_is_busy(const uint8_t vtpm[16])
{
	const struct crb_process *p = process_of(vtpm);

	return p && !p->over &&
	       __atomic_load_n(&p->saved->crb.start, __ATOMIC_ACQUIRE) & CRB_EXECUTING;
}

int crb_take_board(struct vtpmd *d, const uint8_t vtpm[16], struct move_board *b)
{
	const struct crb_process *p = process_of(vtpm);
	uint8_t *at;

	if (!p || p->over || p->saved->lost)
		return -ENOENT;
	/* vtpm-crb can write there: the copy is what is checked and sent */
	b->crb = p->saved->crb;
	b->crb.start &= CRB_EXECUTING;
	b->crb.away = 0;
	b->request = p->saved->ppi.request;
	at = xen_map(d->xen, p->domid, CRB_BUFFER / 4096, 1);
	if (!at)
		return -EIO;
	memcpy(b->buffer, at, sizeof(b->buffer));
	xen_unmap(at, 1);
	return 0;
}

void crb_left(const uint8_t vtpm[16])
{
	char uuid[37];

	uuid_unparse_lower(vtpm, uuid);
	crb_devices_drop(uuid);
}

void crb_lost(const uint8_t vtpm[16])
{
	char uuid[37];
	struct crb_process *p;

	uuid_unparse_lower(vtpm, uuid);
	crb_devices_drop(uuid);
	p = find_process(uuid);
	if (p && p->over)
		forget_guest(p);
	else if (p && !p->saved->lost && guest_lives(p))
		lose_tpm(p);
}

/* A vtpm-crb that an earlier vtpmd started, if its guest is still there; one that has died
 * meanwhile took its channels along. */
static void adopt_process(struct vtpmd *d, const char *uuid)
{
	struct crb_process *p = new_process(d, uuid, uuid);
	char node[NODE_SIZE];
	bool good;

	if (!p)
		return;
	p->domid = p->saved->guest.domid;
	crb_devices_take(&p->devices);
	good = p->saved->magic == SAVED_MAGIC && p->domid &&
	       (p->saved->pid > 0 || xen_has_run(d->xen, p->domid));
	if (good && p->saved->pid > 0 &&
	    (watch_process(p, p->saved->pid) || !is_crb(d, p->saved->pid)))
		forget_process(p);
	if (good && !guest_lives(p)) {
		end_process(p);
		return;
	}
	if (!good || watch_guest(p)) {
		crb_devices_close(&p->devices);
		free_process(p);
		return;
	}
	if (!p->saved->lost && !manager_lives(p))
		lose_tpm(p);
	if (p->pidfd >= 0)
		return;
	/* the last vtpmd died in renew_process() */
	node_of(p->domid, node);
	p->renews = !xen_has_children(d->xen, node);
	resume_crb(p);
}

void crb_tell_presence(const uint8_t vtpm[16], const struct ppi_told *told,
		       uint32_t request)
{
	struct crb_process *p;
	char uuid[37];

	uuid_unparse_lower(vtpm, uuid);
	p = find_process(uuid);
	if (!p)
		return;
	p->saved->ppi_told = *told;
	/* one that the guest makes meanwhile stays */
	if (p->saved->ppi_noted != request) {
		p->saved->ppi.request = request;
		p->saved->ppi_noted = request;
	}
}

int crb_load(struct vtpmd *d, crb_request *requested)
{
	DIR *dir;
	struct dirent *entry;
	uuid_t parsed;

	on_request = requested;
	look = event_new(d->base, -1, EV_PERSIST, on_look, NULL);
	if (!look)
		return -ENOMEM;
	dir = d->xen ? opendir(d->run) : NULL;
	if (d->xen && !dir)
		return -errno;
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) &&
		    !uuid_parse(entry->d_name + strlen(FILE_PREFIX), parsed))
			adopt_process(d, entry->d_name + strlen(FILE_PREFIX));
	if (dir)
		closedir(dir);
	crb_devices_loaded();
	return 0;
}

void crb_forget(struct vtpmd *d, const uint8_t vtpm[16])
{
	char uuid[37], name[64];

	uuid_unparse_lower(vtpm, uuid);
	snprintf(name, sizeof(name), FILE_PREFIX "%s", uuid);
	(void)unlinkat(d->run_dir, name, 0);
}

void crb_end(struct vtpmd *d)
{
	while (processes) {
		note_request(processes, true);
		free_process(processes);
	}
	crb_devices_end();
	if (look)
		event_free(look);
	look = NULL;
}
