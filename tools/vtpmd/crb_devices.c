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
static struct {
	char **names;
	int count;
} kept;

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

void crb_devices_load(void)
{
	kept.count = sd_listen_fds_with_names(1, &kept.names);
}

void crb_devices_take(struct crb_devices *v)
{
	char name[64];

	for (int i = 0; i < CRB_DEVICES; i++) {
		name_device(v, i, name);
		for (int n = 0; n < kept.count; n++)
			if (v->fd[i] < 0 && kept.names[n] &&
			    !strcmp(kept.names[n], name)) {
				v->fd[i] = SD_LISTEN_FDS_START + n;
				free(kept.names[n]);
				kept.names[n] = NULL;
			}
	}
}

/* What is left is of guests that are no more. */
void crb_devices_loaded(void)
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

void crb_devices_end(void)
{
	while (unused)
		crb_devices_drop(unused->of.uuid);
}
