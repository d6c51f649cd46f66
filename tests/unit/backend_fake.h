/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for the backend, in place of backend/xen.c: a xenstore in an array, two
 * guests' pages, one event channel; and an engine that notes what it was asked.  Each
 * test and the fuzzer includes it and plays the guest and the toolstack.
 */
#ifndef XVTPM_BACKEND_FAKE_H
#define XVTPM_BACKEND_FAKE_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backend/ring.h"
#include "backend/tpmif.h"

#define FAKE_UUID  "7a3f0b52-0d7c-4c5e-9a51-0f9d3d1f2b01"
#define FAKE_NODES 64
#define FAKE_PAGES 4
#define FAKE_PORT  7 /* ours */

struct fake_node {
	char path[BACKEND_PATH_MAX];
	char value[BACKEND_VALUE_MAX];
	bool used;
};

struct fake_world {
	bool tpm12; /* before fake_open() */
	struct fake_node nodes[FAKE_NODES];
	char watches[8][BACKEND_PATH_MAX];
	bool changed;
	uint64_t now_ms;
	int xs_error; /* what every xenstore call fails with, or 0 */
	bool endless; /* the guest writes whenever it is read */

	/* Reference 100 + i of every domain is pages[i]; they stand far apart in
	 * memory of their own, so that a byte too far is seen by ASan. */
	uint8_t *pages[FAKE_PAGES];
	uint8_t *spans[8]; /* what map() has handed out: copies of several pages */
	unsigned int span_pages[8];
	uint32_t span_refs[8][RING_EXTRA_MAX];
	int maps, unmaps, map_error;
	uint32_t mapped_domid;

	bool bound;
	int bind_error;
	unsigned int events, notifications;
	bool masked;

	/* the engine */
	int power_cycles, power_error;
	uint32_t power_domid;
	size_t device_len; /* of a device that has not the vTPM's uuid: 16 */
	uint8_t device[16];
	unsigned int refused; /* guests, without asking it */
	uint32_t refused_domid;
	int executed, execute_error, cancels;
	uint8_t last[RING_PACKET_MAX];
	size_t last_len;
	uint8_t last_locality;
	uint8_t rsp[RING_PACKET_MAX * 2];
	size_t rsp_len;
	void (*during)(struct fake_world *w); /* runs inside execute */

	struct fronts fronts; /* one */
};

/* The one that there is, between fake_new() and fake_free(). */
static struct fake_world *fake_world;

/* xenstore */

static struct fake_node *fake_find(struct fake_world *w, const char *path)
{
	for (int i = 0; i < FAKE_NODES; i++)
		if (w->nodes[i].used && !strcmp(w->nodes[i].path, path))
			return &w->nodes[i];
	return NULL;
}

static bool fake_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && (path[n] == '/' || path[n] == '\0');
}

static void fake_fire(struct fake_world *w, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->watches); i++)
		if (*w->watches[i] && fake_below(path, w->watches[i]))
			w->changed = true;
}

static inline void fake_set(struct fake_world *w, const char *path, const char *value)
{
	struct fake_node *n = fake_find(w, path);

	for (int i = 0; i < FAKE_NODES && !n; i++)
		if (!w->nodes[i].used)
			n = &w->nodes[i];
	if (!n)
		abort();
	n->used = true;
	snprintf(n->path, sizeof(n->path), "%s", path);
	snprintf(n->value, sizeof(n->value), "%s", value);
	fake_fire(w, path);
}

static inline const char *fake_get(struct fake_world *w, const char *path)
{
	struct fake_node *n = fake_find(w, path);

	return n ? n->value : "";
}

static inline void fake_remove(struct fake_world *w, const char *path)
{
	for (int i = 0; i < FAKE_NODES; i++)
		if (w->nodes[i].used && fake_below(w->nodes[i].path, path)) {
			w->nodes[i].used = false;
			fake_fire(w, w->nodes[i].path);
		}
}

int xenstore_read(struct xenstore *s, const char *path, char *value, size_t size)
{
	struct fake_world *w = fake_world;
	struct fake_node *n = fake_find(w, path);

	w->changed |= w->endless;
	if (w->xs_error)
		return w->xs_error;
	if (!n)
		return path[0] == '/' ? -EACCES : -ENOENT;
	if (strlen(n->value) >= size)
		return -E2BIG;
	strcpy(value, n->value);
	return 0;
}

int xenstore_write(struct xenstore *s, const char *path, const char *value)
{
	struct fake_world *w = fake_world;

	if (!w->xs_error)
		fake_set(w, path, value);
	return w->xs_error;
}

int xenstore_remove(struct xenstore *s, const char *path)
{
	fake_remove(fake_world, path);
	return 0;
}

int xenstore_list(struct xenstore *s, const char *path, uint32_t *ids, unsigned int max)
{
	struct fake_world *w = fake_world;
	size_t len = strlen(path);
	unsigned int n = 0;
	bool found = false;

	if (w->xs_error)
		return w->xs_error;
	for (int i = 0; i < FAKE_NODES; i++) {
		const char *p = w->nodes[i].path;
		uint32_t id;
		bool known = false;

		if (!w->nodes[i].used || !fake_below(p, path))
			continue;
		found = true;
		if (p[len] != '/')
			continue;
		id = (uint32_t)atoi(p + len + 1);
		for (unsigned int j = 0; j < n && j < max; j++)
			known |= ids[j] == id;
		if (known)
			continue;
		if (n < max)
			ids[n] = id;
		n++;
	}
	return found ? (int)n : -ENOENT;
}

int xenstore_watch(struct xenstore *s, const char *path)
{
	struct fake_world *w = fake_world;

	for (size_t i = 0; i < ARRAY_SIZE(w->watches); i++)
		if (!*w->watches[i]) {
			snprintf(w->watches[i], sizeof(w->watches[i]), "%s", path);
			w->changed = true;
			return w->xs_error;
		}
	abort();
}

int xenstore_unwatch(struct xenstore *s, const char *path)
{
	struct fake_world *w = fake_world;

	for (size_t i = 0; i < ARRAY_SIZE(w->watches); i++)
		if (!strcmp(w->watches[i], path)) {
			*w->watches[i] = '\0';
			return 0;
		}
	return -ENOENT;
}

int xenstore_changed(struct xenstore *s)
{
	struct fake_world *w = fake_world;
	bool changed = w->changed;

	w->changed = false;
	return w->xs_error ? w->xs_error : changed;
}

/* grants: one page is the guest's own, several are copies that fake_sync() joins */

int xen_map(struct xen *x, uint32_t domid, const uint32_t *refs, unsigned int n,
	    void **pages)
{
	struct fake_world *w = fake_world;

	if (w->map_error)
		return w->map_error;
	for (unsigned int i = 0; i < n; i++)
		if (refs[i] < 100 || refs[i] >= 100 + FAKE_PAGES)
			return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(w->spans); i++) {
		if (w->spans[i])
			continue;
		w->span_pages[i] = n;
		memcpy(w->span_refs[i], refs, n * sizeof(*refs));
		w->spans[i] = malloc(n * (size_t)BACKEND_PAGE_SIZE);
		for (unsigned int j = 0; j < n; j++)
			memcpy(w->spans[i] + j * BACKEND_PAGE_SIZE,
			       w->pages[refs[j] - 100], BACKEND_PAGE_SIZE);
		w->maps++;
		w->mapped_domid = domid;
		*pages = w->spans[i];
		return 0;
	}
	abort();
}

void xen_unmap(struct xen *x, void *pages, unsigned int n)
{
	struct fake_world *w = fake_world;

	for (size_t i = 0; i < ARRAY_SIZE(w->spans); i++)
		if (w->spans[i] == pages && w->span_pages[i] == n) {
			for (unsigned int j = 0; j < n; j++)
				memcpy(w->pages[w->span_refs[i][j] - 100],
				       w->spans[i] + j * BACKEND_PAGE_SIZE,
				       BACKEND_PAGE_SIZE);
			free(w->spans[i]);
			w->spans[i] = NULL;
			w->unmaps++;
			return;
		}
	abort();
}

/* The page of reference ref as the guest sees it: mapped or not. */
static uint8_t *fake_page(struct fake_world *w, uint32_t ref)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->spans); i++)
		for (unsigned int j = 0; w->spans[i] && j < w->span_pages[i]; j++)
			if (w->span_refs[i][j] == ref)
				return w->spans[i] + j * (size_t)BACKEND_PAGE_SIZE;
	return w->pages[ref - 100];
}

/* events */

int xen_bind(struct xen *x, uint32_t domid, uint32_t remote_port, uint32_t *port)
{
	struct fake_world *w = fake_world;

	if (w->bind_error)
		return w->bind_error;
	if (w->bound)
		abort();
	w->bound = true;
	*port = FAKE_PORT;
	return 0;
}

void xen_unbind(struct xen *x, uint32_t port)
{
	struct fake_world *w = fake_world;

	if (!w->bound || port != FAKE_PORT)
		abort();
	w->bound = false;
	w->masked = false;
}

void xen_notify(struct xen *x, uint32_t port)
{
	fake_world->notifications += fake_world->bound;
}

int xen_pending(struct xen *x, uint32_t *port)
{
	struct fake_world *w = fake_world;

	if (!w->events || w->masked)
		return -EAGAIN;
	w->events = 0;
	w->masked = true;
	*port = FAKE_PORT;
	return 0;
}

void xen_unmask(struct xen *x, uint32_t port)
{
	fake_world->masked = false;
}

uint64_t xen_now_ms(void)
{
	return fake_world->now_ms;
}

int xen_event_fd(struct xen *x)
{
	return -1;
}

int xen_open(struct xen *x)
{
	return 0;
}

void xen_close(struct xen *x)
{
}

/* the engine */

static int fake_adopt(void *ctx, const struct front_guest *g,
		      enum front_firmware *firmware, const char **why)
{
	struct fake_world *w = ctx;

	w->power_cycles++;
	w->power_domid = g->domid;
	w->device_len = g->device ? sizeof(w->device) : 0;
	if (g->device)
		memcpy(w->device, g->device, sizeof(w->device));
	if (w->power_error)
		*why = "vtpmd's sentence: use `vtpmctl launch`";
	return w->power_error;
}

static void fake_refused(void *ctx, uint32_t domid, const char *why)
{
	struct fake_world *w = ctx;

	w->refused++;
	w->refused_domid = domid;
}

static int fake_execute(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
			uint8_t *rsp, size_t *rsp_len)
{
	struct fake_world *w = ctx;

	if (len < RING_TPM_HEADER_SIZE || len > RING_PACKET_MAX ||
	    *rsp_len != RING_PACKET_MAX)
		abort();
	w->executed++;
	memcpy(w->last, cmd, len);
	w->last_len = len;
	w->last_locality = locality;
	if (w->during)
		w->during(w);
	memcpy(rsp, w->rsp, w->rsp_len < *rsp_len ? w->rsp_len : *rsp_len);
	*rsp_len = w->rsp_len;
	return w->execute_error;
}

static void fake_cancel(void *ctx)
{
	struct fake_world *w = ctx;

	w->cancels++;
}

/* the toolstack and the guest */

/* What libxl writes for vtpm=["backend=...,uuid=..."] */
static inline void fake_toolstack(struct fake_world *w, uint32_t domid, uint32_t devid,
				  const char *uuid)
{
	char path[BACKEND_PATH_MAX], front[BACKEND_PATH_MAX / 2];

#define FAKE_LEAF(name, value)                                                          \
	do {                                                                            \
		snprintf(path, sizeof(path), "backend/vtpm/%u/%u/" name, domid, devid); \
		fake_set(w, path, value);                                               \
	} while (0)
	snprintf(front, sizeof(front), "/local/domain/%u/device/vtpm/%u", domid, devid);
	FAKE_LEAF("frontend", front);
	FAKE_LEAF("online", "1");
	FAKE_LEAF("state", "1");
	FAKE_LEAF("uuid", uuid);
#undef FAKE_LEAF
	snprintf(path, sizeof(path), "%s/state", front);
	fake_set(w, path, "1");
}

static inline void fake_front(struct fake_world *w, uint32_t domid, const char *name,
			      const char *value)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "/local/domain/%u/device/vtpm/0/%s", domid, name);
	fake_set(w, path, value);
}

/* A driver that is ready: page 100, port 5. */
static inline void fake_driver(struct fake_world *w, uint32_t domid)
{
	fake_front(w, domid, "ring-ref", "100");
	fake_front(w, domid, "event-channel", "5");
	fake_front(w, domid, "feature-protocol-v2", "1");
	fake_front(w, domid, "state", "3");
}

static inline void fake_header(struct fake_world *w, uint32_t length, uint8_t state,
			       uint8_t locality, uint8_t nr_extra)
{
	uint8_t *p = fake_page(w, 100);

	memcpy(p, &length, 4);
	p[5] = locality;
	p[6] = 0;
	p[7] = nr_extra;
	p[4] = state;
}

static inline uint32_t fake_length(struct fake_world *w)
{
	uint32_t length;

	memcpy(&length, fake_page(w, 100), 4);
	return length;
}

static inline uint8_t fake_state(struct fake_world *w)
{
	return fake_page(w, 100)[4];
}

/* The code in the response that the guest finds, at the place where it looks. */
static inline uint32_t fake_code(struct fake_world *w, uint8_t nr_extra)
{
	const uint8_t *p = fake_page(w, 100) + 8 + 4 * nr_extra;

	return (uint32_t)p[6] << 24 | p[7] << 16 | p[8] << 8 | p[9];
}

static inline int fake_open(struct fake_world *w, uint8_t localities, bool shared)
{
	struct front_config config = {
		.uuid = FAKE_UUID,
		.localities = localities,
		.tpm12 = w->tpm12,
	};
	struct front *f;
	int rc = tpmif_front(&f, shared, NULL);

	if (rc)
		return rc;
	if (!w->fronts.tpm.execute)
		w->fronts.tpm = (struct front_tpm){w, fake_adopt, fake_refused,
						   fake_execute, fake_cancel};
	fronts_add(&w->fronts, f);
	return fronts_open(&w->fronts, &config);
}

/* What fronts_serve() does after a poll(): xenstore or the event channel can be read. */
static int fake_ready(struct fake_world *w, bool store, bool events)
{
	const struct pollfd fds[FRONT_POLLFDS] = {
		{.revents = store ? POLLIN : 0},
		{.revents = events ? POLLIN : 0},
	};
	struct front *f = w->fronts.front[0];

	return f->ops->ready(f, fds);
}

static inline int fake_look(struct fake_world *w)
{
	return fake_ready(w, true, false);
}

static inline int fake_event(struct fake_world *w)
{
	return fake_ready(w, false, true);
}

static inline int fake_timeout(struct fake_world *w)
{
	struct front *f = w->fronts.front[0];

	return f->ops->timeout(f);
}

static inline struct front_stats fake_stats(struct fake_world *w)
{
	struct front_stats s;

	fronts_stats(&w->fronts, &s);
	return s;
}

static inline struct fake_world *fake_new(void)
{
	static const uint8_t success[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0};
	struct fake_world *w = calloc(1, sizeof(*w));

	fake_world = w;
	for (int i = 0; i < FAKE_PAGES; i++)
		w->pages[i] = calloc(1, BACKEND_PAGE_SIZE);
	memcpy(w->rsp, success, sizeof(success));
	w->rsp_len = sizeof(success);
	return w;
}

static inline void fake_free(struct fake_world *w)
{
	fronts_close(&w->fronts);
	if (w->bound || w->maps != w->unmaps)
		abort();
	for (int i = 0; i < FAKE_PAGES; i++)
		free(w->pages[i]);
	fake_world = NULL;
	free(w);
}

#endif
