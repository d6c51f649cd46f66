/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which domains a vTPM was given to, and whether it goes on for one that comes.
 *
 * A TPM is started again for a domain, once in that domain's life; it is known by its
 * uuid and its number, for as long as Xen has it.  Each start ("power-on") has a number
 * that vtpmd draws, and that the manager repeats:
 *
 *   comes for the first time            -> new: a power-on of its own
 *   had this power-on before            -> same: its driver was reloaded, or it was
 *                                          detached and attached
 *   came last, and the manager still    -> new, as before: vtpmd died before the manager
 *     has the power-on of then             had its answer
 *   had another power-on before         -> refused, as that one's PCRs are lost: the TPM
 *                                          served another domain since, or was restarted
 *   is the saved one, to be resumed     -> resumed: the power-on that it was saved with
 *   comes by `xl migrate`, and the vTPM -> resumed: the manager's own, which the source's
 *     comes with it, from its last host    manager has no say in
 *   was saved at the vTPM's last host,  -> resumed: that power-on, which came with the vTPM
 *     is to be resumed
 *   comes by `xl migrate` otherwise     -> refused
 *   is restored by a launch, and its    -> refused: it was not booted by that launch, so
 *     power-on is lost                     that what this measured is not its
 *
 * All is kept in the file guests-UUID of vtpmd's run folder, which lasts as long as the
 * domains do, and so outlives vtpmd; guests_released() takes out who has ended.
 */
#ifndef VTPMD_GUESTS_H
#define VTPMD_GUESTS_H

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/cursor.h"

struct xen;

/* Domains that live and had this vTPM; more are refused. */
#define GUESTS_MAX 16
/* A saved guest is back by then, or somebody forgot it. */
#define GUESTS_RESUME_S (10 * 60)

struct guest {
	uint32_t domid;
	uint8_t uuid[16];
	uint64_t on; /* the power-on that it had */
};

enum guests_resume {
	GUESTS_RESUME_NONE,
	GUESTS_RESUME_TIMED,	/* until a time of CLOCK_BOOTTIME, in seconds */
	GUESTS_RESUME_LAUNCHED, /* as long as the launch's xl is there */
	GUESTS_RESUME_LOST,	/* it was, and another guest came, or it was revoked */
};

struct guests_place {
	struct xen *xen; /* NULL: tests without Xen, where every guest is new */
	int run_dir;
	const uint8_t *vtpm; /* its uuid */
};

struct guests {
	struct guests_place at;
	unsigned int count;
	struct guest one[GUESTS_MAX];
	struct guest last; /* on 0: there was none */
	uint64_t asked;	   /* the manager's power-on when that one came, 0: none */
	enum guests_resume resume;
	uint8_t saved[16]; /* the uuid that the resumed domain has */
	uint64_t until;
	bool launched; /* as in struct meta */
	/* The vTPM comes from another host, and no guest has it before it is there, but one:
	 * the domain with this uuid, which comes with it. */
	bool arrives, has_company;
	uint8_t company[16];
};

/* Which guests are served. */
enum guests_served {
	GUESTS_ALL,
	GUESTS_MEASURED_UNTIL_STOPPED, /* since a launch */
	GUESTS_MEASURED,	       /* as the header says, for good */
};

struct guests_verdict {
	enum channel_guest what;
	bool measured;	  /* by a launch that is held; its list was written */
	uint8_t uuid[16]; /* the domain's */
	uint64_t on;	  /* its power-on from now on */
	const char *why;  /* it is refused: a sentence, with the next step */
};

/* Whether it is a guest that xl receives and has not started yet.  *rc: 0, or that the name
 * could not be read. */
bool guests_is_incoming(struct xen *x, uint32_t domid, int *rc);

/* Reads the file of the vTPM's that at names.  Without one, or with one that makes no sense, none is known. */
void guests_load(struct guests *g, const struct guests_place *at);
/* Judges domain domid; on: the manager's power-on, 0 none.  The measurements of a
 * launched guest that is new go to list.  0; -EPERM, it is refused; else what could not
 * be asked or kept: refuse it, too; why is set. */
int __must_check guests_judge(struct guests *g, uint32_t domid, uint64_t on,
			      enum guests_served served, struct guests_verdict *v,
			      struct cursor *list);
enum guests_restored {
	GUESTS_GOES_ON,	   /* it finds what it had */
	GUESTS_MAY_RESUME, /* it could, by guests_resume() */
	GUESTS_HAS_LOST,
};
/* What a restored domain will find, before it is judged. */
enum guests_restored guests_expect(const struct guests *g, uint32_t domid, uint64_t on);
/* A domain of Xen's has ended: forgets those that are gone. */
void guests_released(struct guests *g);
/* The next guest goes on with power-on on, if it is the last one's: by its uuid; or, not
 * NULL, the launched domain with this one, as long as its xl is there.  -ESTALE: the
 * TPM was restarted since the last one; -EBUSY: another launch restores a guest. */
int __must_check guests_resume(struct guests *g, uint64_t on, const uint8_t *launched);
/* -EIO, ...: the file has what it had. */
int __must_check guests_set_launched(struct guests *g, bool launched);
/* The vTPM comes from another host, and with it the domain with this uuid; NULL: none, or
 * it is not known any more.  false: it is there. */
void guests_arrive(struct guests *g, bool arrives, const uint8_t *uuid);
/* The vTPM comes from another host, alone: the guest that had it last there was saved, has this
 * uuid, and left it at power-on on, which its manager keeps; on 0: none was.  So a resume here is
 * refused as there, when the TPM was started again since.  -EIO */
int __must_check guests_take_saved(struct guests *g, const uint8_t uuid[16], uint64_t on);
/* No guest is resumed. */
void guests_revoke(struct guests *g);
/* Domain uuid is launched to boot: an earlier launch, whose xl ended, restores it not. */
void guests_boots(struct guests *g, const uint8_t uuid[16]);
/* Whether a launch, whose xl is there, restores a guest that has not come yet. */
bool guests_restores(const struct guests *g);
bool guests_resumes(const struct guests *g);
/* Whether the last guest was this domain: what the TPM holds is what it left. */
bool guests_was_last(const struct guests *g, const uint8_t uuid[16]);

#endif
