/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/table.h"

#include <stdio.h>
#include <string.h>

#define GAP	  2
#define FIRST_MAX 24
#define INDENT	  6

static int width(const char *const *heads, size_t column, const struct table_row *rows,
		 size_t count)
{
	size_t i, n, most = strlen(heads[column]);

	for (i = 0; i < count; i++) {
		n = strlen(rows[i].cell[column]);
		if (n > most && (column || n <= FIRST_MAX))
			most = n;
	}
	return (int)most;
}

static void print_cell(const char *text, int wide, bool right, bool last)
{
	if (right)
		printf("%*s", wide, text);
	else
		printf("%-*s", last ? 0 : wide, text);
	fputs(last ? "\n" : "  ", stdout);
}

/* Words below the row, indented, no line longer than the table. */
static void print_note(const char *text)
{
	int at = 0;

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (at && at + 1 + n > TABLE_WIDTH) {
			putchar('\n');
			at = 0;
		}
		at += printf("%*s%.*s", at ? 1 : INDENT, "", n, text);
		text += n;
		text += strspn(text, " ");
	}
	putchar('\n');
}

void table_print(const char *const *heads, size_t columns, uint32_t right,
		 const struct table_row *rows, size_t count)
{
	int wide[TABLE_COLUMNS];
	size_t i, c;

	for (c = 0; c < columns; c++)
		wide[c] = width(heads, c, rows, count);
	for (c = 0; c < columns; c++)
		print_cell(heads[c], wide[c], right >> c & 1, c + 1 == columns);
	for (i = 0; i < count; i++) {
		bool alone = (int)strlen(rows[i].cell[0]) > wide[0];

		if (alone)
			printf("%s\n", rows[i].cell[0]);
		for (c = 0; c < columns; c++)
			print_cell(c || !alone ? rows[i].cell[c] : "", wide[c],
				   right >> c & 1, c + 1 == columns);
		if (rows[i].note[0])
			print_note(rows[i].note);
	}
}

const char *table_text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

void table_number(const json_t *value, char out[TABLE_CELL])
{
	if (json_is_integer(value))
		snprintf(out, TABLE_CELL, "%lld", (long long)json_integer_value(value));
	else
		strcpy(out, "-");
}

void table_time(int64_t seconds, char out[TABLE_CELL])
{
	long long s = (long long)seconds;

	if (s < 0)
		strcpy(out, "-");
	else if (s < 60)
		snprintf(out, TABLE_CELL, "%llds", s);
	else if (s < 3600)
		snprintf(out, TABLE_CELL, "%lldm", s / 60);
	else if (s < 86400)
		snprintf(out, TABLE_CELL, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(out, TABLE_CELL, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

void table_count(double value, char out[TABLE_CELL])
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;

	if (value < 0) {
		strcpy(out, "-");
		return;
	}
	/* 999.5 would be printed as 1000 */
	for (; value >= 999.5 && unit + 1 < sizeof(units) - 1; unit++)
		value /= 1000;
	if (!unit)
		snprintf(out, TABLE_CELL, value == (long long)value ? "%.0f" : "%.1f",
			 value);
	else
		snprintf(out, TABLE_CELL, value < 99.95 ? "%.1f%c" : "%.0f%c", value,
			 units[unit]);
}

double quantile(const uint64_t counts[LATENCY_BUCKETS], double first, double q)
{
	double total = 0, rank, upper = first, lower = 0;
	size_t i;

	for (i = 0; i < LATENCY_BUCKETS; i++)
		total += (double)counts[i];
	if (total <= 0)
		return -1;
	rank = q * total;
	for (i = 0; i < LATENCY_BUCKETS - 1; i++) {
		if ((double)counts[i] >= rank && counts[i])
			return lower + (upper - lower) * rank / (double)counts[i];
		rank -= (double)counts[i];
		lower = upper;
		upper *= 2;
	}
	return lower;
}
