/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ppi.h"

#define NO_OPERATION	    0
#define CLEAR		    5
#define ENABLE_CLEAR	    14
#define CLEAR_ENABLE	    21
#define ENABLE_CLEAR_ENABLE 22
#define REGISTER_SIZE	    4

bool ppi_is_clear(uint32_t operation)
{
	return operation == CLEAR || operation == ENABLE_CLEAR ||
	       operation == CLEAR_ENABLE || operation == ENABLE_CLEAR_ENABLE;
}

/* No machine of ours has a user in front of it: what is allowed needs none, and operations
 * that would change that (17, 18: SetPPRequiredForClear) are not implemented. */
static enum ppi_answer judge(const struct ppi *p, uint32_t operation)
{
	if (operation == NO_OPERATION)
		return PPI_NO_USER_NEEDED;
	if (!ppi_is_clear(operation))
		return PPI_NOT_IMPLEMENTED;
	return p->told->allowed ? PPI_NO_USER_NEEDED : PPI_BLOCKED;
}

static uint32_t read_ppi(const struct ppi *p, uint32_t reg)
{
	switch (reg) {
	case PPI_REQUEST:
		return p->s->request;
	case PPI_ASK:
		return judge(p, p->s->ask);
	case PPI_LAST:
		return p->told->last;
	case PPI_RESPONSE:
		return p->told->response;
	case PPI_MEMORY:
		return p->s->memory;
	default:
		return 0;
	}
}

uint64_t ppi_read(const struct ppi *p, uint32_t at, unsigned int size)
{
	return size == REGISTER_SIZE && at % REGISTER_SIZE == 0 ? read_ppi(p, at) : 0;
}

void ppi_write(struct ppi *p, uint32_t at, unsigned int size, uint64_t value)
{
	uint32_t v = (uint32_t)value;

	if (size != REGISTER_SIZE)
		return;
	switch (at) {
	case PPI_REQUEST:
		if (judge(p, v) == PPI_NO_USER_NEEDED)
			p->s->request = v;
		break;
	case PPI_ASK:
		p->s->ask = v;
		break;
	case PPI_MEMORY:
		p->s->memory = v;
		break;
	}
}
