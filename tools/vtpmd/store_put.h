/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_put() off the event loop: the event loop waits for no fsync of a manager's
 * object.  Puts of one store are done one after the other, in the order of
 * store_put_run(), those of different stores beside each other (work.h).
 *
 * The store keeps its lease, and its struct store stays where it is, until
 * store_put_busy() says no.
 */
#ifndef VTPMD_STORE_PUT_H
#define VTPMD_STORE_PUT_H

#include "tools/vtpmd/store.h"

struct store_put;

/* rc: store_put()'s, so that 0 means durable.  From the event loop; may free the put, or
 * run it again. */
typedef void store_put_done(void *ctx, int rc);

/* Copies the bytes. NULL: out of memory. */
struct store_put *store_put_new(struct store *s, uint16_t object, uint64_t seq,
				const uint8_t *buf, size_t len, store_put_done *done,
				void *ctx);
/* Puts once; done is called later. -EMFILE */
int __must_check store_put_run(struct store_put *p);
/* done is not called any more.  What runs is done all the same: the bytes may be stored,
 * or not, as after a crash of the manager that sent them. */
void store_put_free(struct store_put *p);

bool store_put_busy(const struct store *s);

#endif
