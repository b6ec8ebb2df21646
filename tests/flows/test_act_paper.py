"""Acts on paper: printed when they appear in 1C, once a version of what is printed, kept and mailed as wished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.flows.pull import pull_payments
from integration.steps import listen
from integration.store.cleaning import cleanup
from sandbox.mail import Mail
from sandbox.serve import serving
from tests.flows.books import ACT, Books
from tests.flows.test_letter import MAILBOX, WRITTEN, attached, parked, rows, table
from tests.flows.town import Town
from tests.integration.paper_reading import codes_of, text_of


@pytest.fixture
def post() -> Iterator[Mail]:
    with Mail() as mail:
        yield mail


@pytest.fixture
def mailed(place: Town, tmp_path: Path, post: Mail) -> Town:
    place.reset(tmp_path, table(post) | {"paper": {"acts": "mail"}})
    return place


def acts_mailed(post: Mail) -> list[dict[str, Any]]:
    return [letter for letter in post.letters() if letter["subject"].startswith("Акт")]


def issues(town: Town) -> list[tuple[int, str]]:
    return [(row.issue, row.state) for row in rows(town) if row.record_id.startswith("act:")]


def test_an_act_of_a_deal_is_printed_kept_and_mailed(mailed: Town, post: Mail) -> None:
    """The accountant posts it; the client gets the very PDF that the deal keeps."""
    books = Books(mailed)
    deal = books.deal(1220, account=WRITTEN)
    books.act(1220, books.bill(deal), Number="0000-000031")
    books.pull()
    [letter] = acts_mailed(post)
    assert letter["to"] == [MAILBOX]
    assert letter["subject"] == "Акт № 31 от 24.11.2026 на 1 220,00 руб. – ООО «Рассвет-Сервис»"
    assert "акт № 31" in letter["text"]
    [file] = letter["attachments"]
    assert file["name"] == "Акт № 31 от 24.11.2026.pdf"
    kept = [pdf for pdf in attached(mailed, deal) if hashlib.sha256(pdf).hexdigest() == file["sha256"]]
    assert len(kept) == 1
    assert "Акт № 31 от 24 ноября 2026 г." in text_of(kept[0])
    assert codes_of(kept[0]) == []
    assert "Акт № 31 от 24.11.2026 на 1\u00a0220,00 руб.: PDF" in mailed.notes(deal)
    assert parked(mailed) == {}


def test_by_default_an_act_goes_to_the_deal_alone(place: Town, tmp_path: Path, post: Mail) -> None:
    """What the client gets of accounting is the administrator's decision."""
    place.reset(tmp_path, table(post))
    books = Books(place)
    deal = books.deal(1220, account=WRITTEN)
    books.act(1220, books.bill(deal))
    books.pull()
    assert len(attached(place, deal)) == 2
    assert acts_mailed(post) == []


@pytest.mark.parametrize("paper", [{"acts": "none"}, {"attach": False}])
def test_acts_are_left_alone_by_wish(place: Town, tmp_path: Path, post: Mail, paper: dict[str, Any]) -> None:
    """Neither mailed nor kept."""
    place.reset(tmp_path, table(post) | {"paper": paper})
    books = Books(place)
    deal = books.deal(1220, account=WRITTEN)
    books.act(1220, books.bill(deal))
    books.pull()
    assert not [pdf for pdf in attached(place, deal) if "Акт" in text_of(pdf)]
    assert acts_mailed(post) == []


def test_an_act_that_is_posted_anew_is_no_news(mailed: Town, post: Mail) -> None:
    """A new version in 1C with the same content: month-end posts everything again. Another line is a new paper."""
    books = Books(mailed)
    deal = books.deal(1220, account=WRITTEN)
    act = books.act(1220, books.bill(deal))
    books.pull()
    books.edit(ACT, act, Комментарий="перепроведён")
    books.pull()
    assert issues(mailed) == [(1, "sent")]
    line = {"LineNumber": 1, "Количество": 1, "Цена": 1220, "Сумма": 1220, "СтавкаНДС": "НДС22", "Содержание": "Монтаж"}
    books.edit(ACT, act, Услуги=[line])
    books.pull()
    books.pull(nightly=True)
    assert issues(mailed) == [(1, "sent"), (2, "sent")]
    first, second = acts_mailed(post)
    assert "(исправленный)" in second["subject"]
    assert first["message_id"] != second["message_id"]
    assert len(attached(mailed, deal)) == 3


def test_an_act_of_no_deal_or_from_before_the_start_is_nobodys(mailed: Town, post: Mail) -> None:
    """It names no invoice of ours, or it is older than crm1c here."""
    books = Books(mailed)
    deal = books.deal(1220, account=WRITTEN)
    books.act(500)
    books.act(1220, books.bill(deal), day="2026-10-31")
    books.pull()
    assert issues(mailed) == []
    assert acts_mailed(post) == []


def test_an_unposted_act_is_not_mailed(mailed: Town, post: Mail) -> None:
    """Unposted while its letter waits for the mail server: it goes when the act is posted again, once."""
    books = Books(mailed)
    deal = books.deal(1220, account=WRITTEN)
    act = books.act(1220, books.bill(deal))
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 451})
    mailed.live(table(post) | {"paper": {"acts": "mail"}, "retry": {"mail": {"first": 600, "cap": 600}}})
    pulled(mailed, seconds=60)
    books.edit(ACT, act, Posted=False)
    pulled(mailed, seconds=60)
    assert issues(mailed) == [(1, "void")]
    post.clear_faults()
    mailed.work()
    assert acts_mailed(post) == []
    books.edit(ACT, act, Posted=True)
    books.pull()
    assert issues(mailed) == [(1, "sent")]
    assert len(acts_mailed(post)) == 1


def pulled(town: Town, seconds: float) -> None:
    """A pull, and so many seconds of work."""
    pull_payments(town.world.services, "main")
    town.work(seconds)


def test_one_act_over_two_deals_is_mailed_once_and_kept_with_both(mailed: Town, post: Mail) -> None:
    """Its rows name both invoices."""
    books = Books(mailed)
    deals = [books.deal(1220, account=WRITTEN), books.deal(610, account=WRITTEN)]
    lines = [
        {"LineNumber": n, "Количество": 1, "Цена": sum_, "Сумма": sum_, "СтавкаНДС": "НДС22",
         "СчетНаОплатуПокупателю_Key": books.bill(deal)}
        for n, (deal, sum_) in enumerate(zip(deals, (1220, 610), strict=True), 1)
    ]  # fmt: skip
    books.act(1830, Услуги=lines)
    books.pull()
    assert len(acts_mailed(post)) == 1
    for deal in deals:
        assert len([pdf for pdf in attached(mailed, deal) if "Акт №" in text_of(pdf)]) == 1


def test_the_file_field_of_the_deal_stays_the_invoices(place: Town, tmp_path: Path, post: Mail) -> None:
    """[crm.espo.fields] invoice_file holds the invoice; the act is a post."""
    place.reset(tmp_path, table(post) | {"crm": {"espo": {"fields": {"invoice_file": "cInvoiceFile"}}}})
    place.crm.meta.add_field("Opportunity", "invoiceFile", {"type": "file"})
    books = Books(place)
    deal = books.deal(1220, account=WRITTEN)
    books.act(1220, books.bill(deal))
    books.pull()
    _status, shown = place.crm.act("ivanova", "GET", f"Opportunity/{deal}")
    assert shown["cInvoiceFileName"].startswith("Счет № ")
    assert ["Акт №" in text_of(pdf) for pdf in attached(place, deal)] == [True]


def test_the_acts_print_form_of_1c_is_taken_where_one_is_configured(place: Town, tmp_path: Path, post: Mail) -> None:
    """[onec.NAME] act_print_url, beside invoices that crm1c draws itself; posted anew it is not asked for a letter."""
    asked: list[str] = []

    def service(environ: dict[str, Any], start: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        body = f"%PDF-1.7 {len(asked)}".encode()  # 1C prints the time of day on it
        start("200 OK", [("Content-Type", "application/pdf"), ("Content-Length", str(len(body)))])
        return [body]

    with serving(service) as address:
        base = {"act_print_url": f"{address}/bp/hs/print/act/{{ref_key}}"}
        place.reset(tmp_path, table(post) | {"paper": {"acts": "mail"}, "onec": {"main": base}})
        books = Books(place)
        deal = books.deal(1220, account=WRITTEN)
        act = books.act(1220, books.bill(deal), Number="0000-000031")
        books.pull()
        books.edit(ACT, act, Комментарий="перепроведён")
        books.pull()
    assert set(asked) == {f"/bp/hs/print/act/{act}"}
    [letter] = acts_mailed(post)
    assert letter["subject"].startswith("Акт № 31 от 24.11.2026 на 1 220,00 руб.")
    assert letter["attachments"][0]["sha256"] == hashlib.sha256(b"%PDF-1.7 1").hexdigest()
    assert "Счет на оплату" in text_of(attached(place, deal)[0])


def test_pdfs_that_nobody_was_mailed_make_room_after_a_year(place: Town, tmp_path: Path, post: Mail) -> None:
    """By default acts are not mailed: what was printed is remembered without its bytes."""
    place.reset(tmp_path, table(post))
    books = Books(place)
    deal = books.deal(1220, account=WRITTEN)
    books.act(1220, books.bill(deal))
    books.pull()
    for days, left in ((365, True), (2, False)):
        place.pass_time(days * 86_400)
        cleanup(place.world.store)
        [act] = [row for row in rows(place) if row.record_id.startswith("act:")]
        assert bool(act.pdf) == left


class Death(BaseException):
    """The process ends here."""


# A boundary, and the one that was passed before it: where a death may double or lose something of an act's.
DEATHS = (
    ("чтение: акты: answered", "keep facts: committed"),
    ("чтение акта для печати: answered", "keep paper: committed"),
    ("keep paper: committed", "settle: committed"),
    ("keep paper: committed", "загрузка PDF: answered"),
    ("загрузка PDF: answered", "запись с PDF в ленту сделки: answered"),
    ("keep paper: committed", "letter begins: committed"),
    ("letter begins: committed", "letter: answered"),
    ("letter: answered", "letter sent: before commit"),
    ("letter: answered", "letter sent: committed"),
)


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize(("after", "name"), DEATHS)
def test_one_letter_whatever_step_of_an_act_the_worker_dies_at(mailed: Town, post: Mail, after: str, name: str) -> None:
    """A second one only between the server's answer and our note of it, and then as a copy; the deal has one copy."""
    books = Books(mailed)
    deal = books.deal(1220, account=WRITTEN)
    books.act(1220, books.bill(deal))
    died(books, after, name)
    letters, unknowing = acts_mailed(post), name in ("letter: answered", "letter sent: before commit")
    assert len(letters) == 1 + unknowing
    assert len({post.raw(letter["n"]) for letter in letters}) == 1
    assert issues(mailed) == [(1, "sent")]
    assert len([pdf for pdf in attached(mailed, deal) if "Акт №" in text_of(pdf)]) == 1


def died(books: Books, after: str, name: str) -> None:
    """A pull and all its work, with one death of the worker."""
    passed, dead, town = set[str](), list[str](), books.town

    def step(boundary: str) -> None:
        if boundary == name and after in passed and not dead:
            dead.append(boundary)
            raise Death
        passed.add(boundary)

    stop = listen(step)
    try:
        while True:
            try:
                books.pull()
                break
            except Death:  # its leases run out, and the sweep calls what it held
                town.pass_time(20.0)
                town.calls.append((town.seconds, 0, "periodic", "sweep", ""))
    finally:
        stop()
    assert dead
