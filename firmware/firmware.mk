# SPDX-License-Identifier: Apache-2.0
# Firmware of HVM guests that measures into a vTPM, from Debian's source packages.
firmware: $(BUILD)/firmware/xen-vtpm-seabios.bin
$(BUILD)/firmware/xen-vtpm-seabios.bin: firmware/source $(wildcard firmware/seabios/*)
	@firmware/seabios/build $@
.PHONY: firmware

# Ten minutes: not a part of `make firmware`'s one.  One build makes both: without keys of Secure
# Boot, and with Debian's.
OVMF := $(BUILD)/firmware/xen-vtpm-ovmf
OVMF_FROM := firmware/source $(filter-out %/sha256 %/sha256-enrolled,$(wildcard firmware/ovmf/*))
firmware-ovmf: $(OVMF).fd
firmware-ovmf-enrolled: $(OVMF)-enrolled.fd
$(OVMF).fd $(OVMF)-enrolled.fd &: $(OVMF_FROM)
	@firmware/ovmf/build $(OVMF).fd
# For tests in QEMU's emulator alone.
firmware-ovmf-lab: $(OVMF)-lab.fd $(OVMF)-lab-enrolled.fd
$(OVMF)-lab.fd $(OVMF)-lab-enrolled.fd &: $(OVMF_FROM)
	@firmware/ovmf/build $(OVMF)-lab.fd --lab
.PHONY: firmware-ovmf firmware-ovmf-enrolled firmware-ovmf-lab
