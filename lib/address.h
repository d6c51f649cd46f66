/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of one KMS, in the order in which they are tried: HOST:PORT, or
 * several of them with commas between, as host.json and CONFIG_KMS_ADDRESS have
 * them.  An IPv6 address stands in brackets.
 */
#ifndef XVTPM_ADDRESS_H
#define XVTPM_ADDRESS_H

#include "compiler.h"

#define ADDRESS_MAX  272 /* one, with its zero */
#define ADDRESSES    4	 /* at most, so that a start that tries all ends in time */
#define ADDRESS_LIST (ADDRESSES * ADDRESS_MAX)

/* The n-th, from 0; -ENOENT: there are not so many, -EINVAL: it is no address. */
int __must_check address_nth(const char *list, unsigned int n, char out[ADDRESS_MAX]);
/* How many there are; 0: the list is not usable. */
unsigned int address_count(const char *list);

#endif
