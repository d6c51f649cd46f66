# SPDX-License-Identifier: Apache-2.0
"""For pytest: the tests of tpm2-pytss on /dev/tpmrm0.  They start a simulator each; here
all get the one TPM of this guest, cleared before each."""
import subprocess
import tempfile

import pytest
from test import TSS2_BaseTest
from tpm2_pytss import TCTILdr

CLEAN = "tpm2_clear -Q -T {0}; tpm2_dictionarylockout -Q -c -T {0}"


class Device:
    tcti_name_conf = "device:/dev/tpmrm0"

    def __init__(self):
        self.working_dir = tempfile.TemporaryDirectory()

    def start(self):
        subprocess.run(CLEAN.format(self.tcti_name_conf), shell=True, check=False)

    def get_tcti(self):
        return TCTILdr(*self.tcti_name_conf.split(":"))

    def close(self):
        pass


TSS2_BaseTest.TpmSimulator.getSimulator = staticmethod(Device)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "test_clearcontrol":
            item.add_marker(pytest.mark.skip(
                "it forbids TPM2_Clear, which only the platform can allow again"))
    # It turns the endorsement hierarchy off, until the TPM's next reset.
    items.sort(key=lambda item: item.name == "test_hierarchy_control")
