/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the destination's xl migrate-receive: the guest that came cannot be started. */
#include <libxl.h>

int libxl_domain_unpause(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
	(void)ctx;
	(void)domid;
	(void)how;
	return ERROR_FAIL;
}
