"""What kubectl is served of the policy kinds is what `policy.parse` validates with."""

import pytest

from namewall.apiserver import schema
from namewall.apiserver.registry import RESOURCES
from namewall.policy.schema import KINDS, crd_schema


@pytest.mark.parametrize("kind", KINDS)
def test_a_custom_kind_has_one_schema(kind: str) -> None:
    assert schema.custom(kind) == crd_schema(kind)


def test_every_kind_with_a_schema_is_served() -> None:
    assert {r.kind for r in RESOURCES if r.group == "cilium.io"} == set(KINDS)
