/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operator's change of what is stored of a vTPM: has this host claim it, changes it, waits
 * until that is stored, and gives the claim back, if the vTPM does not run here.
 *
 *   claims   store_claim() is under way, for STORE_ETCD_CLAIM_S at most
 *   stores   run() has changed it, and etcd is to say that it has it, within HOLD_STORE_S
 *
 * In a folder either is done at once.  done() is called once, but after hold_cancel(): with it the
 * claim is given back as well, and what run() has changed is stored or not.
 */
#ifndef VTPMD_HOLD_H
#define VTPMD_HOLD_H

#include "lib/error.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_STORE_S 30

struct vtpm;
struct vtpmd;

struct hold {
	/* The vTPM is claimed, and runs as it did; may free it. */
	int (*run)(void *ctx, struct vtpm *v, struct error *e);
	/* A line about what is waited for. */
	void (*progress)(void *ctx, const char *text);
	/* rc and *e as of the claim, run(), or what etcd says of it.  May begin another one. */
	void (*done)(void *ctx, int rc, const struct error *e);
	void *ctx;
	bool absent_too; /* run() also if etcd has nothing of the vTPM */
	/* its own */
	struct hold *next; /* of the vTPM's */
	struct vtpmd *d;   /* NULL: nothing is held */
	struct vtpm *v;	   /* NULL: it is gone */
	struct event *poll;
	uint8_t uuid[16];
	char name[65];
	bool ran, told;
	int64_t since;	 /* ms */
	uint64_t change; /* the last one of run()'s (store_etcd_last()) */
};

/* Begins with the members above, which are set; done() may be called within the call. */
void hold_begin(struct hold *h, struct vtpm *v);
/* Nobody waits any more. */
void hold_cancel(struct hold *h);
/* The vTPM goes. */
void hold_leave(struct vtpm *v);

#endif
