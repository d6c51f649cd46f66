/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of Xen that moves with its vTPM: `xl migrate` here and `xl migrate-receive` there are
 * children of vtpmctl, and what they say to each other (xlgate.h) passes through the connection
 * that carries the handover's messages.
 *
 *	source					destination
 *	what a launched guest boots: xlimages.h
 *	START -------------------------------->	starts xl
 *			    <------------------	BANNER
 *	pieces of the stream ----------------->
 *			    <------------------	TAKEN: as many bytes more may come
 *	the guest is suspended (xlwatch.h): vtpmd exports, and the destination's is prepared,
 *	while the last pieces follow, and xl there makes the guest
 *			    <------------------	READY, held at the source, until that is so;
 *	xl gets READY, and says GO, held, while vtpmd commits; the destination's owns it
 *	GO ----------------------------------->	passes if vtpmd there says that it owns it
 *			    <------------------	REPORT
 *	xl ends with 0; vtpmd finishes
 *			    or <---------------	GIVE_BACK, passes if vtpmd here says it has it
 *
 * Messages come between, either way.  When the connection was lost, on a new one the name of the
 * vTPM, as a piece of data, asks what became of it; the answer are the destination's messages.  Then
 * DOES_RUN asks what became of the guest.  The source destroys its own, which may be all that is left of
 * the guest, only when xl's REPORT, of whichever connection, says that it was started.
 */
#ifndef XVTPM_VTPMCTL_XLMIGRATE_H
#define XVTPM_VTPMCTL_XLMIGRATE_H

#include "tools/vtpmctl/migrate.h"

/* In the low 8 bits of a word. */
enum xlword {
	XLWORD_START = 1,
	XLWORD_ALIVE = 2, /* now and then, each way */
	XLWORD_TAKEN = 3, /* value: bytes */
	XLWORD_BANNER = 4,
	XLWORD_READY = 5,
	XLWORD_GO = 6,
	XLWORD_REPORT = 7, /* value: its byte */
	XLWORD_GIVE_BACK = 8,
	XLWORD_GONE = 9,       /* xl has ended there */
	XLWORD_HAND_BACK = 10, /* GO is never sent: the vTPM shall go back */
	XLWORD_IMAGE = 11,     /* of what a launched guest boots: xlimages.h */
	XLWORD_REFUSED = 12,   /* that, or the guest that boots it */
	XLWORD_IS_HEARD = 13,  /* this host's own: whether it is, which ALIVE answers */
	XLWORD_DOES_RUN = 14,  /* the guest?  REPORT answers, with 0 if it was started */
};

#define XLWORD(kind, value) ((uint32_t)(kind) | (uint32_t)(value) << 8)
#define XLWORD_KIND(word)   ((word)&0xff)
#define XLWORD_VALUE(word)  ((word) >> 8)

#define XL_WINDOW  (2u * 1024 * 1024) /* bytes on their way, at most */
#define XL_PIPE	   (1024 * 1024)      /* of xl's pipes: fewer turns of xl and vtpmctl */
#define XL_TICK_MS 2000
#define XL_QUIET_S 90 /* in which the other host says nothing: it is gone */

/* Finds the guest m->name, and the one vTPM that it has, which m->name is then; or m->name is
 * a vTPM that no guest has, unless m->with_guest: m->gone, and no sentence, then.  An exit status,
 * and a sentence on stderr. */
int __must_check xlguest_find(struct migrate *m);

/* Its description, a new object; NULL: xl does not tell it. */
json_t *xlguest_config(const struct migrate *m);
/* The guest that the vTPM m->name has, if any, as `xl migrate` may have left it: m->domid.  An exit
 * status, and m->said: whether there is one cannot be told. */
int __must_check xlguest_of(struct migrate *m);
/* The names of all guests that have a vTPM of this host; NULL, and a sentence on stderr. */
json_t *xlguest_all(const struct migrate *m);
/* What vtpmd says of this host's vTPMs that no domain has, an array; those that move are left out. */
json_t *xlguest_unused(const struct migrate *m);

/* xl migrate-receive calls a guest NAME--incoming, paused, until it may start it, and then gives
 * it its name and lets it run.  These do what an xl that was killed has left undone, for
 * m->comes: the first destroys a guest that may never start here, the second starts one that
 * may; *runs: it was there.  An exit status; VTPMCTL_OK also when there is none. */
int __must_check xlguest_drop_incoming(struct migrate *m);
int __must_check xlguest_start_incoming(struct migrate *m, bool *runs);
/* m->comes becomes what vtpmd says of m->vtpm; NULL when it has none of that name. */
void xlguest_note_vtpm(struct migrate *m);

#define EVACUATE_JOBS_MAX 16

/* An exit status. */
int __must_check evacuate_run(const struct migrate *m);
/* Until the vTPM is here again, or the other host has it and has said that the guest runs there, which
 * m->runs is then; never_went: GO was not sent, so that the other host may give it back.  When neither
 * is so within five minutes, or the last answer comes later, the guest stays suspended, of which a
 * sentence was printed. */
int __must_check xlsettle(struct migrate *m, bool never_went, char text[CLIENT_TEXT],
			  struct error *e);
/* `migrate --continue` of a vTPM with a guest; what vtpmd says of it is known. */
int __must_check xlcontinue_run(struct migrate *m, char text[CLIENT_TEXT],
				struct error *e);

/* The guest here goes on if it stays suspended; the vTPM is this host's.  An exit status. */
int __must_check xlresume(const struct migrate *m);
/* Whether the domain of m->domid runs, neither paused nor ended, as libxl says. */
bool xlruns(const struct migrate *m);

/* From "proved" to the end.  An exit status. */
int __must_check xlmigrate_run(struct migrate *m, char text[CLIENT_TEXT],
			       struct error *e);
/* Of the destination, once START has come; until the connection ends. */
int __must_check xlreceive_run(struct migrate *m, const char *peer,
			       char text[CLIENT_TEXT], struct error *e);

/* xl migrate of the guest, whose transport hands its pipes over.  Returns 0, or -1. */
struct xlpipes {
	pid_t pid;
	int guard; /* the transport's; when it is closed without a word it continues */
	int from, to;
};
int __must_check xlpipe_start(const struct migrate *m, struct xlpipes *x);
/* Ends the transport, and waits until xl has ended; its status, or -1. */
int xlpipe_wait(struct xlpipes *x, int seconds);
void xlpipe_close(struct xlpipes *x);

#endif
