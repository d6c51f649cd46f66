/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/engine.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <endian.h>
#include <errno.h>
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_nvfilename.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENGINE_KIND_MARK_SIZE 8

enum engine_clock { ENGINE_CLOCK_NONE, ENGINE_CLOCK_TELLS, ENGINE_CLOCK_SETS };

/* A command of the engine's own. */
struct engine_command {
	uint8_t bytes[40];
	size_t len;
};

struct engine_kind {
	const char *name; /* "TPM 1.2" */
	int libtpms;	  /* enum TPMLIB_TPMVersion */
	/* Stands before libtpms's permanent state, so that a state is never taken for
	 * one of the other version.  mark_len 0: states of a TPM 2.0 had none from the
	 * first day, and libtpms's own begin with other bytes. */
	uint8_t mark[ENGINE_KIND_MARK_SIZE];
	size_t mark_len;
	uint16_t tag; /* of an answer that is an error */
	/* What a machine's system sends before its power goes; NULL: nothing.  Without
	 * it a TPM 2.0 starts as after a crash, and its clock is not safe (TPM 2.0
	 * Library, Part 1, 36.3.2). */
	const uint8_t *shutdown;
	size_t shutdown_len;
	/* What its maker runs on a new TPM, to go into its first state; NULL: nothing. */
	const struct engine_command *made;
	size_t made_len;
	/* Sets the dictionary attack parameters of manufacture; NULL: there are none. */
	const struct engine_command *parameters;
	/* Commands that set them back to libtpms's own, with lockoutAuth empty. */
	bool (*clears)(const uint8_t *cmd, size_t len, const uint8_t *rsp,
		       size_t rsp_len);
	/* Commands that change no state but the clock's. */
	bool (*changes_nothing)(const uint8_t *cmd, size_t len);
	/* What a command does with the clock. */
	enum engine_clock (*clock)(const uint8_t *cmd, size_t len);
	/* The system's own: what it saved is to be found at the next start. */
	bool (*shuts_down)(const uint8_t *cmd, size_t len, const uint8_t *rsp,
			   size_t rsp_len);
};

#define TAG_RSP_COMMAND 0x00c4
#define FAIL		9 /* TPM_FAIL */

/* TPM 2.0 Library, Part 3, 9.4: TPM2_Shutdown(TPM_SU_CLEAR) */
static const uint8_t shutdown_clear[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0};
static const uint8_t shutdown_state[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 1};

/*
 * Part 3, 25.3: TPM2_DictionaryAttackParameters with the empty lockoutAuth.  libtpms comes
 * with 3 tries, 1000 s and 1000 s, which is meant for tests.  These are what TPM chips
 * have and what Windows sets ("Manage TPM lockout", Microsoft): 32 tries, one forgotten in
 * 10 minutes; lockoutAuth after a wrong one again in 24 hours, as chips have it.
 */
#define PARAMETERS                                                                       \
	{                                                                                \
		.bytes = {0x80, 0x02, 0, 0,  0, 39, 0,	  0,	0x01, 0x3a, 0x40, 0,     \
			  0,	0x0a, 0, 0,  0, 9,  0x40, 0,	0,    9,    0,	  0,     \
			  0,	0,    0, /* RS_PW, empty */                              \
			  0,	0,    0, 32, 0, 0,  0x02, 0x58, 0,    0x01, 0x51, 0x80}, \
		.len = 39,                                                               \
	}

static const struct engine_command parameters = PARAMETERS;
static const struct engine_command made[] = {
	/* Part 3, 9.3: TPM2_Startup(TPM_SU_CLEAR) */
	{.bytes = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0}, .len = 12},
	PARAMETERS,
	{.bytes = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0}, .len = 12},
};

/* The command of a packet; 0: it is none.  Several ask for it of each command, so it is read at
 * once, and not byte by byte. */
static uint32_t command_of(const uint8_t *packet, size_t len, uint16_t *tag)
{
	struct cursor c = cursor_reader(packet, len);
	struct __attribute__((packed)) {
		uint16_t tag;
		uint32_t size, code;
	} head;

	cursor_copy(&c, &head, sizeof(head)); /* zeroes, if there are not so many */
	*tag = be16toh(head.tag);
	return be32toh(head.code);
}

/* They use no authorization, so they cannot count a failed one either. TPM 2.0
 * Library, Part 3. */
static bool changes_nothing_20(const uint8_t *cmd, size_t len)
{
	uint16_t tag;
	uint32_t command = command_of(cmd, len, &tag);

	if (tag != TPM2_ST_NO_SESSIONS)
		return false;
	switch (command) {
	case TPM2_CC_FlushContext:
	case TPM2_CC_NV_ReadPublic:
	case TPM2_CC_ReadPublic:
	case TPM2_CC_StartAuthSession:
	case TPM2_CC_VerifySignature:
	case TPM2_CC_GetCapability:
	case TPM2_CC_GetRandom:
	case TPM2_CC_Hash:
	case TPM2_CC_PCR_Read:
	case TPM2_CC_PolicyPCR:
	case TPM2_CC_ReadClock:
	case TPM2_CC_PolicyGetDigest:
	case TPM2_CC_TestParms:
		return true;
	default:
		return false;
	}
}

/* TPMS_CLOCK_INFO is in ReadClock's response and in all attestations. */
static enum engine_clock clock_20(const uint8_t *cmd, size_t len)
{
	uint16_t tag;

	switch (command_of(cmd, len, &tag)) {
	case TPM2_CC_ClockSet:
		return ENGINE_CLOCK_SETS;
	case TPM2_CC_GetCommandAuditDigest:
	case TPM2_CC_Certify:
	case TPM2_CC_CertifyCreation:
	case TPM2_CC_GetTime:
	case TPM2_CC_GetSessionAuditDigest:
	case TPM2_CC_Quote:
	case TPM2_CC_ReadClock:
	case TPM2_CC_NV_Certify:
		return ENGINE_CLOCK_TELLS;
	default:
		return ENGINE_CLOCK_NONE;
	}
}

/* Whether it was this command, and went well. */
static bool was(uint32_t command, const uint8_t *cmd, size_t len, const uint8_t *rsp,
		size_t rsp_len)
{
	uint16_t tag;

	return command_of(cmd, len, &tag) == command && rsp_len >= 10 &&
	       command_of(rsp, rsp_len, &tag) == 0;
}

static bool clears_20(const uint8_t *cmd, size_t len, const uint8_t *rsp, size_t rsp_len)
{
	return was(TPM2_CC_Clear, cmd, len, rsp, rsp_len);
}

static bool has_state_type(const uint8_t *cmd, size_t len)
{
	struct cursor c = cursor_reader(cmd, len);

	(void)cursor_bytes(&c, 2 + 4 + 4);
	return cursor_u16(&c) == TPM2_SU_STATE && cursor_done(&c);
}

static bool shuts_down_20(const uint8_t *cmd, size_t len, const uint8_t *rsp,
			  size_t rsp_len)
{
	return was(TPM2_CC_Shutdown, cmd, len, rsp, rsp_len);
}

/* A TPM 1.2 keeps no clock: what it wants stored, something has changed. */
static bool changes_nothing_12(const uint8_t *cmd, size_t len)
{
	return false;
}

static enum engine_clock clock_12(const uint8_t *cmd, size_t len)
{
	return ENGINE_CLOCK_NONE;
}

static bool clears_12(const uint8_t *cmd, size_t len, const uint8_t *rsp, size_t rsp_len)
{
	return false;
}

static bool shuts_down_12(const uint8_t *cmd, size_t len, const uint8_t *rsp,
			  size_t rsp_len)
{
	return false;
}

static const struct engine_kind kinds[] = {
	[ENGINE_TPM_20] = {.name = "TPM 2.0",
			   .libtpms = TPMLIB_TPM_VERSION_2,
			   .tag = TPM2_ST_NO_SESSIONS,
			   .shutdown = shutdown_clear,
			   .shutdown_len = sizeof(shutdown_clear),
			   .made = made,
			   .made_len = ARRAY_SIZE(made),
			   .parameters = &parameters,
			   .clears = clears_20,
			   .changes_nothing = changes_nothing_20,
			   .clock = clock_20,
			   .shuts_down = shuts_down_20},
	[ENGINE_TPM_12] = {.name = "TPM 1.2",
			   .libtpms = TPMLIB_TPM_VERSION_1_2,
			   .mark = {'X', 'V', 'T', 'P', 'M', '1', '.', '2'},
			   .mark_len = ENGINE_KIND_MARK_SIZE,
			   .tag = TAG_RSP_COMMAND,
			   .clears = clears_12,
			   .changes_nothing = changes_nothing_12,
			   .clock = clock_12,
			   .shuts_down = shuts_down_12},
};

static const struct engine_kind *engine_kind_of(enum engine_version version)
{
	return &kinds[version == ENGINE_TPM_12 ? ENGINE_TPM_12 : ENGINE_TPM_20];
}

/* The version that a state says it is of. */
static const struct engine_kind *engine_kind_find(const uint8_t *state, size_t len)
{
	const struct engine_kind *k = &kinds[ENGINE_TPM_12];

	if (len >= k->mark_len && !memcmp(state, k->mark, k->mark_len))
		return k;
	return &kinds[ENGINE_TPM_20];
}

int engine_refuse(enum engine_version version, uint32_t tpm2, uint32_t tpm12,
		  uint8_t *rsp, size_t *rsp_len)
{
	struct cursor w = cursor_writer(rsp, *rsp_len);

	cursor_put_u16(&w, engine_kind_of(version)->tag);
	cursor_put_u32(&w, 10);
	cursor_put_u32(&w, version == ENGINE_TPM_12 ? tpm12 : tpm2);
	if (!cursor_ok(&w))
		return -EMSGSIZE;
	*rsp_len = 10;
	return 0;
}

/* The answer of a TPM that has failed; NULL: of any. -EMSGSIZE */
static int engine_kind_refuse(const struct engine_kind *k, uint8_t *rsp, size_t *rsp_len)
{
	enum engine_version version =
		k == &kinds[ENGINE_TPM_12] ? ENGINE_TPM_12 : ENGINE_TPM_20;

	return engine_refuse(version, TPM2_RC_FAILURE, FAIL, rsp, rsp_len);
}

/*
 * libtpms looks now and then, in the midst of a long command, whether it was
 * cancelled.  There is one thread in a stub domain, so that this look is the only
 * moment to hear a guest's cancel: the linker (--wrap, manager.mk) leads it here.
 */

int __real__plat__IsCanceled(void);
int __wrap__plat__IsCanceled(void);

static struct {
	void (*call)(void *ctx);
	void *ctx;
} busy;

void engine_while_busy(void (*call)(void *ctx), void *ctx)
{
	busy.call = call;
	busy.ctx = ctx;
}

int __wrap__plat__IsCanceled(void)
{
	if (busy.call)
		busy.call(busy.ctx);
	return __real__plat__IsCanceled();
}

/*
 * libtpms adds g_daUsed (BOOL, an int) to the failed tries in DAStartup(), which
 * TPM2_Startup calls after an end without TPM2_Shutdown.  There is no option to
 * TPMLIB_Process() or command for it: the linker (--wrap, manager.mk) leads the call here.
 */

extern int g_daUsed;
int __real_DAStartup(int type);
int __wrap_DAStartup(int type);

static bool counted;

/* Whether the next TPM2_Startup counts an end without TPM2_Shutdown. */
static void engine_lockout_counts(bool counts)
{
	counted = counts;
}

int __wrap_DAStartup(int type)
{
	if (!counted)
		g_daUsed = 0;
	return __real_DAStartup(type);
}

#define CLOCK_FRESH_MS 3000

static struct {
	struct engine_store store;
	const struct engine_kind *kind;
	bool keep_saved;
	bool running;
	bool broken;	     /* the store failed: memory may be newer than the disk */
	bool making;	     /* libtpms finds nothing, manufactures, and reads it again */
	uint64_t durable_ms; /* when a state was stored last */
	bool shut;	     /* the last command was the client's own shutdown ... */
	bool sleeps;	     /* the client's last was that with TPM_SU_STATE */
	uint8_t locality;
	/* What libtpms wants stored, after the version mark, until engine code
	 * stores it. */
	uint8_t *pending;
	size_t pending_len;
	/* What the store has, with its mark, as long as libtpms starts, which loads it twice. */
	uint8_t *loaded;
	size_t loaded_len;
	/* TPM_SaveState's of a TPM 1.2: for the next power cycle, not for the next
	 * process. */
	uint8_t *saved;
	size_t saved_len;
	/* Its response buffer, kept from command to command. */
	unsigned char *rsp;
	uint32_t rsp_size, rsp_room;
} engine;

static void drop_engine(uint8_t **bytes, size_t *len)
{
	if (*bytes)
		OPENSSL_cleanse(*bytes, *len);
	free(*bytes);
	*bytes = NULL;
	*len = 0;
}

/* For the next start alone: engine_set_blob(). */
static struct {
	uint8_t *bytes;
	size_t len;
} next[ENGINE_BLOBS];

static uint32_t buffer_size = ENGINE_BUFFER_SIZE;

static void drop_pending(void)
{
	drop_engine(&engine.pending, &engine.pending_len);
}

static void drop_loaded(void)
{
	drop_engine(&engine.loaded, &engine.loaded_len);
}

static void drop_saved(void)
{
	drop_engine(&engine.saved, &engine.saved_len);
}

static TPM_RESULT nvram_init(void)
{
	return TPM_SUCCESS;
}

static int copy_of(const uint8_t *bytes, size_t len, uint8_t **out, size_t *out_len)
{
	*out = malloc(len ? len : 1);
	if (!*out)
		return -ENOMEM;
	memcpy(*out, bytes, len);
	*out_len = len;
	return 0;
}

/* What libtpms stored is what it reads, whether it has left the engine or not:
 * manufacturing stores a state, powers off, and starts from what it loads then. */
static int load_permanent(uint8_t **state, size_t *len)
{
	size_t mark = engine.kind->mark_len;
	int rc = 0;

	if (!engine.pending && !engine.loaded)
		rc = engine.store.load(engine.store.ctx, &engine.loaded,
				       &engine.loaded_len);
	if (!rc && engine.pending)
		rc = copy_of(engine.pending, engine.pending_len, state, len);
	else if (!rc)
		rc = copy_of(engine.loaded, engine.loaded_len, state, len);
	if (rc)
		return rc;
	if (engine_kind_find(*state, *len) != engine.kind) {
		drop_engine(state, len);
		return -EMEDIUMTYPE;
	}
	*len -= mark;
	memmove(*state, *state + mark, *len);
	return 0;
}

static TPM_RESULT nvram_load(unsigned char **data, uint32_t *length, uint32_t number,
			     const char *name)
{
	bool permanent = !strcmp(name, TPM_PERMANENT_ALL_NAME);
	bool saved = !strcmp(name, TPM_SAVESTATE_NAME);
	uint8_t *state;
	size_t len;
	int rc;

	if (!strcmp(name, TPM_VOLATILESTATE_NAME) && next[ENGINE_BLOB_VOLATILE].len &&
	    !engine.making) {
		if (copy_of(next[ENGINE_BLOB_VOLATILE].bytes,
			    next[ENGINE_BLOB_VOLATILE].len, &state, &len))
			return TPM_FAIL;
		*data = state;
		*length = (uint32_t)len;
		return TPM_SUCCESS;
	}
	if (permanent ? engine.making && !engine.pending : !saved || !engine.saved)
		return TPM_RETRY; /* none */
	rc = permanent ? load_permanent(&state, &len)
		       : copy_of(engine.saved, engine.saved_len, &state, &len);
	if (rc)
		return TPM_FAIL;
	*data = state;
	*length = (uint32_t)len;
	return TPM_SUCCESS;
}

/* Several stores of one command become one write, after it. */
static TPM_RESULT store_permanent(const unsigned char *data, uint32_t length)
{
	size_t mark = engine.kind->mark_len;
	uint8_t *copy = malloc(mark + length);

	if (!copy)
		return TPM_FAIL;
	memcpy(copy, engine.kind->mark, mark);
	memcpy(copy + mark, data, length);
	drop_pending();
	engine.pending = copy;
	engine.pending_len = mark + length;
	return TPM_SUCCESS;
}

static TPM_RESULT nvram_store(const unsigned char *data, uint32_t length, uint32_t number,
			      const char *name)
{
	if (!strcmp(name, TPM_PERMANENT_ALL_NAME))
		return store_permanent(data, length);
	if (strcmp(name, TPM_SAVESTATE_NAME) || !engine.keep_saved)
		return TPM_SUCCESS;
	drop_saved();
	return copy_of(data, length, &engine.saved, &engine.saved_len) ? TPM_FAIL
								       : TPM_SUCCESS;
}

static TPM_RESULT nvram_delete(uint32_t number, const char *name, TPM_BOOL must_exist)
{
	if (!strcmp(name, TPM_SAVESTATE_NAME))
		drop_saved();
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

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int commit(bool clock_only)
{
	int rc;

	if (!engine.pending)
		return 0;
	rc = engine.store.save(engine.store.ctx, engine.pending, engine.pending_len,
			       clock_only);
	drop_pending();
	if (!rc && !clock_only)
		engine.durable_ms = now_ms();
	return rc;
}

/*
 * libtpms has the clock stored with other changes only.  A clock in a response is at most
 * ENGINE_CLOCK_LAG_MS ahead of the stored one: libtpms puts it into its state each 4.1 s
 * (Part 1, 36.3), and a state that is older than CLOCK_FRESH_MS is stored again first.  A
 * clock that was set is stored at once.
 */
static int store_clock(enum engine_clock clock)
{
	unsigned char *state = NULL;
	uint32_t len = 0;
	int rc = 0;

	if (clock == ENGINE_CLOCK_NONE || engine.pending ||
	    (clock == ENGINE_CLOCK_TELLS &&
	     now_ms() - engine.durable_ms < CLOCK_FRESH_MS))
		return 0;
	if (TPMLIB_GetState(TPMLIB_STATE_PERMANENT, &state, &len) ||
	    store_permanent(state, len))
		rc = -EIO;
	if (state)
		OPENSSL_cleanse(state, len);
	free(state);
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

	if (TPMLIB_ChooseTPMVersion((TPMLIB_TPMVersion)engine.kind->libtpms) ||
	    TPMLIB_RegisterCallbacks(&callbacks))
		return -EIO;
	TPMLIB_SetBufferSize(buffer_size, NULL, NULL);
	return 0;
}

/* Lays out what engine_set_blob() left: libtpms reads what waits to be stored. */
static int take_next(void)
{
	int rc = 0;

	if (next[ENGINE_BLOB_PERMANENT].len &&
	    store_permanent(next[ENGINE_BLOB_PERMANENT].bytes,
			    (uint32_t)next[ENGINE_BLOB_PERMANENT].len))
		rc = -ENOMEM;
	if (!rc && next[ENGINE_BLOB_SAVED].len) {
		drop_saved();
		rc = copy_of(next[ENGINE_BLOB_SAVED].bytes, next[ENGINE_BLOB_SAVED].len,
			     &engine.saved, &engine.saved_len);
	}
	return rc;
}

static void drop_next(void)
{
	for (int i = 0; i < ENGINE_BLOBS; i++)
		drop_engine(&next[i].bytes, &next[i].len);
}

/* libtpms must never find nothing where there should be something. */
static int look_engine(bool create, struct error *e)
{
	int rc = engine.store.load(engine.store.ctx, &engine.loaded, &engine.loaded_len);
	const struct engine_kind *found =
		rc ? engine.kind : engine_kind_find(engine.loaded, engine.loaded_len);

	if (!rc && create)
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "there is a state already: a new vTPM would destroy it");
	if (rc == -ENOENT && !create && next[ENGINE_BLOB_PERMANENT].len)
		return 0;
	if (rc == -ENOENT && !create)
		return error_set(e, rc, CAUSE_NO_STATE,
				 "the vTPM has no state in the store: restore it from a "
				 "backup; no new one is made");
	if (rc && rc != -ENOENT)
		return error_set(e, rc, CAUSE_STORE, "the state could not be read: %s",
				 strerror(-rc));
	if (found != engine.kind)
		return error_set(e, -EMEDIUMTYPE, CAUSE_ENGINE,
				 "the state is that of a %s, and a %s was asked for: "
				 "nothing was changed; open it as what it is: `--tpm %s`",
				 found->name, engine.kind->name,
				 found->name + strlen("TPM "));
	return 0;
}

/* Runs a command of the engine's own.  -EIO: the TPM did not take it. */
static int run_own(const struct engine_command *c)
{
	unsigned char *rsp = NULL;
	uint32_t len = 0, room = 0;
	TPM_RESULT res = TPMLIB_Process(&rsp, &len, &room, (unsigned char *)c->bytes,
					(uint32_t)c->len);
	struct cursor r = cursor_reader(rsp, res ? 0 : len);

	(void)cursor_bytes(&r, 2 + 4);
	if (cursor_u32(&r) || !cursor_ok(&r))
		res = TPM_FAIL;
	free(rsp);
	return res ? -EIO : 0;
}

/* Gives a new TPM, before anything of it is stored, what its maker does; 0 or TPM_RESULT. */
static TPM_RESULT finish_making(void)
{
	size_t i;

	for (i = 0; i < engine.kind->made_len; i++)
		if (run_own(&engine.kind->made[i]))
			return TPM_FAIL;
	if (!i)
		return TPM_SUCCESS;
	TPMLIB_Terminate();
	return TPMLIB_MainInit(); /* on what it wants stored */
}

static int engine_power_on(bool create, struct error *e)
{
	TPM_RESULT res;
	int rc;

	if (take_next()) {
		drop_loaded();
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	}
	engine.making = create;
	res = TPMLIB_MainInit();
	engine.making = false;
	drop_next();
	drop_loaded();
	if (!res && create)
		res = finish_making();
	if (res)
		return error_set(e, -EBADMSG, CAUSE_ENGINE,
				 "libtpms does not accept the state (0x%x): it may be of "
				 "a newer version; nothing was changed",
				 (unsigned int)res);
	if (create && !engine.pending)
		return error_set(e, -EIO, CAUSE_ENGINE,
				 "libtpms made no state: delete the vTPM and create it "
				 "again; when that stays, report it");
	rc = commit(false);
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "the state could not be stored: %s",
				 strerror(-rc));
	return 0;
}

int engine_open(const struct engine_store *store, const struct engine_options *options,
		struct error *e)
{
	int rc;

	engine.store = *store;
	engine.kind = engine_kind_of(options->version);
	engine.keep_saved = options->keep_saved;
	rc = look_engine(options->create, e);
	if (!rc && register_callbacks())
		rc = error_set(e, -EIO, CAUSE_ENGINE, "libtpms has no %s",
			       engine.kind->name);
	if (rc) {
		drop_loaded();
		return rc;
	}
	rc = engine_power_on(options->create, e);
	if (rc) {
		TPMLIB_Terminate();
		drop_pending();
		return rc;
	}
	engine.running = true;
	engine.broken = false;
	engine_lockout_counts(false);
	return 0;
}

static void note_shutdown(const uint8_t *cmd, size_t len)
{
	if (engine.kind->shuts_down(cmd, len, engine.rsp, engine.rsp_size)) {
		engine.shut = true;
		engine.sleeps = has_state_type(cmd, len);
	} else if (!engine.kind->changes_nothing(cmd, len)) {
		engine.shut = engine.sleeps = false;
	}
}

int engine_execute(uint8_t locality, const uint8_t *cmd, size_t len, uint8_t *rsp,
		   size_t *rsp_len)
{
	enum engine_clock clock;
	TPM_RESULT res;
	int rc = 0;

	if (engine.broken || !engine.running)
		return engine_kind_refuse(engine.kind, rsp, rsp_len);
	clock = engine.kind->clock(cmd, len);
	engine.locality = locality;
	engine.rsp_size = 0;
	res = TPMLIB_Process(&engine.rsp, &engine.rsp_size, &engine.rsp_room,
			     (unsigned char *)cmd, (uint32_t)len);
	if (engine.kind->clears(cmd, len, engine.rsp, engine.rsp_size))
		rc = run_own(engine.kind->parameters);
	if (!rc)
		rc = store_clock(clock);
	if (!rc)
		rc = commit(clock == ENGINE_CLOCK_NONE &&
			    engine.kind->changes_nothing(cmd, len));
	note_shutdown(cmd, len);
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

/* The manager's own commands, for evidence or certificates, do not end its guest's S3. */
static int exchange_engine(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
			   size_t *rsp_len)
{
	bool sleeps = engine.sleeps;
	int rc = engine_execute(0, cmd, len, rsp, rsp_len);

	engine.sleeps = sleeps;
	return rc;
}

const struct tpm2_transport engine_tpm = {.exchange = exchange_engine};

/* For what the client left open.  A TPM that was not started, or is broken, answers with
 * an error, which is as good. */
static void shut_down(void)
{
	const struct engine_kind *k = engine.kind;
	uint8_t rsp[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(rsp);

	if (engine.broken || !k->shutdown || (engine.shut && engine.keep_saved))
		return;
	(void)!engine_execute(0, k->shutdown, k->shutdown_len, rsp, &len);
}

bool engine_is_broken(void)
{
	return engine.broken;
}

int engine_power_cycle(void)
{
	int rc = 0;

	shut_down();
	TPMLIB_Terminate();
	/* Writes that never reached the store were not acknowledged: they are dropped; but a failed try that
	 * it did not take was seen to get no answer. */
	engine_lockout_counts(engine.broken);
	if (engine.broken)
		drop_pending();
	else
		rc = commit(false);
	engine.broken = true;
	if (rc)
		return rc;
	rc = engine_power_on(false, NULL);
	engine.sleeps = false;
	if (!rc)
		engine.broken = false;
	return rc;
}

/* _TPM_Init after S3.  What TPM2_Shutdown(STATE) saved no longer counts when the manager's own
 * commands came after it: it is saved once more. */
static int wake_up(void)
{
	bool keep = engine.keep_saved;
	uint8_t rsp[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(rsp);
	int rc = 0;

	if (!engine.shut)
		rc = engine_execute(0, shutdown_state, sizeof(shutdown_state), rsp, &len);
	if (rc)
		return rc;
	engine.keep_saved = true;
	rc = engine_power_cycle();
	engine.keep_saved = keep;
	return rc;
}

int engine_execute_or_wake(uint8_t locality, const uint8_t *cmd, size_t len, uint8_t *rsp,
			   size_t *rsp_len)
{
	uint16_t tag;
	int rc;

	if (!engine.sleeps || !has_state_type(cmd, len) ||
	    command_of(cmd, len, &tag) != TPM2_CC_Startup)
		return engine_execute(locality, cmd, len, rsp, rsp_len);
	rc = wake_up();
	if (!rc)
		rc = engine_execute(locality, cmd, len, rsp, rsp_len);
	if (rc || command_of(rsp, *rsp_len, &tag))
		engine.broken = true;
	return rc;
}

int engine_get_blob(enum engine_blob which, uint8_t **blob, size_t *len)
{
	unsigned char *state = NULL;
	uint32_t state_len = 0;

	if (!engine.running || engine.broken)
		return -ENOENT;
	if (which == ENGINE_BLOB_SAVED) {
		if (!engine.saved)
			return -ENOENT;
		return copy_of(engine.saved, engine.saved_len, blob, len);
	}
	if (TPMLIB_GetState(which == ENGINE_BLOB_PERMANENT ? TPMLIB_STATE_PERMANENT
							   : TPMLIB_STATE_VOLATILE,
			    &state, &state_len)) {
		free(state);
		return -EIO;
	}
	if (which == ENGINE_BLOB_VOLATILE)
		engine.shut = true;
	*blob = state;
	*len = state_len;
	return 0;
}

int engine_set_blob(enum engine_blob which, const uint8_t *blob, size_t len)
{
	drop_engine(&next[which].bytes, &next[which].len);
	return len ? copy_of(blob, len, &next[which].bytes, &next[which].len) : 0;
}

int engine_settle(void)
{
	int rc = commit(false);

	if (rc)
		engine.broken = true;
	return rc;
}

void engine_at_locality(uint8_t locality)
{
	engine.locality = locality;
}

uint32_t engine_buffer_size(enum engine_version version, uint32_t wanted, uint32_t *min,
			    uint32_t *max)
{
	uint32_t got;

	if (!engine.running)
		TPMLIB_ChooseTPMVersion(
			(TPMLIB_TPMVersion)engine_kind_of(version)->libtpms);
	got = TPMLIB_SetBufferSize(wanted, min, max);
	if (wanted)
		buffer_size = got;
	return got;
}

uint32_t engine_release(void)
{
	return TPMLIB_GetVersion();
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
	shut_down();
	TPMLIB_Terminate();
	if (engine.broken)
		drop_pending();
	rc = commit(false);
	drop_saved();
	free(engine.rsp);
	memset(&engine, 0, sizeof(engine));
	return rc;
}
