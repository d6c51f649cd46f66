# SPDX-License-Identifier: Apache-2.0
# Firmware of HVM guests that measures into a vTPM, from Debian's source packages.
firmware: $(BUILD)/firmware/xen-vtpm-seabios.bin
$(BUILD)/firmware/xen-vtpm-seabios.bin: firmware/source $(wildcard firmware/seabios/*)
	@firmware/seabios/build $@
.PHONY: firmware
