/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways on which TPM commands reach a vTPM.  A front knows one: backend/tpmif.h is a
 * guest's shared page, socket.h a stream socket.  Several may be open for one TPM, of
 * which one at a time has the guest.
 *
 * Single-threaded.  A front's constructor opens what takes rights; fronts_open() offers
 * the TPM, once it can serve; then the owner calls fronts_serve() in a loop.
 */
#ifndef XVTPM_MANAGER_FRONT_H
#define XVTPM_MANAGER_FRONT_H

#include "include/compiler.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRONT_POLLFDS 5 /* of one front, at most */
#define FRONTS_MAX    2

/* Who does what a machine's firmware does between _TPM_Init and the first command of a
 * guest (firmware.h): Startup, the clock, platformAuth. */
enum front_firmware {
	FRONT_FIRMWARE_MANAGER,
	FRONT_FIRMWARE_GUEST, /* it has one, and finds platformAuth empty */
};

struct front_guest {
	uint32_t domid;
	/* 16 bytes, which its device has instead of the vTPM's uuid, perhaps since the
	 * toolstack was given none; NULL: it has the vTPM's. */
	const uint8_t *device;
};

/* The TPM behind the fronts. */
struct front_tpm {
	void *ctx;
	/* A guest is to have this TPM: gets it ready, by _TPM_Init and what *firmware
	 * says, unless the domain had it before.  An HVM guest has a firmware of its own:
	 * *firmware says so then.  Fails with *why, a sentence: the guest is refused. */
	int (*adopt)(void *ctx, const struct front_guest *g,
		     enum front_firmware *firmware, const char **why);
	/* A front has refused domain domid itself, without adopt(); why: a sentence.  NULL:
	 * nobody wants to know. */
	void (*refused)(void *ctx, uint32_t domid, const char *why);
	/* Runs one command and returns when the state that it changed is durable.
	 * rsp_len: in, room (4096); out, bytes.  Negative: nothing may be shown,
	 * the guest gets TPM_RC_FAILURE. */
	int (*execute)(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
		       uint8_t *rsp, size_t *rsp_len);
	/* The command in flight shall end early; from fronts_check_cancel(). */
	void (*cancel)(void *ctx);
};

struct front_config {
	char uuid[37];	    /* of this vTPM, as text */
	uint8_t localities; /* bit n: a guest may use locality n (0 to 4) */
	bool tpm12; /* what a front refuses itself, it refuses as a TPM 1.2 does */
};

struct front_stats {
	uint64_t commands; /* answered by the TPM */
	uint64_t refused;  /* answered without it: malformed, locality */
	bool present;	   /* there is a guest; domid is valid */
	bool connected;	   /* its driver shares a page with us */
	uint32_t domid;
};

struct fronts;

/* The first member of each front's own struct; its constructor sets ops. */
struct front {
	const struct front_ops *ops;
	struct fronts *all; /* set by fronts_add() */
};

struct front_ops {
	enum front_firmware firmware;
	/* Offers the TPM.  NULL: the constructor did. */
	int (*open)(struct front *f, const struct front_config *config);
	/* What to poll for POLLIN; returns how many. */
	nfds_t (*pollfds)(struct front *f, struct pollfd fds[static FRONT_POLLFDS]);
	/* Serves what has come, as fds say, or does what timeout() was for, without
	 * waiting.  -errno: its clients are lost for good. */
	int (*ready)(struct front *f, const struct pollfd *fds);
	/* For how long at most to poll, in ms; -1, as NULL: without limit. */
	int (*timeout)(const struct front *f);
	/* Passes its guest's cancel on to front_tpm.cancel(); NULL: there is none. */
	void (*check_cancel)(struct front *f);
	/* The TPM is held: guests come and go, as far as adopt() lets them, but nothing is
	 * executed and nobody is connected or disconnected until it is not held any more.
	 * NULL: nothing is looked at meanwhile. */
	void (*hold)(struct front *f, bool held);
	void (*stats)(const struct front *f, struct front_stats *s);
	void (*close)(struct front *f);
};

/* Starts zeroed, but for tpm. */
struct fronts {
	struct front_tpm tpm;
	struct front *front[FRONTS_MAX];
	unsigned int n;
	bool held, ended;
};

/* From now on f is closed by fronts_close(). */
void fronts_add(struct fronts *s, struct front *f);
int __must_check fronts_open(struct fronts *s, const struct front_config *config);
/* Waits until a front or *own has something to do, for ms at most (-1: without limit),
 * and has each front do it.  Returns 0 when the time has passed, 1, and own->revents is
 * set, or -errno. */
int __must_check fronts_serve(struct fronts *s, struct pollfd *own, int ms);
/* While its TPM moves to another host, or comes from one (tools/vtpmd/handover.h). */
void fronts_hold(struct fronts *s, bool held);
/* From within execute(): nothing is answered any more, also not what that returns, and
 * fronts_serve() returns -ESHUTDOWN. */
void fronts_end(struct fronts *s);
/* For anyone who gets the processor while the TPM works; fronts: a struct fronts. */
void fronts_check_cancel(void *fronts);
/* Of all: the sums, and the guest that one of them has. */
void fronts_stats(const struct fronts *s, struct front_stats *sum);
void fronts_close(struct fronts *s);

/* For a front: tells the TPM's owner of a guest that is refused without asking the TPM. */
void front_refuse(struct front *f, uint32_t domid, const char *why);
/* For a front: asks the TPM for its guest, unless another front has one.  As adopt(). */
int __must_check front_adopt(struct front *f, const struct front_guest *g,
			     enum front_firmware *firmware, const char **why);

#endif
