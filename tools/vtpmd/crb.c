/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/crb.h"
#include "frontend/crb/saved.h"
#include "include/channel.h"
#include "lib/error.h"
#include "lib/text.h"
#include "tools/vtpmd/board.h"
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
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define FILE_PREFIX "crb-"
#define NODE_SIZE   64
/* Each request that a guest makes is written to the disk: at most one in this time, and so
 * many; later ones at its end.  That it has none any more is always written. */
#define REQUEST_S    5
#define REQUESTS_MAX 64
#define ENDS_MAX     5 /* in a minute; then its guest stays without a TPM */

/* As vtpm-crb expects them from descriptor 3 on.  Event channels and grants are open as long
 * as one process has these open: vtpmd, or systemd, which keeps them under these names
 * while vtpmd is restarted. */
enum { EVENTS, GRANTS, DEVICES };
static const struct {
	const char *path, *name;
} devices[DEVICES] = {
	[EVENTS] = {"/dev/xen/evtchn", "crb-events-"},
	[GRANTS] = {"/dev/xen/gntalloc", "crb-grants-"},
};

struct crb_process {
	struct crb_process *next;
	struct vtpmd *d;
	char uuid[37], name[64];
	uint32_t domid;
	struct saved *saved;	/* the file, mapped */
	int fds[DEVICES];	/* what it has open, kept for the next one; -1 */
	int pidfd;		/* -1: none runs */
	struct event *ended;	/* pidfd is readable */
	unsigned int requests;	/* of physical presence that were noted */
	bool resumes;		/* one before it was ready once */
	int64_t ends[ENDS_MAX]; /* stamp_ms() */
};

static struct crb_process *processes;
static crb_request *on_request;
static struct event *look; /* at the requests */
/* What systemd kept, until crb_load() has found its guests. */
static struct {
	char **names;
	int count;
} kept;

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

static void name_device(const struct crb_process *p, int device, char out[64])
{
	snprintf(out, 64, "%s%s", devices[device].name, p->uuid);
}

static void close_devices(struct crb_process *p)
{
	char name[64];

	for (int i = 0; i < DEVICES; i++) {
		if (p->fds[i] >= 0) {
			name_device(p, i, name);
			(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
		}
		close_fd(&p->fds[i]);
	}
}

/* Opens new ones for a vtpm-crb. */
static int open_devices(struct crb_process *p)
{
	char name[64], text[128];
	int rc;

	close_devices(p);
	p->saved->bound = 0;
	for (int i = 0; i < DEVICES; i++) {
		p->fds[i] = open(devices[i].path, O_RDWR | O_CLOEXEC);
		if (p->fds[i] < 0) {
			rc = -errno;
			log_line(LOG_ERR, "vTPM %s: %s cannot be opened: %s", p->name,
				 devices[i].path, strerror(-rc));
			return rc;
		}
		name_device(p, i, name);
		snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
		(void)sd_pid_notify_with_fds(0, 0, text, &p->fds[i], 1);
	}
	return 0;
}

/* Takes what systemd kept of them. */
static void take_devices(struct crb_process *p)
{
	char name[64];

	for (int i = 0; i < DEVICES; i++) {
		name_device(p, i, name);
		for (int n = 0; n < kept.count; n++)
			if (p->fds[i] < 0 && kept.names[n] &&
			    !strcmp(kept.names[n], name)) {
				p->fds[i] = SD_LISTEN_FDS_START + n;
				free(kept.names[n]);
				kept.names[n] = NULL;
			}
	}
}

/* Whose guests are no more. */
static void drop_kept(void)
{
	for (int n = 0; n < kept.count; n++) {
		if (!kept.names[n])
			continue;
		(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", kept.names[n]);
		close(SD_LISTEN_FDS_START + n);
		free(kept.names[n]);
	}
	if (kept.count > 0)
		free(kept.names);
	kept.count = 0;
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
	for (int i = 0; i < DEVICES; i++)
		close_fd(&p->fds[i]);
	if (p->saved)
		munmap(p->saved, sizeof(*p->saved));
	free(p);
}

static bool guest_lives(const struct crb_process *p)
{
	uint8_t uuid[16];

	return !xen_uuid(p->d->xen, p->domid, uuid);
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

/* Its guest has ended: its mappings would keep the domain. */
static void end_process(struct crb_process *p)
{
	char node[NODE_SIZE];

	if (p->pidfd >= 0)
		(void)!syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	node_of(p->domid, node);
	xen_remove(p->d->xen, node);
	note_request(p, true);
	/* what it had may be another's number by now */
	p->saved->pid = 0;
	p->saved->domid = 0;
	close_devices(p);
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

static int spawn_crb(struct crb_process *p, const char *how)
{
	char file[320], user[32];
	char *argv[] = {(char *)p->d->crb, (char *)how, file, user, NULL};
	/* bound until it becomes another user, whom the kernel takes that from */
	const struct child_start s = {.argv = argv,
				      .fds = p->fds,
				      .fd_count = DEVICES,
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
	bool keeps = p->saved->bound && p->fds[EVENTS] >= 0 && p->fds[GRANTS] >= 0;
	int rc = keeps ? 0 : open_devices(p);

	p->resumes = true;
	if (rc || spawn_crb(p, keeps ? "resume" : "rebind"))
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
	if (!p->saved->lost)
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
	p->fds[EVENTS] = p->fds[GRANTS] = p->pidfd = -1;
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

static void init_saved(struct crb_process *p, const struct crb_guest *g)
{
	struct saved *s = p->saved;

	if (!g->restored) {
		memset(s, 0, sizeof(*s));
		s->magic = SAVED_MAGIC;
	}
	p->domid = s->domid = g->domid;
	s->lost = 0;
	s->backend = g->backend;
	s->localities = g->localities;
	s->ppi_told = g->ppi_told;
	s->ppi = (struct ppi_state){.request = g->ppi_request};
	s->ppi_noted = g->ppi_request;
}

static int furnish(const struct crb_process *p)
{
	const char *what;
	int rc = board_furnish(p->d->xen, p->domid, &what);

	if (rc)
		log_line(LOG_ERR, "vTPM %s: HVM domain %u: %s: %s", p->name, p->domid,
			 what, strerror(-rc));
	return rc;
}

int crb_start(struct vtpmd *d, const struct crb_guest *g, const char **why)
{
	char uuid[37], node[NODE_SIZE];
	struct crb_process *p;

	uuid_unparse_lower(g->vtpm, uuid);
	p = find_process(uuid);
	*why = "this vTPM was restarted while the guest ran, and its PCRs are lost; restart "
	       "the guest";
	if (p && p->domid == g->domid)
		return p->saved->lost || p->saved->backend != g->backend ? -EPERM : 0;
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
	init_saved(p, g);
	/* a driver of Xen's would find a second TPM there */
	snprintf(node, sizeof(node), "/local/domain/%u/device/vtpm", g->domid);
	xen_remove(d->xen, node);
	if ((!g->restored && furnish(p)) || watch_guest(p) || open_devices(p) ||
	    spawn_crb(p, g->restored ? "restore" : "new")) {
		close_devices(p);
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
	if (p->pidfd >= 0)
		(void)!syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
}

void crb_lost(const uint8_t vtpm[16])
{
	char uuid[37];
	struct crb_process *p;

	uuid_unparse_lower(vtpm, uuid);
	p = find_process(uuid);
	if (p && !p->saved->lost && guest_lives(p))
		lose_tpm(p);
}

/* A manager that is a process ends with its vtpmd. */
static bool manager_lives(const struct crb_process *p)
{
	uint8_t uuid[16];

	return p->saved->backend && !xen_uuid(p->d->xen, p->saved->backend, uuid);
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
	take_devices(p);
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
		close_devices(p);
		free_process(p);
		return;
	}
	if (!p->saved->lost && !manager_lives(p))
		lose_tpm(p);
	if (p->pidfd < 0)
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
	static const struct timeval every = {.tv_sec = REQUEST_S};
	DIR *dir;
	struct dirent *entry;
	uuid_t parsed;

	kept.count = sd_listen_fds_with_names(1, &kept.names);
	on_request = requested;
	look = event_new(d->base, -1, EV_PERSIST, on_look, NULL);
	if (!look || event_add(look, &every))
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
	drop_kept();
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
	if (look)
		event_free(look);
	look = NULL;
}
