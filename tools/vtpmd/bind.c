/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/bind.h"
#include "tools/vtpmd/vtpms.h"
#include "lib/uuidtext.h"

#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

#define UUID_VERSION 8 /* RFC 9562, 5.8: "custom" */

const char *bind_word(const struct meta *m)
{
	return m->by_name ? BIND_NAME : BIND_UUID;
}

void bind_draw(uint8_t uuid[16])
{
	uuid_generate_random(uuid);
	uuid[6] = (uint8_t)((uuid[6] & 0xf) | UUID_VERSION << 4);
}

int bind_judge(const struct vtpm *v, const uint8_t device[16], const char **why)
{
	if (!memcmp(v->meta.uuid, device, 16))
		return 0;
	if (vtpms_find_uuid(v->d, device))
		*why = "its vtpm line has the uuid of another vTPM of this host: correct "
		       "backend= or uuid=, see `vtpmctl check`";
	else if (!uuidtext_is_random(device))
		*why = "its vtpm line has the uuid of a vTPM that is not here: correct "
		       "uuid= or leave it out, see `vtpmctl check`";
	else if (!v->meta.by_name)
		*why = "its vtpm line has no uuid, or a wrong one, and this vTPM is bound "
		       "to its uuid: take the line that `vtpmctl show` prints, or `vtpmctl "
		       "set --bind name` this vTPM";
	else
		return 0;
	return -EPERM;
}
