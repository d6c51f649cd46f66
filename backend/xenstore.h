/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small xenstore client on /dev/xen/xenbus (xen/include/public/io/xs_wire.h),
 * blocking, without transactions.
 *
 * Not libxenstore: in its static form no thread reads watch events, so that
 * neither poll() on its descriptor nor a check that cannot block is to be had.
 * Watch events are only counted here, as xenbus.c looks at everything anyway; but not
 * those of nodes that backends write.  In domain 0 all managers watch one folder: each
 * would look at all guests whenever one of these has its own manager write a state.
 * Errors are -errno, those of xenstored among them; -EIO: the device broke, or
 * xenstored sent nonsense.
 */
#ifndef XVTPM_BACKEND_XENSTORE_H
#define XVTPM_BACKEND_XENSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

struct xenstore {
	int fd;
	uint32_t next_id;
	bool changed; /* an event came in since xenstore_changed() */
};

int __must_check xenstore_open(struct xenstore *s);
void xenstore_close(struct xenstore *s);
int __must_check xenstore_read(struct xenstore *s, const char *path, char *value,
			       size_t size);
int __must_check xenstore_write(struct xenstore *s, const char *path, const char *value);
int __must_check xenstore_remove(struct xenstore *s, const char *path);
/* As backend_ops.xs_list */
int __must_check xenstore_list(struct xenstore *s, const char *path, uint32_t *ids,
			       unsigned int max);
int __must_check xenstore_watch(struct xenstore *s, const char *path);
int __must_check xenstore_unwatch(struct xenstore *s, const char *path);
/* 1 or 0, as backend_ops.xs_changed */
int __must_check xenstore_changed(struct xenstore *s);

#endif
