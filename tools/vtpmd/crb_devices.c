/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/crb_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static const struct {
	const char *path, *name;
} devices[CRB_DEVICES] = {
	[CRB_EVENTS] = {"/dev/xen/evtchn", "crb-events-"},
	[CRB_GRANTS] = {"/dev/xen/gntalloc", "crb-grants-"},
};

/* Grants without a guest: of a vTPM whose manager runs. */
struct grants {
	struct grants *next;
	uint8_t manager[16];
	struct crb_devices of;
};

static struct grants *unused;
/* Numbers that vtpmd's own descriptors are to have: child.c copies what is below its own. */
#define LOW 16

struct kept {
	char *name;
	int fd;
};

static struct kept *kept; /* in the order of their names */
static size_t kept_count;

void crb_devices_init(struct crb_devices *v, const char *uuid)
{
	snprintf(v->uuid, sizeof(v->uuid), "%s", uuid);
	for (int i = 0; i < CRB_DEVICES; i++)
		v->fd[i] = -1;
}

static void name_device(const struct crb_devices *v, int device, char out[64])
{
	snprintf(out, 64, "%s%s", devices[device].name, v->uuid);
}

static int open_device(struct crb_devices *v, int device)
{
	char name[64], text[128];

	v->fd[device] = open(devices[device].path, O_RDWR | O_CLOEXEC);
	if (v->fd[device] < 0)
		return -errno;
	name_device(v, device, name);
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	(void)sd_pid_notify_with_fds(0, 0, text, &v->fd[device], 1);
	return 0;
}

int crb_devices_open(struct crb_devices *v, const char **what)
{
	int rc = 0;

	for (int i = 0; i < CRB_DEVICES && !rc; i++) {
		*what = devices[i].path;
		rc = v->fd[i] < 0 ? open_device(v, i) : 0;
	}
	return rc;
}

bool crb_devices_are_open(const struct crb_devices *v)
{
	return v->fd[CRB_EVENTS] >= 0 && v->fd[CRB_GRANTS] >= 0;
}

static void close_device(struct crb_devices *v, int device)
{
	char name[64];

	if (v->fd[device] < 0)
		return;
	name_device(v, device, name);
	(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	close(v->fd[device]);
	v->fd[device] = -1;
}

void crb_devices_close(struct crb_devices *v)
{
	for (int i = 0; i < CRB_DEVICES; i++)
		close_device(v, i);
}

void crb_devices_leave(struct crb_devices *v)
{
	for (int i = 0; i < CRB_DEVICES; i++) {
		if (v->fd[i] >= 0)
			close(v->fd[i]);
		v->fd[i] = -1;
	}
}

static struct grants **find_unused(const char *uuid)
{
	struct grants **at = &unused;

	while (*at && strcmp((*at)->of.uuid, uuid))
		at = &(*at)->next;
	return at;
}

void crb_devices_keep(struct crb_devices *v, const uint8_t manager[16])
{
	struct grants *g = v->fd[CRB_GRANTS] < 0 ? NULL : calloc(1, sizeof(*g));

	if (g) {
		crb_devices_drop(v->uuid);
		crb_devices_init(&g->of, v->uuid);
		memcpy(g->manager, manager, sizeof(g->manager));
		g->of.fd[CRB_GRANTS] = v->fd[CRB_GRANTS];
		v->fd[CRB_GRANTS] = -1;
		g->next = unused;
		unused = g;
	}
	crb_devices_close(v);
}

bool crb_devices_again(struct crb_devices *v, const uint8_t manager[16])
{
	struct grants *g = *find_unused(v->uuid);

	if (!g || memcmp(g->manager, manager, sizeof(g->manager)))
		return false;
	close_device(v, CRB_GRANTS);
	v->fd[CRB_GRANTS] = g->of.fd[CRB_GRANTS];
	g->of.fd[CRB_GRANTS] = -1;
	crb_devices_drop(v->uuid);
	return true;
}

void crb_devices_drop(const char *uuid)
{
	struct grants **at = find_unused(uuid), *g = *at;

	if (!g)
		return;
	*at = g->next;
	crb_devices_close(&g->of);
	free(g);
}

static int compare_kept(const void *a, const void *b)
{
	return strcmp(((const struct kept *)a)->name, ((const struct kept *)b)->name);
}

/* Moves a descriptor out of the way of vtpmd's own. */
static int move_up(int fd, int above)
{
	int to = fd < SD_LISTEN_FDS_START + LOW ? fcntl(fd, F_DUPFD_CLOEXEC, above) : -1;

	if (to < 0)
		return fd;
	close(fd);
	return to;
}

void crb_devices_load(void)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	kept = n > 0 ? calloc((size_t)n, sizeof(*kept)) : NULL;
	for (int i = 0; i < n; i++)
		if (kept)
			kept[kept_count++] =
				(struct kept){.name = names[i],
					      .fd = move_up(SD_LISTEN_FDS_START + i,
							    SD_LISTEN_FDS_START + n)};
		else
			free(names[i]);
	free(names);
	if (kept)
		qsort(kept, kept_count, sizeof(*kept), compare_kept);
}

void crb_devices_take(struct crb_devices *v)
{
	char name[64];

	for (int i = 0; i < CRB_DEVICES; i++) {
		struct kept wanted = {.name = name}, *found;

		name_device(v, i, name);
		found = v->fd[i] < 0 && kept_count ? bsearch(&wanted, kept, kept_count,
							     sizeof(*kept), compare_kept)
						   : NULL;
		if (found && found->fd >= 0) {
			v->fd[i] = found->fd;
			found->fd = -1;
		}
	}
}

/* What is left is of guests that are no more. */
void crb_devices_loaded(void)
{
	for (size_t n = 0; n < kept_count; n++) {
		if (kept[n].fd >= 0) {
			(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", kept[n].name);
			close(kept[n].fd);
		}
		free(kept[n].name);
	}
	free(kept);
	kept = NULL;
	kept_count = 0;
}

void crb_devices_end(void)
{
	while (unused)
		crb_devices_drop(unused->of.uuid);
}
