/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/board.h"
#include "frontend/crb/crb.h"
#include "tools/vtpmd/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE	     4096u
#define BUFFER_GFN   (CRB_BUFFER / PAGE)
#define LOG_GFN	     (ACPI_LOG_ADDR / PAGE)
#define LOG_PAGES    (ACPI_LOG_SIZE / PAGE)
#define TABLES_GFN   0xFED60u
#define TABLES_PAGES 16u /* ours, and those of acpi_firmware= */
#define NODE_ADDRESS "hvmloader/acpi/address"
#define NODE_LENGTH  "hvmloader/acpi/length"

/* A number of the domain's nodes; 0: there is none. */
static uint64_t read_number(struct xen *x, uint32_t domid, const char *node)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, node);
	return xen_read(x, path, text, sizeof(text)) ? 0 : strtoull(text, NULL, 0);
}

static int write_number(struct xen *x, uint32_t domid, const char *node, uint64_t v)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, node);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)v);
	return xen_write_for(x, domid, path, text);
}

/* Copies the tables that acpi_firmware= gave, which ours follow. */
static int copy_tables(struct xen *x, uint32_t domid, const struct saved_board *b,
		       uint8_t *to, size_t room)
{
	unsigned int count;
	uint8_t *from;

	if (!b->length)
		return 0;
	if (b->length > room)
		return -ENOSPC;
	count = (unsigned int)((b->address % PAGE + b->length + PAGE - 1) / PAGE);
	from = xen_map(x, domid, b->address / PAGE, count);
	if (!from)
		return -EIO;
	memcpy(to, from + b->address % PAGE, b->length);
	xen_unmap(from, count);
	return 0;
}

static int put_tables(struct xen *x, uint32_t domid, const struct saved_board *b)
{
	size_t room = TABLES_PAGES * PAGE, others = b->length, own = 0;
	uint8_t *tables = xen_map(x, domid, TABLES_GFN, TABLES_PAGES);
	int rc;

	if (!tables)
		return -EIO;
	rc = copy_tables(x, domid, b, tables, room);
	if (!rc)
		rc = acpi_tables(tables + others, room - others, &own);
	xen_unmap(tables, TABLES_PAGES);
	if (!rc)
		rc = write_number(x, domid, NODE_ADDRESS, (uint64_t)TABLES_GFN * PAGE);
	return rc ? rc : write_number(x, domid, NODE_LENGTH, others + own);
}

static int make_pages(struct xen *x, uint32_t domid, uint64_t first, unsigned int count)
{
	void *at = xen_map(x, domid, first, count);

	if (!at)
		return xen_populate(x, domid, first, count);
	xen_unmap(at, count);
	return 0;
}

bool board_is_there(struct xen *x, uint32_t domid)
{
	void *at = xen_map(x, domid, BUFFER_GFN, 1);

	if (at)
		xen_unmap(at, 1);
	return at;
}

int board_furnish(struct xen *x, uint32_t domid, struct saved_board *b, const char **what)
{
	int rc;

	if (!b->begun) {
		b->address = read_number(x, domid, NODE_ADDRESS);
		b->length = b->address ? read_number(x, domid, NODE_LENGTH) : 0;
		b->begun = 1;
	}
	*what = "memory for its TPM's pages: does the host have any left";
	rc = make_pages(x, domid, BUFFER_GFN, 1);
	if (!rc)
		rc = make_pages(x, domid, LOG_GFN, LOG_PAGES);
	if (!rc)
		rc = make_pages(x, domid, TABLES_GFN, TABLES_PAGES);
	if (rc)
		return rc;
	*what = "its ACPI tables, with those of acpi_firmware=";
	return put_tables(x, domid, b);
}
