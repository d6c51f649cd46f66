/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include "lib/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_nvfilename.h>

#define TAG_NO_SESSIONS 0x8001
#define RC_FAILURE	0x101

static struct {
	struct engine_store store;
	bool running;
	bool broken; /* the store failed: memory may be newer than the disk */
	bool making; /* libtpms finds nothing, manufactures, and reads it again */
	uint8_t locality;
	/* What libtpms wants stored, until engine code stores it. */
	uint8_t *pending;
	size_t pending_len;
	/* Its response buffer, kept from command to command. */
	unsigned char *rsp;
	uint32_t rsp_size, rsp_room;
} engine;

static void drop_pending(void)
{
	if (engine.pending)
		OPENSSL_cleanse(engine.pending, engine.pending_len);
	free(engine.pending);
	engine.pending = NULL;
	engine.pending_len = 0;
}

static TPM_RESULT nvram_init(void)
{
	return TPM_SUCCESS;
}

/* What libtpms stored is what it reads, whether it has left the engine or not:
 * manufacturing stores a state, powers off, and starts from what it loads then. */
static int load_pending(uint8_t **state, size_t *len)
{
	*state = malloc(engine.pending_len);
	if (!*state)
		return -ENOMEM;
	memcpy(*state, engine.pending, engine.pending_len);
	*len = engine.pending_len;
	return 0;
}

static TPM_RESULT nvram_load(unsigned char **data, uint32_t *length, uint32_t number,
			     const char *name)
{
	uint8_t *state;
	size_t len;
	int rc;

	if (strcmp(name, TPM_PERMANENT_ALL_NAME) || (engine.making && !engine.pending))
		return TPM_RETRY; /* none */
	rc = engine.pending ? load_pending(&state, &len)
			    : engine.store.load(engine.store.ctx, &state, &len);
	if (rc)
		return TPM_FAIL;
	*data = state;
	*length = (uint32_t)len;
	return TPM_SUCCESS;
}

/* Several stores of one command become one write, after it. */
static TPM_RESULT nvram_store(const unsigned char *data, uint32_t length, uint32_t number,
			      const char *name)
{
	uint8_t *copy;

	if (strcmp(name, TPM_PERMANENT_ALL_NAME))
		return TPM_SUCCESS;
	copy = malloc(length);
	if (!copy)
		return TPM_FAIL;
	memcpy(copy, data, length);
	drop_pending();
	engine.pending = copy;
	engine.pending_len = length;
	return TPM_SUCCESS;
}

static TPM_RESULT nvram_delete(uint32_t number, const char *name, TPM_BOOL must_exist)
{
	return TPM_SUCCESS;
}

static TPM_RESULT get_locality(TPM_MODIFIER_INDICATOR *locality, uint32_t number)
{
	*locality = engine.locality;
	return TPM_SUCCESS;
}

static TPM_RESULT get_presence(TPM_BOOL *present, uint32_t number)
{
	*present = FALSE;
	return TPM_SUCCESS;
}

static int commit(bool clock_only)
{
	int rc;

	if (!engine.pending)
		return 0;
	rc = engine.store.save(engine.store.ctx, engine.pending, engine.pending_len,
			       clock_only);
	drop_pending();
	return rc;
}

static int register_callbacks(void)
{
	static struct libtpms_callbacks callbacks = {
		.sizeOfStruct = sizeof(callbacks),
		.tpm_nvram_init = nvram_init,
		.tpm_nvram_loaddata = nvram_load,
		.tpm_nvram_storedata = nvram_store,
		.tpm_nvram_deletename = nvram_delete,
		.tpm_io_getlocality = get_locality,
		.tpm_io_getphysicalpresence = get_presence,
	};

	if (TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2) ||
	    TPMLIB_RegisterCallbacks(&callbacks))
		return -EIO;
	TPMLIB_SetBufferSize(ENGINE_BUFFER_SIZE, NULL, NULL);
	return 0;
}

/* libtpms must never find nothing where there should be something. */
static int look(bool create, struct error *e)
{
	uint8_t *state = NULL;
	size_t len = 0;
	int rc = engine.store.load(engine.store.ctx, &state, &len);

	if (state)
		OPENSSL_cleanse(state, len);
	free(state);
	if (!rc && create)
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "there is a state already: a new vTPM would destroy it");
	if (rc == -ENOENT && !create)
		return error_set(e, rc, CAUSE_NO_STATE,
				 "the vTPM has no state in the store: restore it from a "
				 "backup; no new one is made");
	if (rc && rc != -ENOENT)
		return error_set(e, rc, CAUSE_STORE, "the state could not be read: %s",
				 strerror(-rc));
	return 0;
}

static int power_on(bool create, struct error *e)
{
	TPM_RESULT res;
	int rc;

	engine.making = create;
	res = TPMLIB_MainInit();
	engine.making = false;
	if (res)
		return error_set(e, -EBADMSG, CAUSE_ENGINE,
				 "libtpms does not accept the state (0x%x): it may be of "
				 "a newer version; nothing was changed",
				 (unsigned int)res);
	if (create && !engine.pending)
		return error_set(e, -EIO, CAUSE_ENGINE, "libtpms made no state");
	rc = commit(false);
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "the state could not be stored: %s",
				 strerror(-rc));
	return 0;
}

int engine_open(const struct engine_store *store, bool create, struct error *e)
{
	int rc;

	engine.store = *store;
	rc = look(create, e);
	if (rc)
		return rc;
	if (register_callbacks())
		return error_set(e, -EIO, CAUSE_ENGINE, "libtpms has no TPM 2.0");
	rc = power_on(create, e);
	if (rc) {
		TPMLIB_Terminate();
		drop_pending();
		return rc;
	}
	engine.running = true;
	engine.broken = false;
	return 0;
}

/* Commands that change no state but the clock's: they use no authorization, so
 * they cannot count a failed one either. TPM 2.0 Library, Part 3. */
static bool changes_nothing(const uint8_t *cmd, size_t len)
{
	struct cursor c = cursor_reader(cmd, len);
	uint16_t tag = cursor_u16(&c);

	(void)cursor_u32(&c);
	if (tag != TAG_NO_SESSIONS)
		return false;
	switch (cursor_u32(&c)) {
	case 0x165: /* FlushContext */
	case 0x169: /* NV_ReadPublic */
	case 0x173: /* ReadPublic */
	case 0x176: /* StartAuthSession */
	case 0x177: /* VerifySignature */
	case 0x17a: /* GetCapability */
	case 0x17b: /* GetRandom */
	case 0x17d: /* Hash */
	case 0x17e: /* PCR_Read */
	case 0x17f: /* PolicyPCR */
	case 0x181: /* ReadClock */
	case 0x189: /* PolicyGetDigest */
	case 0x18a: /* TestParms */
		return true;
	default:
		return false;
	}
}

static int refuse(uint8_t *rsp, size_t *rsp_len)
{
	struct cursor w = cursor_writer(rsp, *rsp_len);

	cursor_put_u16(&w, TAG_NO_SESSIONS);
	cursor_put_u32(&w, 10);
	cursor_put_u32(&w, RC_FAILURE);
	if (!cursor_ok(&w))
		return -EMSGSIZE;
	*rsp_len = 10;
	return 0;
}

int engine_execute(uint8_t locality, const uint8_t *cmd, size_t len, uint8_t *rsp,
		   size_t *rsp_len)
{
	TPM_RESULT res;
	int rc;

	if (engine.broken || !engine.running)
		return refuse(rsp, rsp_len);
	engine.locality = locality;
	engine.rsp_size = 0;
	res = TPMLIB_Process(&engine.rsp, &engine.rsp_size, &engine.rsp_room,
			     (unsigned char *)cmd, (uint32_t)len);
	rc = commit(changes_nothing(cmd, len));
	if (!rc && res)
		rc = -EIO;
	if (!rc && engine.rsp_size > *rsp_len)
		rc = -EMSGSIZE;
	if (!rc) {
		memcpy(rsp, engine.rsp, engine.rsp_size);
		*rsp_len = engine.rsp_size;
	} else {
		engine.broken = true;
	}
	if (engine.rsp)
		OPENSSL_cleanse(engine.rsp, engine.rsp_size);
	return rc;
}

/* What a machine's system does before its power goes: without it every stop would
 * count as a failed authorization (TPM 2.0 Library, Part 1, 19.8.6).  A TPM that was
 * not started, or is broken, answers with an error, which is as good. */
static void shut_down(void)
{
	static const uint8_t shutdown[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0};
	uint8_t rsp[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(rsp);

	(void)!engine_execute(0, shutdown, sizeof(shutdown), rsp, &len);
}

int engine_power_cycle(void)
{
	int rc = 0;

	if (!engine.broken)
		shut_down();
	TPMLIB_Terminate();
	/* What a broken store did not take was promised to nobody. */
	if (engine.broken)
		drop_pending();
	else
		rc = commit(false);
	engine.broken = true;
	if (rc)
		return rc;
	rc = power_on(false, NULL);
	if (!rc)
		engine.broken = false;
	return rc;
}

void engine_cancel(void)
{
	(void)TPMLIB_CancelCommand();
}

int engine_close(void)
{
	int rc;

	if (!engine.running)
		return 0;
	if (!engine.broken)
		shut_down();
	TPMLIB_Terminate();
	if (engine.broken)
		drop_pending();
	rc = commit(false);
	free(engine.rsp);
	memset(&engine, 0, sizeof(engine));
	return rc;
}
