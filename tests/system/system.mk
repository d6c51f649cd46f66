# SPDX-License-Identifier: Apache-2.0
# What the acceptance tests take into dom0 besides the product itself.
PROGRAMS += $(BUILD)/bin/wiretap.so
$(BUILD)/bin/wiretap.so: tests/system/wiretap/wiretap.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@ -ldl
