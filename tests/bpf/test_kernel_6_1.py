"""The oldest kernel that is promised: Debian 12's 6.1, in QEMU. clsact there, no tcx."""

from __future__ import annotations

import pytest
from guest import CannotBoot, boot

FILES = (
    "tests/bpf/test_names.py tests/bpf/test_packets.py tests/bpf/test_verdicts.py tests/bpf/test_tcp_dns.py "
    "tests/bpf/test_dns_settings.py tests/bpf/test_verify_name.py tests/bpf/test_audit.py"
)
LEFT_OUT = (
    "(part3 or not verdict_of_policy) "
    "and not decides_as_lookup and not hostile and not memory_of and not hundred and not firewall"
)
"""What takes minutes under software emulation, and is no matter of the kernel's age; the guest has no nft."""
ENOUGH = (
    "allowed_name or no_process or unload or whole_answer or needs_every or edit_reaches "
    "or unrelated or follow_their_first or no_answer_opens or part3 or (over_tcp and clsact) "
    "or (fails_closed and clsact) or (search_domain and auto) or was_granted"
)
"""One of each kind: loading (verifying) the programs, or making a pod, takes seconds here."""


@pytest.mark.guest
@pytest.mark.timeout(2000)
@pytest.mark.parametrize(
    ("which", "seconds"),
    [(ENOUGH, 500), pytest.param(LEFT_OUT, 1800, marks=pytest.mark.long)],
    ids=["some", "all"],
)
def test_the_same_tests_pass_on_debians_kernel(which: str, seconds: int) -> None:
    command = f"python3 -m pytest -q -p no:cacheprovider --import-mode=importlib {FILES} -k '{which}'"
    try:
        code, shown = boot(command, seconds)
    except CannotBoot as reason:
        pytest.skip(str(reason))
    assert code == 0, shown[-6000:]
