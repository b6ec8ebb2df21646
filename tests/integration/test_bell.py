"""Other channels of notices, as far as they need no service: without the package, and with an address of nobody."""

from __future__ import annotations

import sys

import pytest

from integration.bell import bell
from integration.errors import Misconfigured


def test_without_the_package_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, not at the first notice."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Misconfigured, match=r"pip install 'crm1c\[apprise\]'"):
        bell(["json://127.0.0.1:9"])


def test_an_unknown_address_is_named_by_its_number() -> None:
    """It may hold a password."""
    with pytest.raises(Misconfigured, match="адрес № 2") as raised:
        bell(["json://127.0.0.1:9", "pigeon://secret@home"])
    assert "secret" not in str(raised.value)
