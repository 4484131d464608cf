"""The oldest kernel that is promised: Debian 12's 6.1, in QEMU. clsact there, no tcx."""

from __future__ import annotations

import pytest
from guest import CannotBoot, boot

FILES = "tests/bpf/test_names.py tests/bpf/test_packets.py"
# What takes minutes under software emulation, and is no matter of the kernel's age.
LEFT_OUT = "not decides_as_lookup and not hostile and not memory_of and not hundred"


@pytest.mark.timeout(420)
def test_the_same_tests_pass_on_debians_kernel() -> None:
    command = f"python3 -m pytest -q -p no:cacheprovider --import-mode=importlib {FILES} -k '{LEFT_OUT}'"
    try:
        code, shown = boot(command, seconds=400)
    except CannotBoot as reason:
        pytest.skip(str(reason))
    assert code == 0, shown[-6000:]
