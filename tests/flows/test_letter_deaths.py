"""A worker dies at every step of printing, mailing and keeping: the client still gets one letter, the deal one copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.steps import listen
from sandbox.mail import Mail
from tests.flows.test_letter import WRITTEN, attached, group_account, rows, table
from tests.flows.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.kill]

# Dead between the server's answer and our note of it: nobody can know, so a copy goes out and is counted.
UNKNOWING = ("letter: answered", "letter sent: before commit")


class Death(BaseException):
    """The process ends here."""


def lived(town: Town, at: int, dying: str = "") -> list[str]:
    """A deal's whole way with the death of its worker at boundary number `at` (-1: none), or at the first one that is
    called so; the boundaries passed."""
    deal, passed, dead = town.deal(account=WRITTEN), list[str](), list[str]()
    town.tell(deal)

    def step(name: str) -> None:
        passed.append(name)
        if not dead and (len(passed) - 1 == at or name == dying):
            dead.append(name)
            raise Death

    stop = listen(step)
    try:
        while True:
            try:
                town.work()
                break
            except Death:  # its leases run out, and the sweep calls what it held
                town.calls.append((town.seconds + 20.0, 0, "periodic", "sweep", ""))
    finally:
        stop()
    return passed


@pytest.fixture(scope="module")
def points(place: Town, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The boundaries of a whole way, in order."""
    with Mail() as post:
        place.reset(tmp_path_factory.mktemp("way"), table(post))
        return lived(place, -1)


def test_the_way_has_its_steps(points: list[str]) -> None:
    """What is killed at below is what happens."""
    for name in ("keep paper: committed", "letter begins: committed", "letter: before", "letter sent: committed"):
        assert name in points


def test_one_letter_and_one_copy_whatever_step_the_worker_dies_at(
    place: Town, points: list[str], tmp_path: Path
) -> None:
    """For each boundary from the invoice's posting on; a second letter only where it can't be helped, as a copy."""
    first = points.index("bind invoice: committed")
    for at in range(first, len(points)):
        folder = tmp_path / str(at)
        folder.mkdir()
        with Mail() as post:
            place.reset(folder, table(post))
            lived(place, at)
            letters, [row] = post.letters(), rows(place)
            doubt = points[at] in UNKNOWING
            told = f"{at}: {points[at]}"
            assert len(letters) == 1 + doubt, told
            assert len({letter["message_id"] for letter in letters}) == 1, told
            assert len({post.raw(letter["n"]) for letter in letters}) == 1, told
            assert row.again >= len(letters) - 1, told
            assert row.state == "sent", told
            [invoice] = place.invoices()
            assert invoice["Posted"], told
            [deal] = {note["parentId"] for note in place.crm.state({"entity": "Note"}) if note.get("post")}
            assert len(attached(place, deal)) == 1, told


@pytest.mark.parametrize(
    "name",
    ["загрузка PDF: answered", "черновик письма: answered", "letter drafted: before commit",
     "letter drafted: committed", "отправка письма: before", "отправка письма: answered",
     "letter sent: before commit", "letter sent: committed"],
)  # fmt: skip
def test_the_crms_letter_goes_once_whenever_the_worker_dies(place: Town, tmp_path: Path, name: str) -> None:
    """via = "crm": the CRM itself tells what became of its letter, so there is never a second one."""
    with Mail() as post:
        place.reset(tmp_path, {"mail": {"via": "crm", "sender": "crm@company.example"}, "paper": {"attach": False}})
        group_account(place, post)
        passed = lived(place, -1, dying=name)
        assert name in passed
        assert len(post.letters()) == 1
        [kept] = place.crm.state({"entity": "Email"})
        assert kept["status"] == "Sent"
        [row] = rows(place)
        assert (row.state, row.letter_id) == ("sent", kept["id"])
