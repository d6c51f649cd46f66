/* SPDX-License-Identifier: Apache-2.0 */
/* In a manager's place on the host channel, for hosts with thousands of vTPMs: it says HELLO
 * and READY at once, tells its status when it is asked, and waits until vtpmd ends it.  Given
 * --unix DIR/NAME, the file DIR/NAME.starts, which it makes again, has the bytes of
 * DIR/anchorings as it began: the test's vtpmctl appends to that for each write of the TPM
 * that begins. */
#include "include/channel.h"
#include "lib/channel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANNEL 3

static void note_start(const char *path)
{
	char name[512];
	struct stat st = {.st_size = 0};
	const char *slash = strrchr(path, '/');
	FILE *f;

	snprintf(name, sizeof(name), "%.*s/anchorings", (int)(slash - path), path);
	(void)stat(name, &st);
	snprintf(name, sizeof(name), "%s.starts", path);
	f = fopen(name, "w");
	if (!f)
		_exit(1);
	fprintf(f, "%lld\n", (long long)st.st_size);
	fclose(f);
}

static void send_request(uint16_t type, uint32_t id, const void *payload, size_t len)
{
	uint8_t head[CHANNEL_HEADER_SIZE];

	channel_header(head, type, id, len);
	if (write(CHANNEL, head, sizeof(head)) != sizeof(head) ||
	    write(CHANNEL, payload, len) != (ssize_t)len)
		_exit(0);
}

/* What a manager that is a process tells, but for a guest's figures. */
static void send_status(uint32_t id)
{
	uint8_t tlvs[512], latency[8 * (1 + LATENCY_BUCKETS)] = {0};
	struct cursor c = cursor_writer(tlvs, sizeof(tlvs));

	for (uint16_t tag = STATUS_COMMANDS; tag <= STATUS_SEQ; tag++)
		channel_tlv_put_u64(&c, tag, 1);
	channel_tlv_put_u64(&c, STATUS_UPTIME_NS, 1000000000);
	channel_tlv_put_u64(&c, STATUS_RESIDENT_KIB, 1024);
	channel_tlv_put(&c, STATUS_LATENCY, latency, sizeof(latency));
	send_request(CHANNEL_STATUS, id, tlvs, c.pos);
}

/* Reads a frame of vtpmd's and returns its type; 0: vtpmd has ended. */
static uint16_t next_frame(void)
{
	struct {
		uint16_t type, zero;
		uint32_t id, len;
	} head;
	char payload[4096];
	ssize_t n;

	if (recv(CHANNEL, &head, sizeof(head), MSG_WAITALL) != sizeof(head))
		return 0;
	for (uint32_t left = ntohl(head.len); left; left -= (uint32_t)n) {
		n = recv(CHANNEL, payload,
			 left < sizeof(payload) ? left : sizeof(payload), 0);
		if (n <= 0)
			return 0;
	}
	return ntohs(head.type);
}

int main(int argc, char **argv)
{
	/* version 2 at least and at most; it starts; no uuid, no generation */
	static const uint8_t hello[2 + 2 + 1 + 16 + 8] = {0, 2, 0, 2},
						    generation[8] = {[7] = 1};
	uint32_t id = 1;
	uint16_t type;

	note_start(argv[argc - 1]);
	send_request(CHANNEL_HELLO, id++, hello, sizeof(hello));
	if (!next_frame())
		return 0;
	send_request(CHANNEL_READY, id++, generation, sizeof(generation));
	while ((type = next_frame()) && type != CHANNEL_EVENT_STOP)
		if (type == CHANNEL_EVENT_STATUS)
			send_status(id++);
	return 0;
}
