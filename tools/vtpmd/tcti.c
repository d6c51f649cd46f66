/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/tcti.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int tcti_name(const struct vtpmd *d, char *out, size_t room)
{
	bool stream = !strncmp(d->tpm, "unix:", 5);
	int n = snprintf(out, room, "%s%s",
			 stream ? "cmd:socat - UNIX-CONNECT:" : "device:",
			 stream ? d->tpm + 5 : d->tpm);

	return n < (int)room ? 0 : -ENAMETOOLONG;
}
