/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/engine_tis.h"
#include "stubdom/manager/engine.h"

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_tis.h>

/* A result that is shown is of a state that is stored. */
static uint32_t settled(uint32_t result)
{
	return engine_settle() ? TPM_FAIL : result;
}

uint32_t engine_hash_start(void)
{
	return settled(TPM_IO_Hash_Start());
}

uint32_t engine_hash_data(const uint8_t *data, size_t len)
{
	return settled(TPM_IO_Hash_Data(data, (uint32_t)len));
}

uint32_t engine_hash_end(void)
{
	return settled(TPM_IO_Hash_End());
}

uint32_t engine_established(bool *established)
{
	TPM_BOOL bit = FALSE;
	uint32_t result = TPM_IO_TpmEstablished_Get(&bit);

	*established = bit;
	return result;
}

uint32_t engine_reset_established(uint8_t locality)
{
	engine_at_locality(locality);
	return settled(TPM_IO_TpmEstablished_Reset());
}

char *engine_info(uint64_t flags)
{
	return TPMLIB_GetInfo((enum TPMLIB_InfoFlags)flags);
}
