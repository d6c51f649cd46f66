/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void peer_answer(struct peer *p, const struct channel_frame *f, int rc)
{
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, strerror(-rc));
	else
		peer_reply(p, f->type, f->id, NULL, 0);
}

void peer_answer_malformed(struct peer *p, const struct channel_frame *f)
{
	peer_refuse(p, f->type, f->id, EINVAL, "The request is malformed.");
}

int peer_answer_written(struct peer *p, const struct channel_frame *f, uint8_t *out,
			const struct cursor *w, int rc, const char *why)
{
	if (!rc && !cursor_ok(w))
		rc = -EMSGSIZE;
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_reply(p, f->type, f->id, out, w->pos);
	free(out);
	return rc;
}
