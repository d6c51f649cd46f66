/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the backend needs of Xen: xenstore, foreign pages, event channels.
 * backend/xen_ops.c has the real ones; tests bring a hostile peer.
 *
 * All calls are synchronous and return 0 (or what is said below) or -errno.
 * Paths are absolute ("/local/domain/...") or relative to the own domain.
 * Values are text, at most BACKEND_VALUE_MAX - 1 bytes.
 */
#ifndef XVTPM_BACKEND_OPS_H
#define XVTPM_BACKEND_OPS_H

#include <stddef.h>
#include <stdint.h>

/* The folder of a domain's backends, of which each device has a leaf DOMID/DEVID. */
#define BACKEND_ROOT "backend/vtpm"

#define BACKEND_PATH_MAX  192
#define BACKEND_VALUE_MAX 192
#define BACKEND_PAGE_SIZE 4096

struct backend_ops {
	/* -ENOENT or -EACCES: no such node; -E2BIG: longer than size - 1. */
	int (*xs_read)(void *ctx, const char *path, char *value, size_t size);
	int (*xs_write)(void *ctx, const char *path, const char *value);
	/* Removes the node and all below it. */
	int (*xs_remove)(void *ctx, const char *path);
	/* The children whose names are decimal numbers; returns how many there
	 * are, of which the first max stand in ids. */
	int (*xs_list)(void *ctx, const char *path, uint32_t *ids, unsigned int max);
	int (*xs_watch)(void *ctx, const char *path);
	int (*xs_unwatch)(void *ctx, const char *path);
	/* 1: a watch fired since the last call; 0: none did; never blocks.  What a backend
	 * writes (state, error, feature-protocol-v2 of a leaf) need not count. */
	int (*xs_changed)(void *ctx);

	/* Maps n pages of domain domid, readable and writable, one after the other;
	 * all or nothing.  The owner cannot take a mapped page away. */
	int (*map)(void *ctx, uint32_t domid, const uint32_t *refs, unsigned int n,
		   void **pages);
	void (*unmap)(void *ctx, void *pages, unsigned int n);

	int (*bind)(void *ctx, uint32_t domid, uint32_t remote_port, uint32_t *port);
	void (*unbind)(void *ctx, uint32_t port);
	int (*notify)(void *ctx, uint32_t port);
	/* The next port with an event, which is masked until unmask(); -EAGAIN
	 * when there is none, never blocks. */
	int (*pending)(void *ctx, uint32_t *port);
	int (*unmask)(void *ctx, uint32_t port);

	/* Milliseconds of a clock that only goes forward. */
	uint64_t (*now_ms)(void *ctx);
	/* File descriptors to poll for xs_changed() and pending(). */
	int (*xs_fd)(void *ctx);
	int (*event_fd)(void *ctx);
};

#endif
