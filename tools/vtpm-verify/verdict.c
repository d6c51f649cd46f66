/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/verdict.h"

#include "lib/text.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

void verdict_add(struct verdict *v, const char *word, const char *fmt, ...)
{
	size_t i = v->reasons++;
	va_list args;
	char *text;

	if (i >= VERDICT_REASONS)
		return;
	v->reason[i].word = word;
	text = v->reason[i].text;
	va_start(args, fmt);
	vsnprintf(text, sizeof(v->reason[i].text), fmt, args);
	va_end(args);
	/* a name of the evidence's, or of its file */
	text_clean(text, sizeof(v->reason[i].text), text, strlen(text));
}

static size_t kept(const struct verdict *v)
{
	return v->reasons < VERDICT_REASONS ? v->reasons : VERDICT_REASONS;
}

static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static void print_json(const struct verdict *v, FILE *to)
{
	json_t *reasons = json_array(), *all;
	size_t i;

	for (i = 0; i < kept(v); i++)
		json_array_append_new(reasons,
				      json_pack("{s:s, s:s}", "reason", v->reason[i].word,
						"text", v->reason[i].text));
	all = json_pack("{s:b, s:o, s:o, s:o}", "accepted", !v->reasons, "vtpm",
			text_or_null(v->vtpm), "host", text_or_null(v->host), "reasons",
			reasons);
	if (v->firmware_is_bound && !v->reasons)
		json_object_set_new(all, "firmware", json_string("bound"));
	else if (v->firmware_is_unbound)
		json_object_set_new(all, "firmware", json_string("not bound"));
	json_dumpf(all, to, JSON_INDENT(2));
	fputc('\n', to);
	json_decref(all);
}

void verdict_print(const struct verdict *v, bool json, FILE *to)
{
	size_t i;

	if (json) {
		print_json(v, to);
		return;
	}
	if (!v->reasons)
		fprintf(to, "accepted: vTPM %s on host %s\n", v->vtpm, v->host);
	else
		fprintf(to, "refused: %zu reason%s\n", v->reasons,
			v->reasons == 1 ? "" : "s");
	for (i = 0; i < kept(v); i++)
		fprintf(to, "- %s: %s\n", v->reason[i].word, v->reason[i].text);
	if (v->firmware_is_unbound)
		fputs("- note: firmware not bound: the policy names no firmware by its hash, "
		      "and other firmware could have measured the same\n",
		      to);
}
