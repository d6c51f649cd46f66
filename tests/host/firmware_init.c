/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first and only program of the machines that tests/long/qemu boots: prints the PCRs
 * of all banks and the firmware's event log, and turns the machine off.
 *
 *   @PCR BANK NUMBER HEX    @LOG HEX    @END
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define PCRS 24

static void print_pcr(const char *bank, int n)
{
	char path[64], value[160];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/tpm/tpm0/pcr-%s/%d", bank, n);
	f = fopen(path, "r");
	if (!f)
		return;
	if (fgets(value, sizeof(value), f))
		printf("@PCR %s %d %s", bank, n, value);
	fclose(f);
}

static void print_log(void)
{
	int fd = open("/sec/tpm0/binary_bios_measurements", O_RDONLY);
	unsigned char part[32];
	ssize_t got, i;

	while (fd >= 0 && (got = read(fd, part, sizeof(part))) > 0) {
		printf("@LOG ");
		for (i = 0; i < got; i++)
			printf("%02x", part[i]);
		printf("\n");
	}
}

int main(void)
{
	static const char *const banks[] = {"sha1", "sha256", "sha384", "sha512"};
	unsigned int b;
	int n;

	mkdir("/sys", 0755);
	mkdir("/sec", 0755);
	if (mount("sysfs", "/sys", "sysfs", 0, NULL) ||
	    mount("securityfs", "/sec", "securityfs", 0, NULL))
		printf("no sysfs, or no securityfs\n");
	for (b = 0; b < sizeof(banks) / sizeof(*banks); b++)
		for (n = 0; n < PCRS; n++)
			print_pcr(banks[b], n);
	print_log();
	printf("@END\n");
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 1;
}
