/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/firmware.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

/* After TPM2_Startup, while platformAuth is the empty one.  Whether the end before this
 * start was a TPM2_Shutdown says Part 2, 8.7: the clock's own "safe" is gone once libtpms
 * has put the clock into its state, at any moment.  -errno */
static int firmware_clock(struct tpm2_cmd *c)
{
	uint32_t startup;
	uint64_t clock;
	int rc = tpm2_get_property(c, TPM2_PT_STARTUP_CLEAR, &startup);

	if (rc || startup & TPMA_STARTUP_CLEAR_ORDERLY)
		return rc;
	rc = tpm2_read_clock(c, &clock);
	return rc ? rc : tpm2_clock_set(c, NULL, clock + ENGINE_CLOCK_LAG_MS);
}

static int firmware_startup(struct tpm2_cmd *c)
{
	int rc = tpm2_startup(c);

	return rc == -EREMOTEIO && c->rc == TPM2_RC_INITIALIZE ? 0 : rc;
}

static int take_platform(struct firmware *f, struct tpm2_cmd *c)
{
	uint8_t auth[FIRMWARE_AUTH_SIZE];
	int rc;

	if (RAND_priv_bytes(auth, sizeof(auth)) != 1)
		return -EIO;
	rc = tpm2_hierarchy_change_auth(c, NULL, (struct tpm2_bytes){auth, sizeof(auth)});
	if (!rc) {
		memcpy(f->platform_auth, auth, sizeof(auth));
		f->platform_auth_len = sizeof(auth);
	}
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}

struct tpm2_auth firmware_auth(const struct firmware *f)
{
	return (struct tpm2_auth){.password = f->platform_auth,
				  .len = f->platform_auth_len};
}

/* The password of a command's only session; false: there is another kind, or more. */
static bool is_in_plain(struct cursor *c)
{
	struct cursor area = cursor_sub(c, cursor_u32(c));
	uint32_t session = cursor_u32(&area);

	(void)cursor_bytes(&area, cursor_u16(&area)); /* nonceCaller */
	(void)cursor_u8(&area);			      /* sessionAttributes */
	(void)cursor_bytes(&area, cursor_u16(&area));
	return cursor_done(&area) && session == TPM2_RS_PW;
}

void firmware_observe(struct firmware *f, const uint8_t *cmd, size_t len,
		      const uint8_t *rsp, size_t rsp_len)
{
	struct cursor c = cursor_reader(cmd, len), r = cursor_reader(rsp, rsp_len);
	uint32_t code, handle, rc;
	const uint8_t *auth;
	size_t n;

	(void)cursor_u16(&c); /* tag */
	(void)cursor_u32(&c); /* size */
	code = cursor_u32(&c);
	handle = cursor_u32(&c);
	(void)cursor_u16(&r);
	(void)cursor_u32(&r);
	rc = cursor_u32(&r);
	if (!cursor_ok(&c) || !cursor_ok(&r) || rc ||
	    code != TPM2_CC_HierarchyChangeAuth || handle != TPM2_RH_PLATFORM)
		return;
	firmware_wipe(f);
	if (!is_in_plain(&c))
		return;
	n = cursor_u16(&c);
	auth = cursor_bytes(&c, n);
	if (!cursor_done(&c) || n > sizeof(f->platform_auth))
		return;
	memcpy(f->platform_auth, auth, n);
	f->platform_auth_len = n;
}

/* TCG EK Credential Profile 2.5, 2.2.1.4 and 2.2.1.5: of EK templates and certificates. */
#define EK_FIRST 0x01c00000u
#define EK_LAST	 0x01c07fffu

/* TPM2_NV_DefineSpace of an index that only its own policy deletes, which may be one that nobody
 * can satisfy; c is behind the handle.  A session encrypts the first parameter alone. */
static bool defines_for_good(struct cursor *c)
{
	uint32_t index, attributes;

	(void)cursor_bytes(c, cursor_u32(c)); /* authorizationSize */
	(void)cursor_bytes(c, cursor_u16(c)); /* auth */
	(void)cursor_u16(c);		      /* publicInfo: size */
	index = cursor_u32(c);
	(void)cursor_u16(c); /* nameAlg */
	attributes = cursor_u32(c);
	return cursor_ok(c) && index >= EK_FIRST && index <= EK_LAST &&
	       attributes & TPMA_NV_POLICY_DELETE;
}

bool firmware_withholds(const uint8_t *cmd, size_t len)
{
	struct cursor c = cursor_reader(cmd, len);
	uint32_t code, handle;

	(void)cursor_u16(&c); /* tag */
	(void)cursor_u32(&c); /* size */
	code = cursor_u32(&c);
	handle = cursor_u32(&c);
	if (!cursor_ok(&c))
		return false;
	switch (code) {
	case TPM2_CC_ChangeEPS:
	case TPM2_CC_ChangePPS:
		return true;
	case TPM2_CC_Clear:
		return handle == TPM2_RH_PLATFORM;
	case TPM2_CC_NV_DefineSpace:
		return defines_for_good(&c);
	default:
		return false;
	}
}

int firmware_start(struct firmware *f)
{
	struct tpm2_cmd c = {.transport = &engine_tpm};
	int rc;

	firmware_wipe(f);
	rc = firmware_startup(&c);
	if (!rc)
		rc = firmware_clock(&c);
	if (!rc)
		rc = take_platform(f, &c);
	tpm2_wipe(&c);
	return rc;
}

/* Each other power cycle is behind a TPM2_Shutdown(CLEAR) of the engine's. */
int firmware_leave(struct firmware *f)
{
	bool unordered = engine_is_broken();
	int rc = engine_power_cycle();

	if (!rc && unordered)
		rc = firmware_start(f);
	if (!rc && unordered)
		rc = engine_power_cycle();
	firmware_wipe(f);
	return rc;
}

int firmware_clear(uint32_t *code)
{
	struct tpm2_cmd c = {.transport = &engine_tpm};
	int rc = tpm2_startup(&c);

	if (!rc)
		rc = tpm2_clear_control(&c, NULL, false);
	if (!rc)
		rc = tpm2_clear(&c, NULL);
	*code = rc == -EREMOTEIO ? c.rc : 0;
	tpm2_wipe(&c);
	return rc && rc != -EREMOTEIO ? rc : engine_power_cycle();
}

int firmware_failed(int rc, struct error *e)
{
	if (rc == -EREMOTEIO || rc == -EBADMSG || rc == -EMSGSIZE)
		return error_set(e, rc, CAUSE_ENGINE, "the TPM could not be started");
	/* after a crash a start changes the state: firmware.h */
	return error_set(e, rc, CAUSE_STORE,
			 "the TPM's state could not be stored as it was started: %s",
			 strerror(-rc));
}

void firmware_wipe(struct firmware *f)
{
	OPENSSL_cleanse(f, sizeof(*f));
}

#define ALL_PCRS   ((1u << TPM2_PCRS) - 1)
#define SHA256_BIT 2u

/* The banks that the TPM has PCRs of, and those of which it has all. */
static void sort_banks(const uint32_t pcrs[TPM2_BANKS], uint8_t *some, uint8_t *whole)
{
	*some = *whole = 0;
	for (unsigned int i = 0; i < TPM2_BANKS; i++) {
		*some |= (uint8_t)(pcrs[i] ? 1u << i : 0);
		*whole |= (uint8_t)((pcrs[i] & ALL_PCRS) == ALL_PCRS ? 1u << i : 0);
	}
}

int firmware_banks(uint8_t banks)
{
	struct tpm2_cmd c = {.transport = &engine_tpm};
	uint32_t pcrs[TPM2_BANKS];
	uint8_t some, whole;
	int rc = tpm2_startup(&c);

	/* this start alone follows a crash: the next one is orderly */
	if (!rc)
		rc = firmware_clock(&c);
	if (!rc)
		rc = tpm2_get_banks(&c, pcrs);
	if (rc)
		return rc;
	sort_banks(pcrs, &some, &whole);
	banks = banks ? banks : some | SHA256_BIT;
	if (some != banks || whole != banks)
		rc = tpm2_pcr_allocate(&c, NULL, banks);
	/* Whatever comes next finds the TPM as it is after a power-on. */
	return rc ? rc : engine_power_cycle();
}

int firmware_banks_are_whole(bool *are)
{
	struct tpm2_cmd c = {.transport = &engine_tpm};
	uint32_t pcrs[TPM2_BANKS];
	uint8_t some, whole;
	int rc = tpm2_get_banks(&c, pcrs);

	if (rc)
		return rc;
	sort_banks(pcrs, &some, &whole);
	*are = some == whole && whole & SHA256_BIT;
	return 0;
}

/* Ordinals and values of TPM Main, Parts 2 and 3, level 2, revision 116 */
#define TAG_RQU_COMMAND		  0x00c1
#define ORD_GET_CAPABILITY	  0x65
#define ORD_PHYSICAL_ENABLE	  0x6f
#define ORD_PHYSICAL_DEACTIVATED  0x72
#define ORD_CREATE_EK		  0x78
#define ORD_STARTUP		  0x99
#define ORD_NV_DEFINE_SPACE	  0xcc
#define ORD_PHYSICAL_PRESENCE	  0x4000000a
#define ST_CLEAR		  1
#define INVALID_POSTINIT	  0x26
#define CAP_FLAG		  4
#define CAP_FLAG_PERMANENT	  0x108
#define PRESENCE_LIFETIME_LOCK	  0x80
#define PRESENCE_CMD_ENABLE	  0x20
#define PRESENCE_NOT_PRESENT_LOCK 0x14
#define PRESENCE_PRESENT	  0x08
#define NV_INDEX_LOCK		  0xffffffff
#define NONCE_SIZE		  20

/* TPM_PERMANENT_FLAGS, Part 2, 7.1, as far as they matter here */
struct flags {
	bool disable, deactivated, presence_for_good, presence_by_command, has_key;
};

static void begin_firmware(struct tpm2_cmd *c, uint32_t ordinal)
{
	struct cursor tag = cursor_writer(c->cmd, 2);

	tpm2_begin(c, ordinal);
	cursor_put_u16(&tag, TAG_RQU_COMMAND);
}

/* 1: it was handed over already. */
static int firmware12_startup(struct tpm2_cmd *c)
{
	int rc;

	begin_firmware(c, ORD_STARTUP);
	cursor_put_u16(&c->in, ST_CLEAR);
	rc = tpm2_run(c);
	return rc == -EREMOTEIO && c->rc == INVALID_POSTINIT ? 1 : rc;
}

static int get_flags(struct tpm2_cmd *c, struct flags *f)
{
	int rc;

	begin_firmware(c, ORD_GET_CAPABILITY);
	cursor_put_u32(&c->in, CAP_FLAG);
	cursor_put_u32(&c->in, 4);
	cursor_put_u32(&c->in, CAP_FLAG_PERMANENT);
	rc = tpm2_run(c);
	if (rc)
		return rc;
	(void)cursor_u32(&c->out); /* size */
	(void)cursor_u16(&c->out); /* tag */
	f->disable = cursor_u8(&c->out);
	(void)cursor_u8(&c->out); /* ownership */
	f->deactivated = cursor_u8(&c->out);
	(void)cursor_bytes(&c->out, 3); /* readPubek, disableOwnerClear, maintenance */
	f->presence_for_good = cursor_u8(&c->out);
	(void)cursor_u8(&c->out); /* presence by hardware */
	f->presence_by_command = cursor_u8(&c->out);
	f->has_key = cursor_u8(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

static int set_presence(struct tpm2_cmd *c, uint16_t what)
{
	begin_firmware(c, ORD_PHYSICAL_PRESENCE);
	cursor_put_u16(&c->in, what);
	return tpm2_run(c);
}

/* Part 3, 14.1: RSA of 2048 bits, as every TPM 1.2 has */
static int make_firmware_key(struct tpm2_cmd *c)
{
	uint8_t nonce[NONCE_SIZE];

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return -EIO;
	begin_firmware(c, ORD_CREATE_EK);
	cursor_put(&c->in, nonce, sizeof(nonce));
	cursor_put_u32(&c->in, 1);    /* TPM_ALG_RSA */
	cursor_put_u16(&c->in, 3);    /* TPM_ES_RSAESOAEP_SHA1_MGF1 */
	cursor_put_u16(&c->in, 1);    /* TPM_SS_NONE */
	cursor_put_u32(&c->in, 12);   /* TPM_RSA_KEY_PARMS: */
	cursor_put_u32(&c->in, 2048); /* bits */
	cursor_put_u32(&c->in, 2);    /* primes */
	cursor_put_u32(&c->in, 0);    /* the default exponent */
	return tpm2_run(c);
}

static void put_pcr_info(struct cursor *w)
{
	static const uint8_t no_digest[20];

	cursor_put_u16(w, 3);
	cursor_put(w, no_digest, 3); /* no PCR */
	cursor_put_u8(w, 0x1f);	     /* any locality */
	cursor_put(w, no_digest, sizeof(no_digest));
}

/* From then on the NV's authorizations count, Part 3, 20.1 */
static int lock_nv(struct tpm2_cmd *c)
{
	static const uint8_t none[20];

	begin_firmware(c, ORD_NV_DEFINE_SPACE);
	cursor_put_u16(&c->in, 0x18); /* TPM_TAG_NV_DATA_PUBLIC */
	cursor_put_u32(&c->in, NV_INDEX_LOCK);
	put_pcr_info(&c->in);
	put_pcr_info(&c->in);
	cursor_put_u16(&c->in, 0x17); /* TPM_TAG_NV_ATTRIBUTES */
	cursor_put_u32(&c->in, 0);
	cursor_put(&c->in, none, 3); /* bReadSTClear, bWriteSTClear, bWriteDefine */
	cursor_put_u32(&c->in, 0);
	cursor_put(&c->in, none, sizeof(none));
	return tpm2_run(c);
}

/* In its own order: the key last, since it tells that all was done. */
static int make_firmware(struct tpm2_cmd *c, const struct flags *f)
{
	int rc = 0;

	if (!f->presence_for_good)
		rc = set_presence(c, PRESENCE_LIFETIME_LOCK);
	if (!rc)
		rc = lock_nv(c);
	return rc ? rc : make_firmware_key(c);
}

/* 1: it is active after one more power cycle only. */
static int enable(struct tpm2_cmd *c, const struct flags *f)
{
	int rc = 0;

	if (!f->presence_by_command)
		rc = set_presence(c, PRESENCE_CMD_ENABLE);
	if (!rc)
		rc = set_presence(c, PRESENCE_PRESENT);
	if (!rc && f->disable) {
		begin_firmware(c, ORD_PHYSICAL_ENABLE);
		rc = tpm2_run(c);
	}
	if (rc || !f->deactivated)
		return rc;
	begin_firmware(c, ORD_PHYSICAL_DEACTIVATED);
	cursor_put_u8(&c->in, 0);
	rc = tpm2_run(c);
	return rc ? rc : 1;
}

static int hand_over(struct tpm2_cmd *c)
{
	return set_presence(c, PRESENCE_NOT_PRESENT_LOCK);
}

int firmware12_start(void)
{
	struct tpm2_cmd c = {.transport = &engine_tpm};
	struct flags f = {0};
	int rc = firmware12_startup(&c);

	if (rc)
		return rc > 0 ? 0 : rc;
	rc = get_flags(&c, &f);
	if (!rc)
		rc = enable(&c, &f);
	if (rc > 0) {
		rc = engine_power_cycle();
		if (!rc)
			rc = firmware12_startup(&c);
		if (!rc)
			rc = set_presence(&c, PRESENCE_PRESENT);
	}
	if (!rc && !f.has_key)
		rc = make_firmware(&c, &f);
	return rc ? rc : hand_over(&c);
}
