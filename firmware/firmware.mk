# SPDX-License-Identifier: Apache-2.0
# Firmware of HVM guests that measures into a vTPM, from Debian's source packages.
firmware: $(BUILD)/firmware/xen-vtpm-seabios.bin
$(BUILD)/firmware/xen-vtpm-seabios.bin: firmware/source $(wildcard firmware/seabios/*)
	@firmware/seabios/build $@
.PHONY: firmware

# Ten minutes: not a part of `make firmware`'s one.
firmware-ovmf: $(BUILD)/firmware/xen-vtpm-ovmf.fd
$(BUILD)/firmware/xen-vtpm-ovmf.fd: firmware/source $(wildcard firmware/ovmf/*)
	@firmware/ovmf/build $@
# For tests in QEMU's emulator alone.
firmware-ovmf-lab: $(BUILD)/firmware/xen-vtpm-ovmf-lab.fd
$(BUILD)/firmware/xen-vtpm-ovmf-lab.fd: firmware/source $(wildcard firmware/ovmf/*)
	@firmware/ovmf/build $@ --lab
.PHONY: firmware-ovmf firmware-ovmf-lab
