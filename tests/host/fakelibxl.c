/* SPDX-License-Identifier: Apache-2.0 */
/* libxl for tests/host/migrate-xl and tests/attack/migrate-killed, to be preloaded: the guests of
 * migrate_xl.py, of which it knows one: the file of $XLHOST/domains that says "suspended", or "paused". */
#include <libxl.h>
#include <libxl_utils.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/domains", getenv("XLHOST"));
	return path;
}

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *lg)
{
	*ctx = NULL;
	return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
	return 0;
}

static int has_state(const char *name, const char *state)
{
	char path[1024], text[4096] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder(), name);
	f = fopen(path, "r");
	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	return strstr(text, state) != NULL;
}

static char *find_in_state(const char *state)
{
	DIR *d = opendir(folder());
	struct dirent *one;
	char *name = NULL;

	while (d && (one = readdir(d)))
		if (has_state(one->d_name, state))
			name = strdup(one->d_name);
	if (d)
		closedir(d);
	return name;
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
	char *suspended = find_in_state("\"suspended\""),
	     *paused = find_in_state("\"paused\"");

	info->shutdown = suspended != NULL;
	info->shutdown_reason = LIBXL_SHUTDOWN_REASON_SUSPEND;
	info->paused = paused != NULL;
	free(suspended);
	free(paused);
	return 0;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
	return find_in_state("\"suspended\"");
}

int libxl_domain_rename(libxl_ctx *ctx, uint32_t domid, const char *old_name,
			const char *new_name)
{
	char from[1024], to[1024];

	snprintf(from, sizeof(from), "%s/%s", folder(), old_name);
	snprintf(to, sizeof(to), "%s/%s", folder(), new_name);
	return rename(from, to);
}

int libxl_domain_resume(libxl_ctx *ctx, uint32_t domid, int suspend_cancel,
			const libxl_asyncop_how *ao_how)
{
	char command[1024];

	if (suspend_cancel != 1)
		return ERROR_INVAL;
	snprintf(command, sizeof(command), "sed -i 's/\"suspended\"/\"running\"/' '%s'/*",
		 folder());
	return system(command) ? ERROR_FAIL : 0;
}
