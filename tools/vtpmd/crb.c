/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/crb.h"
#include "frontend/crb/saved.h"
#include "include/channel.h"
#include "lib/error.h"
#include "lib/text.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/log.h"
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
 * many; later ones at its end. */
#define REQUEST_S    5
#define REQUESTS_MAX 64
#define ENDS_MAX     5 /* in a minute; then its guest stays without a TPM */

struct crb_process {
	struct crb_process *next;
	struct vtpmd *d;
	char uuid[37], name[64];
	uint32_t domid;
	uint8_t localities;
	struct saved *saved;	/* the file, mapped */
	int ring_fd, event_fd;	/* what it has open, kept for the next one; -1 */
	int pidfd;		/* -1: none runs */
	struct event *ended;	/* pidfd is readable */
	uint32_t request;	/* of physical presence, as it was noted last */
	unsigned int requests;	/* that were noted */
	bool resumes;		/* one before it was ready once */
	int64_t ends[ENDS_MAX]; /* stamp_ms() */
};

static struct crb_process *processes;
static crb_request *on_request;
static struct event *look; /* at the requests */

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

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The process is gone, or not ours to watch any more. */
static void forget_process(struct crb_process *p)
{
	if (p->ended)
		event_free(p->ended);
	p->ended = NULL;
	close_fd(&p->pidfd);
}

static void free_process(struct crb_process *p)
{
	struct crb_process **at = &processes;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	xen_unwatch(p->d->xen, p);
	forget_process(p);
	close_fd(&p->ring_fd);
	close_fd(&p->event_fd);
	if (p->saved)
		munmap(p->saved, sizeof(*p->saved));
	free(p);
}

static bool guest_lives(const struct crb_process *p)
{
	uint8_t uuid[16];

	return !xen_uuid(p->d->xen, p->domid, uuid);
}

static void note_request(struct crb_process *p)
{
	uint32_t now = __atomic_load_n(&p->saved->ppi.request, __ATOMIC_RELAXED);
	uuid_t vtpm;

	if (now == p->request || uuid_parse(p->uuid, vtpm))
		return;
	p->request = now;
	p->requests++;
	if (on_request)
		on_request(p->d, vtpm, now);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	for (struct crb_process *p = processes; p; p = p->next)
		if (p->requests < REQUESTS_MAX)
			note_request(p);
}

/* Its guest has ended: its mappings would keep the domain. */
static void end_process(struct crb_process *p)
{
	char node[NODE_SIZE];

	if (p->pidfd >= 0)
		(void)!syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	node_of(p->domid, node);
	xen_remove(p->d->xen, node);
	note_request(p);
	/* what it had may be another's number by now */
	p->saved->pid = 0;
	p->saved->domid = 0;
	free_process(p);
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

static int spawn_crb(struct crb_process *p, const char *how, const char *pid_text)
{
	char domid[16], backend[16], localities[8], node[NODE_SIZE], file[320], user[32];
	char *argv[] = {(char *)p->d->crb,
			"--domain",
			domid,
			"--backend",
			backend,
			"--node",
			node,
			"--state",
			file,
			"--user",
			user,
			"--localities",
			localities,
			(char *)how,
			(char *)pid_text,
			NULL};
	/* bound until it becomes another user, whom the kernel takes that from */
	const struct child_start s = {.argv = argv, .fd3 = -1, .out = -1, .bound = true};
	struct error e = {.cause = CAUSE_NONE};
	pid_t pid;
	int rc;

	snprintf(domid, sizeof(domid), "%u", p->domid);
	snprintf(backend, sizeof(backend), "%u", p->saved->backend);
	snprintf(localities, sizeof(localities), "%u", p->localities);
	node_of(p->domid, node);
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

/* The next one goes on with what is kept here; if nothing is, with new channels. */
static void resume_crb(struct crb_process *p)
{
	char keeper[16];

	p->saved->ring_fd = p->ring_fd;
	p->saved->event_fd = p->event_fd;
	p->saved->pid = 0; /* until it is ready */
	p->resumes = true;
	snprintf(keeper, sizeof(keeper), "%d", p->ring_fd < 0 ? 0 : (int)getpid());
	if (spawn_crb(p, "--resume", keeper))
		log_line(LOG_ERR, "vTPM %s: vtpm-crb could not be started", p->name);
}

/* Its guest waits for it in the midst of an access, and nothing is lost. */
static void on_crb_end(evutil_socket_t fd, short what, void *ctx)
{
	struct crb_process *p = ctx;

	forget_process(p);
	if (!guest_lives(p)) {
		end_process(p);
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
	log_line(LOG_WARNING,
		 "vTPM %s: vtpm-crb of domain %u ended; the next one goes on", p->name,
		 p->domid);
	resume_crb(p);
}

/* Once it is ready: a copy of what it has open, which outlives it, where vtpmd may take one
 * (CAP_SYS_PTRACE, which the shipped unit does not give); else the next one has new channels,
 * and a command that executes as it dies fails. */
static void keep_open(struct crb_process *p)
{
	if (p->ring_fd >= 0 || p->pidfd < 0 || !p->saved->pid)
		return;
	p->ring_fd = (int)syscall(SYS_pidfd_getfd, p->pidfd, p->saved->ring_fd, 0);
	p->event_fd = (int)syscall(SYS_pidfd_getfd, p->pidfd, p->saved->event_fd, 0);
	if (p->ring_fd < 0 || p->event_fd < 0) {
		close_fd(&p->ring_fd);
		close_fd(&p->event_fd);
	}
}

static void on_crb_change(void *ctx)
{
	struct crb_process *p = ctx;

	if (guest_lives(p))
		keep_open(p);
	else
		end_process(p);
}

static int map_file(struct crb_process *p)
{
	char name[64];
	struct saved *s;
	int fd;

	snprintf(name, sizeof(name), FILE_PREFIX "%s", p->uuid);
	fd = openat(p->d->run_dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*s))) {
		close_fd(&fd);
		return -errno;
	}
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	p->saved = s == MAP_FAILED ? NULL : s;
	return p->saved ? 0 : -errno;
}

static struct crb_process *new_process(struct vtpmd *d, const char *uuid,
				       const char *name)
{
	struct crb_process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->d = d;
	p->ring_fd = p->event_fd = p->pidfd = -1;
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

void crb_release(const uint8_t vtpm[16])
{
	struct crb_process *p;
	char uuid[37];

	uuid_unparse_lower(vtpm, uuid);
	p = find_process(uuid);
	if (p && !guest_lives(p))
		end_process(p);
}

int crb_start(struct vtpmd *d, const struct crb_guest *g, const char **why)
{
	char uuid[37], node[NODE_SIZE];
	struct crb_process *p;

	uuid_unparse_lower(g->vtpm, uuid);
	p = find_process(uuid);
	if (p && p->domid == g->domid)
		return 0;
	*why = "another guest that runs has this TPM on its board: shut that down first";
	if (p)
		return -EBUSY;
	*why = "it is an HVM guest, which has one TPM: leave its other vtpm lines out";
	if (has_process(g->domid))
		return -EBUSY;
	if (xen_has_run(d->xen, g->domid)) {
		*why = "it is an HVM guest, and a TPM is part of the board, which is not "
		       "attached to one that runs: write the vtpm line into its "
		       "configuration, and start it again";
		return -EPERM;
	}
	*why = "the TPM for an HVM guest could not be started: see vtpmd's log";
	p = new_process(d, uuid, g->name);
	if (!p)
		return -ENOMEM;
	p->domid = g->domid;
	p->localities = g->localities;
	p->saved->backend = g->backend;
	p->saved->pid = 0;
	p->saved->ppi_told = g->ppi_told;
	p->saved->ppi = (struct ppi_state){.request = g->ppi_request};
	p->request = g->ppi_request;
	/* a driver of Xen's would find a second TPM there */
	snprintf(node, sizeof(node), "/local/domain/%u/device/vtpm", g->domid);
	xen_remove(d->xen, node);
	if (watch_guest(p) || spawn_crb(p, g->restored ? "--restore" : NULL, NULL)) {
		free_process(p);
		return -EIO;
	}
	return 0;
}

/* A vtpm-crb that an earlier vtpmd started, if its guest is still there; one that has died
 * meanwhile took its channels along. */
static void adopt_process(struct vtpmd *d, const char *uuid)
{
	struct crb_process *p = new_process(d, uuid, uuid);
	bool good;

	if (!p)
		return;
	p->domid = p->saved->domid;
	p->localities = (uint8_t)p->saved->localities;
	good = p->saved->magic == SAVED_MAGIC && p->domid &&
	       (p->saved->pid > 0 || xen_has_run(d->xen, p->domid));
	if (good && p->saved->pid > 0 &&
	    (watch_process(p, p->saved->pid) || !is_crb(d, p->saved->pid)))
		forget_process(p);
	if (!good)
		free_process(p);
	else if (!guest_lives(p))
		end_process(p);
	else if (watch_guest(p))
		free_process(p);
	else if (p->pidfd < 0)
		resume_crb(p);
	else
		keep_open(p);
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
	if (p->request != request) {
		p->saved->ppi.request = request;
		p->request = request;
	}
}

int crb_load(struct vtpmd *d, crb_request *requested)
{
	static const struct timeval every = {.tv_sec = REQUEST_S};
	DIR *dir;
	struct dirent *entry;
	uuid_t parsed;

	if (!d->xen)
		return 0;
	on_request = requested;
	look = event_new(d->base, -1, EV_PERSIST, on_look, NULL);
	if (!look || event_add(look, &every))
		return -ENOMEM;
	dir = opendir(d->run);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) &&
		    !uuid_parse(entry->d_name + strlen(FILE_PREFIX), parsed))
			adopt_process(d, entry->d_name + strlen(FILE_PREFIX));
	closedir(dir);
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
		note_request(processes);
		free_process(processes);
	}
	if (look)
		event_free(look);
	look = NULL;
}
