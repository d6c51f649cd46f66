/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a transport: one request and its reply, and the return of a lost
 * vtpmd.  Private to hostchan*.c.
 *
 * States: up (HELLO was answered, or is being said) <-> down (listening for
 * vtpmd).  A channel that is not running goes down only once: -EPIPE for ever.
 */
#ifndef XVTPM_HOSTCHAN_CALL_H
#define XVTPM_HOSTCHAN_CALL_H

#include "hostchan_io.h"
#include "lib/channel.h"

struct hostchan {
	struct hostchan_io io;
	struct channel_reader in;
	uint32_t last_id;
	bool up;
	bool running;
	/* events that arrived and were not yet taken */
	bool stop, status, guest, rekey, deep, identity, attest;
	uint8_t uuid[16];
	const uint64_t *seq;
};

/* A request: its payload is head, then body.  After a reconnection a call that
 * may be repeated is sent again, any other one fails with -EPIPE. */
struct hostchan_call {
	uint16_t type;
	bool repeat;
	int ms; /* limit for the reply; 0: none */
	const uint8_t *head;
	size_t head_len;
	const uint8_t *body;
	size_t body_len;
	/* out: what stands behind the status; free(reply) */
	uint8_t *reply;
	size_t reply_len;
	char text[160]; /* out: the sentence of a refusal */
};

/* 0; -EPIPE: no connection; else the negative errno that vtpmd replied. */
int __must_check hostchan_call(struct hostchan *h, struct hostchan_call *c);
/* The same; what stands behind the status is the caller's, free(*buf). */
int __must_check hostchan_call_bytes(struct hostchan *h, struct hostchan_call *c,
				     uint8_t **buf, size_t *len);
int64_t hostchan_call_now_ms(void); /* CLOCK_MONOTONIC */
/* Waits until there is a connection; -EPIPE: not within ms. */
int __must_check hostchan_call_await(struct hostchan *h, int ms);
/* Sends a request and never looks at its reply. */
int hostchan_call_later(struct hostchan *h, struct hostchan_call *c);
/* Says HELLO to a vtpmd that has just come; the reply is in *c. */
int __must_check hostchan_call_hello(struct hostchan *h, struct hostchan_call *c);
/* Takes in what has arrived, without waiting; -EPIPE when the channel is over. */
int __must_check hostchan_call_poll(struct hostchan *h);

#endif
