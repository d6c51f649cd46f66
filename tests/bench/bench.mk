# SPDX-License-Identifier: Apache-2.0
# Static, as it runs in a guest too.
TEST_PROGRAMS += $(BUILD)/bin/tpm-bench
$(BUILD)/bin/tpm-bench: $(BUILD)/obj/tests/bench/tpm-bench.o $(BUILD)/obj/lib/cursor.o
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@

TEST_PROGRAMS += $(BUILD)/bin/durable.so
$(BUILD)/bin/durable.so: tests/bench/durable.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@ -ldl
