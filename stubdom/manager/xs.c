/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libxenvchan's server asks of libxenstore, over the backend's client of xenstore: the two
 * nodes of a vchan cost two exchanges with xenstored instead of seven.  A new node of this domain's
 * has the permissions of its folder already, which no other domain but domain 0 reads; and the
 * client looks when the second one is there, so that they need no transaction.
 */
#include "backend/xen.h"

#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

struct xs_handle {
	struct xenstore store;
};

#define NO_TRANSACTION 1 /* 0 would be a failure */

struct xs_handle *xs_open(unsigned long flags)
{
	struct xs_handle *h = malloc(sizeof(*h));

	if (h && xenstore_open(&h->store)) {
		free(h);
		h = NULL;
	}
	return h;
}

void xs_close(struct xs_handle *h)
{
	xenstore_close(&h->store);
	free(h);
}

/* The domain's own number, for xs_set_permissions(): any does. */
void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
	      unsigned int *len)
{
	char *value = strdup("0");

	if (value && len)
		*len = 1;
	return value;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	char value[BACKEND_VALUE_MAX];

	if (len >= sizeof(value))
		return false;
	memcpy(value, data, len);
	value[len] = '\0';
	return !xenstore_write(&h->store, path, value);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	return !xenstore_remove(&h->store, path);
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned int n)
{
	return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	return NO_TRANSACTION;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
	return true;
}
