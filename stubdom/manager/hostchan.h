/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager's end of the host channel (include/channel.h): synchronous calls
 * over a vchan server or a socket, and reconnection.
 *
 * Before hostchan_running() a broken connection makes every call fail with
 * -EPIPE: start-up is given up with CAUSE_CHANNEL.  After it a vchan is offered
 * again: a get or put in flight waits for vtpmd to come back (without limit:
 * commands wait, none fails), HELLO is said with mode RESUMED, and it is sent
 * again.  Every other call in flight fails with -EPIPE.  A socket is not
 * re-opened: it ends with vtpmd, and the manager must end with it.
 */
#ifndef XVTPM_HOSTCHAN_H
#define XVTPM_HOSTCHAN_H

#include "lib/channel.h"
#include "stubdom/manager/state.h"

#include <sys/types.h>

struct hostchan;

/* vchan server at CHANNEL_XS_PATH of this domain, with HELLO in it; vtpmd comes meanwhile. */
int __must_check hostchan_open_vchan(struct hostchan **h, struct error *e);
/* An already connected stream socket, which is closed at the end. */
int __must_check hostchan_open_fd(struct hostchan **h, int fd, struct error *e);
void hostchan_close(struct hostchan *h);

/* Says the first HELLO, if that was not done, and waits for the answer; *config gets the malloc()ed CONFIG TLVs (without the version). */
int __must_check hostchan_hello(struct hostchan *h, uint8_t **config, size_t *len,
				struct error *e);
/* From now on a lost connection is re-opened, as vTPM uuid. */
void hostchan_running(struct hostchan *h, const uint8_t uuid[16], const uint64_t *seq);

/* How long calls have waited for their replies so far. */
uint64_t hostchan_waited_ns(const struct hostchan *h);

/* get and put of sealed objects, with put_later. */
struct state_place hostchan_place(struct hostchan *h);
/* One command to the host's TPM. rsp_len: in, room; out, bytes. 0 or -errno. */
int __must_check hostchan_tpm(void *hostchan, const uint8_t *cmd, size_t len,
			      uint8_t *rsp, size_t *rsp_len);
/* The tunnel to the KMS: struct stream of lib/kms.h, ctx is the hostchan. */
int __must_check hostchan_kms_open(void *hostchan, unsigned int nth);
int __must_check hostchan_kms_send(void *hostchan, const uint8_t *buf, size_t len);
/* Bytes received (0: end of stream) or -errno. */
int __must_check hostchan_kms_recv(void *hostchan, uint8_t *buf, size_t room);
void hostchan_kms_close(void *hostchan);

int __must_check hostchan_ready(struct hostchan *h, uint64_t seq);
/* TPM2B_PUBLICs; *known: how many of them vtpmd keeps. */
int __must_check hostchan_identity(void *hostchan, const uint8_t *keys, size_t len,
				   uint32_t *known);
/* The host's part of a deep quote, malloc()ed; it does not wait for a vtpmd that is away:
 * -EPIPE.  struct attest's host(), ctx is the hostchan. */
int __must_check hostchan_quote(void *hostchan, const uint8_t *request, size_t len,
				uint8_t **reply, size_t *reply_len);
/* Answers EVENT_ATTEST: evidence, or the error. */
void hostchan_attested(struct hostchan *h, const struct error *e, const char *evidence,
		       size_t len);
/* Answers EVENT_MOVE's step: bytes, or the error. */
int __must_check hostchan_moved(struct hostchan *h, enum channel_move step,
				const struct error *e, const uint8_t *bytes, size_t len);
/* Tells vtpmd why the manager gives up; best effort. */
void hostchan_fail(struct hostchan *h, const struct error *e);
/* malloc()ed CONFIG TLVs as they are now. */
int __must_check hostchan_config(struct hostchan *h, uint8_t **tlvs, size_t *len);
/* CHANNEL_GUEST's reply, checked. */
struct hostchan_guest {
	enum channel_guest what;
	bool measured;
	bool crb;     /* an HVM guest: vtpm-crb stands for its driver */
	bool cleared; /* by a TPM2_Clear before it starts, which hostchan_cleared() follows */
	uint64_t on;
	uint8_t *list; /* free(); NULL: none */
	size_t len;
	char why[160]; /* of a refusal: vtpmd's sentence */
};
/* Asks about domain domid, whose device has the uuid device, 16 bytes, NULL: the vTPM's;
 * on: the TPM's power-on, 0: none.  Waits for a vtpmd that is
 * away, for less than a toolstack waits for a backend, and then -EPIPE.  -EBADMSG: the
 * reply makes no sense; else vtpmd's refusal, with why. */
int __must_check hostchan_guest(struct hostchan *h, uint32_t domid, const uint8_t *device,
				uint64_t on, struct hostchan_guest *g);
/* Tells what the TPM2_Clear gave; 0: vtpmd does not ask for it again. */
int __must_check hostchan_cleared(struct hostchan *h, uint32_t code);
/* CHANNEL_RENEW.  Waits for a vtpmd that is away, or stands still.  -ESTALE etc.: the vTPM is
 * not this host's any more, or vtpmd is gone for good. */
int __must_check hostchan_renew(struct hostchan *h, uint32_t *ms);
/* Waits until something may have come, for ms at most. */
void hostchan_pause(struct hostchan *h, int ms);
/* Whether EVENT_STOP came, and hostchan_event() has not given it yet. */
bool hostchan_is_stopped(const struct hostchan *h);
/* Answers EVENT_REKEY and _REKEY_DEEP, as CHANNEL_REKEYED says. */
void hostchan_rekeyed(struct hostchan *h, const struct error *e);
/* As hostchan_log(): a guest is refused, by the manager itself. */
void hostchan_refused(struct hostchan *h, uint32_t domid, const char *why);
void hostchan_log(struct hostchan *h, int level, const char *text);

/* For the poll loop: the descriptor to wait on for POLLIN.  It may be another one
 * after each hostchan_event(), so ask again for each poll. */
int hostchan_fd(const struct hostchan *h);
/* Takes in what arrived, without waiting (but for the HELLO of a vtpmd that came
 * back): 0, or one CHANNEL_EVENT_* (STOP, STATUS); a negative errno: the channel
 * is lost for good, end.  An event may have come in beside a reply, so call this
 * before EVERY poll until it returns 0, not only when the descriptor is
 * readable. */
int __must_check hostchan_event(struct hostchan *h);
/* The payload of the event that hostchan_event() gave last, malloc()ed; NULL: none. */
uint8_t *hostchan_event_payload(struct hostchan *h, size_t *len);
/* The payload of the oldest EVENT_MOVE that was not taken, which EVENT_MOVE has the caller do:
 * hostchan_event() gives it again while there is another.  Of two of one step the newer one
 * alone is kept, behind all others: vtpmd has given the older one up. */
uint8_t *hostchan_move_payload(struct hostchan *h, size_t *len);
/* Answers EVENT_STATUS: TLVs as in enum channel_status. */
int __must_check hostchan_status(struct hostchan *h, const uint8_t *tlvs, size_t len);

/* What hostchan.c asks of a transport (transport.c): a non-blocking byte stream, a way to
 * wait for it, and, where there is one, a way to listen for a new peer after the old one
 * went. */
struct libxenvchan;
struct hostchan_io {
	const struct hostchan_io_ops *ops;
	int fd;			   /* socket transport; -1: closed */
	struct libxenvchan *vchan; /* vchan transport; NULL: closed */
};

struct hostchan_io_ops {
	/* Drops the peer and listens for the next one, without waiting for it.
	 * -EPIPE: this transport has only one life. */
	int (*reopen)(struct hostchan_io *io);
	/* A peer is there. */
	bool (*connected)(struct hostchan_io *io);
	/* Bytes moved, 0 when that is not possible now, -EPIPE when it ended. */
	ssize_t (*read)(struct hostchan_io *io, void *buf, size_t len);
	ssize_t (*write)(struct hostchan_io *io, const void *buf, size_t len);
	/* Blocks until something may have changed. -ETIMEDOUT; ms < 0: no limit. */
	int (*wait)(struct hostchan_io *io, bool to_write, int ms);
	int (*fd)(const struct hostchan_io *io);
	void (*close)(struct hostchan_io *io);
};

/* greets: says the first HELLO.  io is closed at the end, and after a failure. */
int __must_check hostchan_open(struct hostchan **h, const struct hostchan_io *io,
			       bool greets);

int __must_check hostchan_io_vchan(struct hostchan_io *io);
int __must_check hostchan_io_fd(struct hostchan_io *io, int fd);

/*
 * Frames on a transport: one request and its reply, and the return of a lost
 * vtpmd.  Private to hostchan*.c.
 *
 * States: up (HELLO was answered, or is being said) <-> down (listening for
 * vtpmd).  A channel that is not running goes down only once: -EPIPE for ever.
 */

struct hostchan_step {
	uint8_t *payload;
	size_t len;
};

struct hostchan {
	struct hostchan_io io;
	struct channel_reader in;
	uint32_t last_id;
	uint32_t hello; /* the id of the first one; 0: it was not said */
	uint64_t waited_ns;
	bool up;
	bool running;
	/* events that arrived and were not yet taken: 1 << n, hostchan.c */
	uint32_t pending;
	uint8_t *payload; /* of the last event that has one; NULL: taken */
	size_t payload_len;
	/* EVENT_MOVEs that were not taken, the oldest first, at most one of each step */
	struct hostchan_step steps[CHANNEL_MOVE_STEPS];
	size_t steps_len;
	uint8_t uuid[16];
	const uint64_t *seq;
};

#endif
