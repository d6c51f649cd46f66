/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vtpm-crb processes: the TPM on an HVM guest's board (frontend/crb).  One is started
 * when a vTPM's manager asks for such a guest, before the guest runs, and ends with it.
 *
 *   crb_start() -> starting -> (it wrote its nodes) ready -> (the guest ended) over -> gone
 *                                   |  it died: its grants and event channels are kept
 *                                   +- here, and the next one goes on with them
 *
 * over: it has nothing of the guest's any more, and gets the response to a last command.
 *
 * It does not end with vtpmd: crb_load() finds what an earlier vtpmd left, and systemd keeps
 * the descriptors meanwhile (FileDescriptorStoreMax=).  The file
 * crb-UUID of the run folder (frontend/crb/saved.h) outlives both, and goes along with a
 * guest that is saved and restored.
 */
#ifndef VTPMD_CRB_H
#define VTPMD_CRB_H

#include "lib/ppi.h"
#include "include/compiler.h"
#include "tools/vtpmd/vtpmd.h"

#include <stdbool.h>
#include <stdint.h>

struct move_board;

struct crb_guest {
	const uint8_t *vtpm; /* its uuid */
	const char *name;    /* of the vTPM */
	uint32_t domid;	     /* the guest's */
	uint32_t backend;    /* the domain of the vTPM's manager */
	uint8_t localities;
	bool restored; /* its TPM goes on as it was saved ... */
	bool lost;     /* ... or would, but what it held is lost: each command fails */
	struct ppi_told ppi_told;
	uint32_t ppi_request; /* that is pending */
	/* it comes with its TPM from another host, where its board was so; NULL: it does not */
	const struct move_board *moved;
};

/* Whether a domain is an HVM guest, which has no driver for a vTPM. */
bool crb_is_wanted(const struct vtpmd *d, uint32_t domid);
/* Ends that of a vTPM whose guest has ended, which may not have been noticed yet. */
void crb_release(const uint8_t vtpm[16]);
/* Whether a domain that has not run yet was restored with this board, and so has a TPM that
 * goes on: not one that a vtpmd has begun with, and been killed. */
bool crb_is_restored(struct vtpmd *d, const uint8_t vtpm[16], uint32_t domid);
/* Starts one for a guest that has not run yet; does nothing when it has one.  Fails with
 * *why, a sentence. */
int __must_check crb_start(struct vtpmd *d, const struct crb_guest *g, const char **why);
/* Whether it is there: nothing of the guest's is lost from then on. */
bool crb_is_ready(const uint8_t vtpm[16]);
/* Whether a command of its guest has no response yet. */
bool crb_is_busy(const uint8_t vtpm[16]);
/* The board of a guest that is suspended.  -ENOENT: it has none; -EIO */
int __must_check crb_take_board(struct vtpmd *d, const uint8_t vtpm[16],
				struct move_board *b);
/* The guest of a vTPM requests an operation of physical presence; 0: none any more.  false:
 * that cannot be noted now, and is to be told again. */
typedef bool crb_request(struct vtpmd *d, const uint8_t vtpm[16], uint32_t operation);
/* Those of an earlier vtpmd.  requested() is called some seconds after a guest requests
 * something, or at its end.  -ENOMEM, -EIO */
int __must_check crb_load(struct vtpmd *d, crb_request *requested);
/* Has the guest of a vTPM, if it has one, read this. */
void crb_tell_presence(const uint8_t vtpm[16], const struct ppi_told *told,
		       uint32_t request);
/* The vTPM's manager has ended: a guest that has it is without a TPM until it starts again,
 * as its PCRs are lost. */
void crb_lost(const uint8_t vtpm[16]);
/* The same of one that moved away: its guest has, too. */
void crb_left(const uint8_t vtpm[16]);
/* The vTPM is deleted: what is kept of its last guest goes, too. */
void crb_forget(struct vtpmd *d, const uint8_t vtpm[16]);
/* vtpmd ends; the processes stay. */
void crb_end(struct vtpmd *d);

#endif
