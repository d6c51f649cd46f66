/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/tpm_filter.h"
#include "lib/cursor.h"

#include <errno.h>

#define ST_NO_SESSIONS 0x8001
#define ST_SESSIONS    0x8002
#define RH_NULL	       0x40000007u
#define HT_MASK	       0xff000000u
#define HT_TRANSIENT   0x80000000u

/* What the first handle of a command has to be. */
enum handle {
	REFUSED = 0,
	NONE,	  /* the command takes none, or any will do */
	SRK,	  /* the storage key */
	SRK_NULL, /* the storage key or TPM_RH_NULL */
	TRANSIENT,
	SRK_OR_TRANSIENT,
};

static const struct {
	uint32_t code;
	const char *name;
	enum handle handle;
} commands[] = {
	{0x153, "TPM2_Create", SRK},
	{0x157, "TPM2_Load", SRK},
	{0x15e, "TPM2_Unseal", TRANSIENT},
	{0x165, "TPM2_FlushContext", NONE},
	{0x167, "TPM2_LoadExternal", NONE},
	{0x16a, "TPM2_PolicyAuthorize", NONE},
	{0x16b, "TPM2_PolicyAuthValue", NONE},
	{0x173, "TPM2_ReadPublic", SRK_OR_TRANSIENT},
	{0x176, "TPM2_StartAuthSession", SRK_NULL},
	{0x177, "TPM2_VerifySignature", TRANSIENT},
	{0x17b, "TPM2_GetRandom", NONE},
	{0x17e, "TPM2_PCR_Read", NONE},
	{0x17f, "TPM2_PolicyPCR", NONE},
	{0x189, "TPM2_PolicyGetDigest", NONE},
	/* named for the log only */
	{0x11f, "TPM2_NV_UndefineSpaceSpecial", REFUSED},
	{0x120, "TPM2_EvictControl", REFUSED},
	{0x121, "TPM2_HierarchyControl", REFUSED},
	{0x122, "TPM2_NV_UndefineSpace", REFUSED},
	{0x124, "TPM2_ChangeEPS", REFUSED},
	{0x125, "TPM2_ChangePPS", REFUSED},
	{0x126, "TPM2_Clear", REFUSED},
	{0x127, "TPM2_ClearControl", REFUSED},
	{0x128, "TPM2_ClockSet", REFUSED},
	{0x129, "TPM2_HierarchyChangeAuth", REFUSED},
	{0x12a, "TPM2_NV_DefineSpace", REFUSED},
	{0x12b, "TPM2_PCR_Allocate", REFUSED},
	{0x12e, "TPM2_SetPrimaryPolicy", REFUSED},
	{0x12f, "TPM2_FieldUpgradeStart", REFUSED},
	{0x131, "TPM2_CreatePrimary", REFUSED},
	{0x134, "TPM2_NV_Increment", REFUSED},
	{0x135, "TPM2_NV_SetBits", REFUSED},
	{0x136, "TPM2_NV_Extend", REFUSED},
	{0x137, "TPM2_NV_Write", REFUSED},
	{0x138, "TPM2_NV_WriteLock", REFUSED},
	{0x139, "TPM2_DictionaryAttackLockReset", REFUSED},
	{0x13a, "TPM2_DictionaryAttackParameters", REFUSED},
	{0x13b, "TPM2_NV_ChangeAuth", REFUSED},
	{0x13c, "TPM2_PCR_Event", REFUSED},
	{0x13d, "TPM2_PCR_Reset", REFUSED},
	{0x144, "TPM2_Startup", REFUSED},
	{0x145, "TPM2_Shutdown", REFUSED},
	{0x14b, "TPM2_Duplicate", REFUSED},
	{0x14e, "TPM2_NV_Read", REFUSED},
	{0x158, "TPM2_Quote", REFUSED},
	{0x15d, "TPM2_Sign", REFUSED},
	{0x161, "TPM2_ContextLoad", REFUSED},
	{0x162, "TPM2_ContextSave", REFUSED},
	{0x17a, "TPM2_GetCapability", REFUSED},
	{0x182, "TPM2_PCR_Extend", REFUSED},
};

static bool handle_fits(enum handle want, uint32_t handle, uint32_t srk)
{
	bool is_srk = srk && handle == srk;
	bool transient = (handle & HT_MASK) == HT_TRANSIENT;

	switch (want) {
	case NONE:
		return true;
	case SRK:
		return is_srk;
	case SRK_NULL:
		return is_srk || handle == RH_NULL;
	case TRANSIENT:
		return transient;
	case SRK_OR_TRANSIENT:
		return is_srk || transient;
	case REFUSED:
		break;
	}
	return false;
}

static int refuse(struct tpm_filter_verdict *v, const char *why)
{
	v->why = why;
	return -EPERM;
}

int tpm_filter_check(const uint8_t *cmd, size_t len, uint32_t srk,
		     struct tpm_filter_verdict *v)
{
	struct cursor c = cursor_reader(cmd, len);
	uint16_t tag = cursor_u16(&c);
	uint32_t size = cursor_u32(&c), handle;
	size_t i;

	*v = (struct tpm_filter_verdict){.code = cursor_u32(&c)};
	if (!cursor_ok(&c) || len > TPM_FILTER_COMMAND_MAX || size != len)
		return refuse(v, "its length is wrong");
	if (tag != ST_NO_SESSIONS && tag != ST_SESSIONS)
		return refuse(v, "it is no TPM 2.0 command");
	for (i = 0; i < ARRAY_SIZE(commands) && commands[i].code != v->code; i++)
		;
	if (i < ARRAY_SIZE(commands))
		v->name = commands[i].name;
	if (!v->name || commands[i].handle == REFUSED)
		return refuse(v, "it is not on the allow-list");
	if (commands[i].handle == NONE)
		return 0;
	handle = cursor_u32(&c);
	if (!cursor_ok(&c))
		return refuse(v, "its length is wrong");
	if (!handle_fits(commands[i].handle, handle, srk))
		return refuse(v, "it names a key that is not the manager's to use");
	return 0;
}
