/* SPDX-License-Identifier: Apache-2.0 */
#include "firmware.h"
#include "command.h"
#include "firmware_clock.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

static int startup(struct command *c)
{
	int rc;

	command_begin(c, TPM2_CC_Startup);
	cursor_put_u16(&c->in, TPM2_SU_CLEAR);
	rc = command_run(c);
	return rc == -EREMOTEIO && c->rc == TPM2_RC_INITIALIZE ? 0 : rc;
}

/* Part 3, 24.8 */
static int take_platform(struct firmware *f, struct command *c)
{
	uint8_t auth[FIRMWARE_AUTH_SIZE];
	int rc;

	if (RAND_priv_bytes(auth, sizeof(auth)) != 1)
		return -EIO;
	command_begin(c, TPM2_CC_HierarchyChangeAuth);
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, sizeof(auth));
	cursor_put(&c->in, auth, sizeof(auth));
	rc = command_run(c);
	if (!rc) {
		memcpy(f->platform_auth, auth, sizeof(auth));
		f->platform_auth_len = sizeof(auth);
	}
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}

int firmware_start(struct firmware *f)
{
	struct command c;
	int rc;

	firmware_wipe(f);
	rc = startup(&c);
	if (!rc)
		rc = firmware_clock(&c);
	if (!rc)
		rc = take_platform(f, &c);
	command_wipe(&c);
	return rc;
}

int firmware_failed(int rc, struct error *e)
{
	if (rc == -EREMOTEIO || rc == -EBADMSG || rc == -EMSGSIZE)
		return error_set(e, rc, CAUSE_ENGINE, "the TPM could not be started");
	/* after a crash a start changes the state: firmware_clock.h */
	return error_set(e, rc, CAUSE_STORE,
			 "the TPM's state could not be stored as it was started: %s",
			 strerror(-rc));
}

void firmware_wipe(struct firmware *f)
{
	OPENSSL_cleanse(f, sizeof(*f));
}
