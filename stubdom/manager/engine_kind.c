/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_kind.h"

#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>
#include <libtpms/tpm_library.h>

#define TAG_RSP_COMMAND 0x00c4
#define FAIL		9 /* TPM_FAIL */

/* TPM 2.0 Library, Part 3, 9.4: TPM2_Shutdown(TPM_SU_CLEAR) */
static const uint8_t shutdown_clear[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0};

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

/* The command of a packet; 0: it is none. */
static uint32_t command_of(const uint8_t *packet, size_t len, uint16_t *tag)
{
	struct cursor c = cursor_reader(packet, len);

	*tag = cursor_u16(&c);
	(void)cursor_u32(&c);
	return cursor_u32(&c);
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
			   .failure = TPM2_RC_FAILURE,
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
			   .failure = FAIL,
			   .clears = clears_12,
			   .changes_nothing = changes_nothing_12,
			   .clock = clock_12,
			   .shuts_down = shuts_down_12},
};

const struct engine_kind *engine_kind_of(enum engine_version version)
{
	return &kinds[version == ENGINE_TPM_12 ? ENGINE_TPM_12 : ENGINE_TPM_20];
}

const struct engine_kind *engine_kind_find(const uint8_t *state, size_t len)
{
	const struct engine_kind *k = &kinds[ENGINE_TPM_12];

	if (len >= k->mark_len && !memcmp(state, k->mark, k->mark_len))
		return k;
	return &kinds[ENGINE_TPM_20];
}

int engine_kind_refuse(const struct engine_kind *k, uint8_t *rsp, size_t *rsp_len)
{
	struct cursor w = cursor_writer(rsp, *rsp_len);

	k = k ? k : &kinds[ENGINE_TPM_20];
	cursor_put_u16(&w, k->tag);
	cursor_put_u32(&w, 10);
	cursor_put_u32(&w, k->failure);
	if (!cursor_ok(&w))
		return -EMSGSIZE;
	*rsp_len = 10;
	return 0;
}
