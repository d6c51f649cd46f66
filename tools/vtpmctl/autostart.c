/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/autostart.h"
#include "lib/text.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/guestfile.h"
#include "tools/vtpmctl/vtpmline.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void autostart_setting(FILE *f, const char *key, char out[256])
{
	char line[256], *value;
	size_t n = strlen(key);

	rewind(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, n) || line[n] != '=')
			continue;
		value = line + n + 1 + strspn(line + n + 1, "\"'");
		value[strcspn(value, "\"' \t#\n")] = '\0';
		snprintf(out, 256, "%s", value);
	}
}

static bool names_measured(const struct guestfile *c, const json_t *vtpms)
{
	XLU_ConfigList *lines;
	const json_t *vtpm;
	int i, n;

	if (xlu_cfg_get_list(c->cfg, "vtpm", &lines, &n, 1))
		return false;
	for (i = 0; i < n; i++) {
		vtpm = vtpmline_match(vtpms, xlu_cfg_get_listitem(lines, i));
		if (vtpm && vtpmline_is_for_measured(vtpm))
			return true;
	}
	return false;
}

static void note_refused(struct autostart *a, const char *file)
{
	size_t used = strlen(a->names), len;
	char name[NAME_MAX + 1];

	text_clean(name, sizeof(name), file, strlen(file));
	len = strlen(name);
	if (!a->refused++) {
		bool has_suffix = len > 4 && !strcmp(name + len - 4, ".cfg");

		snprintf(a->first, sizeof(a->first), "%.*s",
			 (int)(has_suffix ? len - 4 : len), name);
	}
	/* the last one is whole, or left out */
	if (used + len + 2 < sizeof(a->names)) {
		strcat(a->names, used ? ", " : "");
		strcat(a->names, name);
	}
}

static void read_auto(const char *folder, const char *name, const json_t *vtpms,
		      FILE *null, struct autostart *a)
{
	struct error e = {.cause = CAUSE_NONE};
	char path[PATH_MAX];
	struct guestfile c;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
	    guestfile_parse(path, null, &c, &e))
		return;
	a->files++;
	if (names_measured(&c, vtpms))
		note_refused(a, name);
	guestfile_free(&c);
}

/* xendomains takes what its shell makes of "*": all but hidden ones, in that order. */
static int is_taken(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

void autostart_read(const char *folder, const json_t *vtpms, struct autostart *a)
{
	FILE *null = fopen("/dev/null", "we");
	struct dirent **entries = NULL;
	int i, n = null ? scandir(folder, &entries, is_taken, alphasort) : -1;

	memset(a, 0, sizeof(*a));
	for (i = 0; i < n; i++) {
		read_auto(folder, entries[i]->d_name, vtpms, null, a);
		free(entries[i]);
	}
	free(entries);
	if (null)
		fclose(null);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n >= m && !strcmp(name + n - m, suffix);
}

/* Whether an instance of a unit can have the file's name, without .cfg: in the generator,
 * this is the pattern that it refuses. */
static bool can_be_instance(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && has_suffix(name, ".cfg") &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789:_.-") == n;
}

void autostart_units(const char *folder, struct autostart_units *u)
{
	struct dirent **entries = NULL;
	int i, n = scandir(folder, &entries, is_taken, alphasort);

	memset(u, 0, sizeof(*u));
	for (i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (has_suffix(name, "~") || strstr(name, ".dpkg-"))
			; /* no guest's: the generator passes over it, too */
		else if (can_be_instance(name))
			u->files++;
		else if (!u->bad++)
			text_clean(u->first, sizeof(u->first), name, strlen(name));
		free(entries[i]);
	}
	free(entries);
}
