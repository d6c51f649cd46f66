/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control channel of swtpm, as a front: what QEMU's -tpmdev emulator and swtpm_ioctl talk
 * to.  Numbers and layouts are those of <swtpm/tpm_ioctl.h>, version 0.9; all integers are
 * big-endian.
 *
 * A request is what has come when it is whole; bytes behind it in the same packet are a
 * client's padding, as swtpm takes them.  One that is too long, or is not whole when nothing
 * more has come for CONTROL_SILENCE_MS, is answered with TPM_BAD_PARAMETER, and the connection
 * goes on.  Nothing here waits for a client.  CONTROL_CLIENTS have a connection; the next is
 * closed at once.
 *
 * While the TPM works (front_ops.check_cancel), CANCEL_TPM_CMD is answered, and SHUTDOWN
 * cancels the command; all else is answered after it.
 */
#ifndef XVTPM_MANAGER_CONTROL_H
#define XVTPM_MANAGER_CONTROL_H

#include "include/compiler.h"
#include "lib/error.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/front.h"
#include "stubdom/manager/socket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_CLIENTS	    4
#define CONTROL_SILENCE_MS  500
#define CONTROL_REQUEST_MAX (1024 * 1024 + 16) /* SET_STATEBLOB with a whole state */

enum control_command {
	CMD_GET_CAPABILITY = 1,
	CMD_INIT = 2,
	CMD_SHUTDOWN = 3,
	CMD_GET_TPMESTABLISHED = 4,
	CMD_SET_LOCALITY = 5,
	CMD_HASH_START = 6,
	CMD_HASH_DATA = 7,
	CMD_HASH_END = 8,
	CMD_CANCEL_TPM_CMD = 9,
	CMD_STORE_VOLATILE = 10,
	CMD_RESET_TPMESTABLISHED = 11,
	CMD_GET_STATEBLOB = 12,
	CMD_SET_STATEBLOB = 13,
	CMD_STOP = 14,
	CMD_GET_CONFIG = 15,
	CMD_SET_DATAFD = 16,
	CMD_SET_BUFFERSIZE = 17,
	CMD_GET_INFO = 18,
	CMD_LOCK_STORAGE = 19,
};

/* The TPM behind the channel.  All but is_on: 0 or -errno. */
struct control_tpm {
	void *ctx;
	enum engine_version version;
	bool (*is_on)(void *ctx);
	/* _TPM_Init, or power on.  A stored volatile state is what it goes on with, and
	 * drop_volatile is that it does so once. */
	int (*init)(void *ctx, bool drop_volatile);
	int (*stop)(void *ctx);
	int (*store_volatile)(void *ctx);
	/* As engine_set_blob(). */
	int (*set_blob)(void *ctx, enum engine_blob which, const uint8_t *blob,
			size_t len);
	/* For all commands from now on; kept over init and stop. */
	void (*set_locality)(void *ctx, uint8_t locality);
	/* A socket for commands: its owner from now on, unless it fails (-EBUSY). */
	int (*take_data)(void *ctx, int fd);
	/* The process is to end, once what was answered is sent. */
	void (*end)(void *ctx);
};

/* How many bytes the request that begins in buf has; 0 while that is not known.  May be more
 * than CONTROL_REQUEST_MAX. */
size_t control_request_size(const uint8_t *buf, size_t len);
/* Carries out the request in buf, of len bytes, of which control_request_size() are there.
 * *fd: a descriptor that came with it, or -1; -1 after it when it was taken.  The response is
 * malloc()ed; NULL: no memory. */
uint8_t *control_answer(const struct control_tpm *tpm, const uint8_t *buf, size_t len,
			int *fd, size_t *rsp_len);

/* Takes client, unless -1, as the first one; listener->fd may be -1.  Both stay open until
 * fronts_close(); the listener stays the caller's. -ENOMEM */
int __must_check control_front(struct front **f, const struct listener *listener,
			       int client, const struct control_tpm *tpm,
			       struct error *e);

#endif
