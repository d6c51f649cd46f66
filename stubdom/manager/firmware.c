/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/firmware.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define STARTUP_ORDERLY 0x80000000u

/* Whether the end before this start was a TPM2_Shutdown; Part 2, 8.7.  The clock's own
 * "safe" is gone once libtpms has put the clock into its state, at any moment. */
static int was_orderly(struct command *c, bool *orderly)
{
	int rc;

	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_TPM_PROPERTIES);
	cursor_put_u32(&c->in, TPM2_PT_STARTUP_CLEAR);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 1 + 4 + 4 + 4); /* moreData, capability, n, tag */
	*orderly = cursor_u32(&c->out) & STARTUP_ORDERLY;
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

static int read_clock(struct command *c, uint64_t *clock)
{
	int rc;

	command_begin(c, TPM2_CC_ReadClock);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u64(&c->out); /* time, since the power-on */
	*clock = cursor_u64(&c->out);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

/* After TPM2_Startup, while platformAuth is the empty one.  -errno */
static int firmware_clock(struct command *c)
{
	uint64_t clock;
	bool orderly;
	int rc = was_orderly(c, &orderly);

	if (rc || orderly)
		return rc;
	rc = read_clock(c, &clock);
	if (rc)
		return rc;
	command_begin(c, TPM2_CC_ClockSet);
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, NULL, 0);
	cursor_put_u64(&c->in, clock + ENGINE_CLOCK_LAG_MS);
	return command_run(c);
}

static int firmware_startup(struct command *c)
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
	rc = firmware_startup(&c);
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
	/* after a crash a start changes the state: firmware.h */
	return error_set(e, rc, CAUSE_STORE,
			 "the TPM's state could not be stored as it was started: %s",
			 strerror(-rc));
}

void firmware_wipe(struct firmware *f)
{
	OPENSSL_cleanse(f, sizeof(*f));
}

#define SELECT_SIZE 3

/* TPM_ALG_ID, Part 2, 6.3; in the order of the mask */
static const uint16_t algorithms[] = {TPM2_ALG_SHA, TPM2_ALG_SHA256, TPM2_ALG_SHA384,
				      TPM2_ALG_SHA512};

static int get_firmware(struct command *c, uint8_t *banks)
{
	uint32_t n;
	uint16_t algorithm;
	const uint8_t *select;
	int rc;

	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_PCRS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u8(&c->out);  /* moreData */
	(void)cursor_u32(&c->out); /* capability */
	n = cursor_u32(&c->out);
	*banks = 0;
	while (n-- && cursor_ok(&c->out)) {
		algorithm = cursor_u16(&c->out);
		select = cursor_bytes(&c->out, cursor_u8(&c->out));
		for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
			if (select && algorithm == algorithms[i] && select[0])
				*banks |= (uint8_t)(1 << i);
	}
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

/* Part 3, 22.5 */
static int allocate(struct command *c, uint8_t banks)
{
	uint8_t select[SELECT_SIZE];
	int rc;

	command_begin(c, TPM2_CC_PCR_Allocate);
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, NULL, 0);
	cursor_put_u32(&c->in, ARRAY_SIZE(algorithms));
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		memset(select, banks >> i & 1 ? 0xff : 0, sizeof(select));
		cursor_put_u16(&c->in, algorithms[i]);
		cursor_put_u8(&c->in, sizeof(select));
		cursor_put(&c->in, select, sizeof(select));
	}
	rc = command_run(c);
	if (rc)
		return rc;
	return cursor_u8(&c->out) ? 0 : -ENOSPC; /* allocationSuccess */
}

int firmware_banks(uint8_t banks)
{
	struct command c;
	uint8_t now;
	int rc;

	command_begin(&c, TPM2_CC_Startup);
	cursor_put_u16(&c.in, TPM2_SU_CLEAR);
	rc = command_run(&c);
	/* a crash is behind this start alone: the next one is an orderly one */
	if (!rc)
		rc = firmware_clock(&c);
	if (!rc)
		rc = get_firmware(&c, &now);
	if (!rc && now != banks)
		rc = allocate(&c, banks);
	/* Whatever comes next finds the TPM as it is after a power-on. */
	return rc ? rc : engine_power_cycle();
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

static void begin_firmware(struct command *c, uint32_t ordinal)
{
	struct cursor tag = cursor_writer(c->cmd, 2);

	command_begin(c, ordinal);
	cursor_put_u16(&tag, TAG_RQU_COMMAND);
}

/* 1: it was handed over already. */
static int firmware12_startup(struct command *c)
{
	int rc;

	begin_firmware(c, ORD_STARTUP);
	cursor_put_u16(&c->in, ST_CLEAR);
	rc = command_run(c);
	return rc == -EREMOTEIO && c->rc == INVALID_POSTINIT ? 1 : rc;
}

static int get_flags(struct command *c, struct flags *f)
{
	int rc;

	begin_firmware(c, ORD_GET_CAPABILITY);
	cursor_put_u32(&c->in, CAP_FLAG);
	cursor_put_u32(&c->in, 4);
	cursor_put_u32(&c->in, CAP_FLAG_PERMANENT);
	rc = command_run(c);
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

static int set_presence(struct command *c, uint16_t what)
{
	begin_firmware(c, ORD_PHYSICAL_PRESENCE);
	cursor_put_u16(&c->in, what);
	return command_run(c);
}

/* Part 3, 14.1: RSA of 2048 bits, as every TPM 1.2 has */
static int make_firmware_key(struct command *c)
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
	return command_run(c);
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
static int lock_nv(struct command *c)
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
	return command_run(c);
}

/* In its own order: the key last, since it tells that all was done. */
static int make_firmware(struct command *c, const struct flags *f)
{
	int rc = 0;

	if (!f->presence_for_good)
		rc = set_presence(c, PRESENCE_LIFETIME_LOCK);
	if (!rc)
		rc = lock_nv(c);
	return rc ? rc : make_firmware_key(c);
}

/* 1: it is active after one more power cycle only. */
static int enable(struct command *c, const struct flags *f)
{
	int rc = 0;

	if (!f->presence_by_command)
		rc = set_presence(c, PRESENCE_CMD_ENABLE);
	if (!rc)
		rc = set_presence(c, PRESENCE_PRESENT);
	if (!rc && f->disable) {
		begin_firmware(c, ORD_PHYSICAL_ENABLE);
		rc = command_run(c);
	}
	if (rc || !f->deactivated)
		return rc;
	begin_firmware(c, ORD_PHYSICAL_DEACTIVATED);
	cursor_put_u8(&c->in, 0);
	rc = command_run(c);
	return rc ? rc : 1;
}

static int hand_over(struct command *c)
{
	return set_presence(c, PRESENCE_NOT_PRESENT_LOCK);
}

int firmware12_start(void)
{
	struct command c;
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
