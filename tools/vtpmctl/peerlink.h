/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection between two hosts of a pool: TLS 1.3, with certificates on both sides whose
 * common name, or DNS name, is the host's name in the pool.  What it carries are handovers'
 * messages (lib/move.h), some at once, each way in turn:
 *   u32 n, at most PEERLINK_MESSAGES | n * (u32 length | bytes)
 * vtpmd has them as hexadecimal strings.  While a guest moves along, there are besides
 *   u32 2^31 + length, at most PEERLINK_DATA | bytes	a piece of xl's stream
 *   u32 2^30 + word					see tools/vtpmctl/xlmigrate.h
 * A host that takes nothing from the one that has connected says why, and ends the connection:
 *   u32 2^29 + length, at most PEERLINK_REFUSAL | text
 */
#ifndef XVTPM_VTPMCTL_PEERLINK_H
#define XVTPM_VTPMCTL_PEERLINK_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/pool.h"

#include <jansson.h>

#define PEERLINK_MESSAGES 8
#define PEERLINK_DATA	  (64 * 1024)
#define PEERLINK_REFUSAL  256

struct peerlink;

/* Files, PEM. */
struct peerlink_keys {
	const char *ca, *cert, *key;
};

/* Whether they are there, and belong together. */
int __must_check peerlink_check(const struct peerlink_keys *k, struct error *e);
/* The same, and this host's name by its certificate, which is within its time for so many days.
 * -EKEYREJECTED: it is not. */
int __must_check peerlink_own(const struct peerlink_keys *k, char name[POOL_NAME_MAX + 1],
			      int *days, struct error *e);
/* Whether that is one of the CA, as other hosts judge it. */
int __must_check peerlink_verify(const struct peerlink_keys *k, struct error *e);
/* Connects to HOST:PORT, which has to be the host of that name. */
int __must_check peerlink_connect(const struct peerlink_keys *k, const char *address,
				  const char *name, struct peerlink **out,
				  struct error *e);
/* The same, by who does not wait longer than so many seconds for anything. */
int __must_check peerlink_connect_soon(const struct peerlink_keys *k, const char *address,
				       const char *name, unsigned int seconds,
				       struct peerlink **out, struct error *e);
/* Whether nothing was read within so many seconds. */
bool peerlink_is_quiet(const struct peerlink *l, unsigned int seconds);
/* Listens at HOST:PORT. */
int __must_check peerlink_listen(const char *address, int *fd, struct error *e);
/* Takes the connected socket over, also on failure; peer: the other host's name.  -EKEYREJECTED:
 * a certificate is out of its time by the clock of one of both hosts. */
int __must_check peerlink_accept(const struct peerlink_keys *k, int fd,
				 struct peerlink **out, char peer[POOL_NAME_MAX + 1],
				 struct error *e);
/* messages: an array of hexadecimal strings. */
int __must_check peerlink_send(struct peerlink *l, const json_t *messages,
			       struct error *e);
/* *messages is a new array. */
int __must_check peerlink_recv(struct peerlink *l, json_t **messages, struct error *e);
enum peerlink_kind { PEERLINK_IS_TURN, PEERLINK_IS_DATA, PEERLINK_IS_WORD };

struct peerlink_item {
	enum peerlink_kind kind;
	json_t *messages; /* of a turn: a new array, the caller's */
	uint32_t word;
	size_t len; /* of data */
	uint8_t data[PEERLINK_DATA];
};

int __must_check peerlink_send_data(struct peerlink *l, const uint8_t *p, size_t n,
				    struct error *e);
/* word < 2^30 */
int __must_check peerlink_send_word(struct peerlink *l, uint32_t word, struct error *e);
/* Whatever comes next; as a whole within 90 s, also of who sends a byte now and then. */
int __must_check peerlink_recv_item(struct peerlink *l, struct peerlink_item *item,
				    struct error *e);
/* Tells the host that has connected why nothing is taken from it; waits: until it has ended the
 * connection, so that it hears that whatever it has sent. */
void peerlink_refuse(struct peerlink *l, const char *why, bool waits);
/* Whether the other host ended the connection in order, and was not cut off. */
bool peerlink_has_ended(const struct peerlink *l);
/* For poll(); nothing has to come there when peerlink_has() already. */
int peerlink_fd(const struct peerlink *l);
bool peerlink_has(const struct peerlink *l);
/* l may be NULL. */
void peerlink_close(struct peerlink *l);

#endif
