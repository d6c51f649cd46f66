/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/guestfile.h"
#include "lib/text.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int guestfile_parse(const char *file, FILE *report, struct guestfile *c, struct error *e)
{
	unsigned int unclean;
	bool has_cr;
	int rc;

	memset(c, 0, sizeof(*c));
	rc = file_read(file, &c->text, &c->len, e);
	if (rc)
		return rc;
	/* its values stand in sentences, in the journal, and in the log of what was measured */
	unclean = text_unclean_line(c->text, c->len);
	if (unclean) {
		guestfile_free(c);
		return error_set(e, -EILSEQ, CAUSE_INTERNAL,
				 "%s cannot be read as an xl file: line %u has a control "
				 "character, or is no UTF-8: write it anew",
				 file, unclean);
	}
	c->cfg = xlu_cfg_init(report, file);
	rc = c->cfg ? xlu_cfg_readdata(c->cfg, c->text, (int)c->len) : ENOMEM;
	has_cr = memchr(c->text, '\r', c->len) != NULL;
	/* the parser stops at a zero, or does not */
	if (!rc && strlen(c->text) != c->len)
		rc = EINVAL;
	if (!rc)
		return 0;
	guestfile_free(c);
	return error_set(
		e, -rc, CAUSE_INTERNAL, "%s cannot be read as an xl file: %s; %s", file,
		strerror(rc),
		has_cr ? "its lines end as Windows has them: `sed -i 's/\\r$//'` "
			 "mends that"
		       : "xl.cfg(5) has its syntax");
}

int guestfile_read(const char *file, struct guestfile *c)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = guestfile_parse(file, stderr, c, &e);

	if (!rc)
		return VTPMCTL_OK;
	if (rc == -ENOENT)
		fprintf(stderr,
			"vtpmctl: cannot read %s: %s: give the guest's file for xl, as "
			"/etc/xen/web1.cfg\n",
			file, strerror(-rc));
	else
		(void)vtpmctl_fail(&e);
	return VTPMCTL_USAGE; /* it does not pass by itself: the unit tries no more */
}

const char *guestfile_text(const struct guestfile *c, const char *key)
{
	const char *value = NULL;

	return xlu_cfg_get_string(c->cfg, key, &value, 1) ? NULL : value;
}

bool guestfile_boots_kernel(const struct guestfile *c)
{
	const char *type = guestfile_text(c, "type"),
		   *builder = guestfile_text(c, "builder");

	if (type)
		return !strcmp(type, "pv") || !strcmp(type, "pvh");
	return !builder || !strcmp(builder, "generic") || !strcmp(builder, "linux");
}

/* As xl does it: the beginning of the word is enough, even none of it. */
bool guestfile_is_hvm(const struct guestfile *c)
{
	const char *type = guestfile_text(c, "type");

	type = type ? type : guestfile_text(c, "builder");
	return type && !strncmp(type, "hvm", strlen(type));
}

/* xl's parser has to find in the new text what was written into it. */
static bool reads_back(const XLU_Config *cfg, const char *key, const char *want)
{
	const char *value = NULL;

	return !xlu_cfg_get_string(cfg, key, &value, 1) && !strcmp(value, want);
}

static bool check_guestfile(const struct guestfile *c)
{
	XLU_Config *again = xlu_cfg_init(stderr, "the launch's file");
	bool good = again && !xlu_cfg_readdata(again, c->text, (int)c->len);

	for (size_t i = 0; good && i < c->lines; i++)
		good = reads_back(again, c->line[i].key, c->line[i].value);
	if (again)
		xlu_cfg_destroy(again);
	return good;
}

void guestfile_add(struct guestfile *c, const char *key, const char *value)
{
	c->line[c->lines].key = key;
	snprintf(c->line[c->lines++].value, sizeof(c->line[0].value), "%s", value);
}

void guestfile_add_image(struct guestfile *c, const char *key,
			 const struct launch_image *i)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", i->fd);
	guestfile_add(c, key, path);
}

int guestfile_finish(struct guestfile *c)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, &c->len);

	if (c->own_uuid)
		guestfile_add(c, "uuid", c->uuid);
	if (!f)
		return -ENOMEM;
	fprintf(f, "%s\n", c->text);
	for (size_t i = 0; i < c->lines; i++)
		fprintf(f, "%s = \"%s\"\n", c->line[i].key, c->line[i].value);
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	free(c->text);
	c->text = text;
	return check_guestfile(c) ? 0 : -EINVAL;
}

void guestfile_free(struct guestfile *c)
{
	if (c->cfg)
		xlu_cfg_destroy(c->cfg);
	free(c->text);
	free(c->cmdline);
	memset(c, 0, sizeof(*c));
}
