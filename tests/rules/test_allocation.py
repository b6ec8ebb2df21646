"""Allocation of one account: DOMAIN's worked examples, the passes one by one, refunds, proposals, closed months."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from time import process_time

from integration.rules.allocation import Allocated, allocate
from integration.rules.positions import Pin, entries, summed
from integration.settings.money import Allocation as Options
from mappers.money import Covered, Instalment
from tests.rules.facts import DAY, act, facts, invoice, payment, refund, row

MONTH = timedelta(days=30)


def given(found: Allocated) -> dict[tuple[str, str], str]:
    """(payment, obligation) → sum and rule."""
    told: dict[tuple[str, str], str] = {}
    for one in found.positions:
        before = told.get((one.payment, one.obligation), "")
        told[one.payment, one.obligation] = f"{before} {one.amount} {one.explanation.rule}".strip()
    return told


def test_ten_millions_with_retention() -> None:
    """6 000 000, then 3 500 000, then the retained 500 000: each goes to the act, the retention last."""
    retained = Instalment(Decimal("500000.00"), DAY + 3 * MONTH, "retention")
    work = act("a", "10000000.00", instalments=(retained,))
    paid = [
        payment("p1", "6000000.00"),
        payment("p2", "3500000.00", DAY + timedelta(1)),
        payment("p3", "500000.00", DAY + 3 * MONTH),
    ]
    sums = [("6000000.00", "0"), ("9500000.00", "0"), ("9500000.00", "500000.00")]
    for many, (regular, retention) in enumerate(sums, 1):
        found = allocate(facts(work, *paid[:many]))
        assert found.paid["a"] == (Decimal(regular), Decimal(retention))
        assert found.advance == 0


def test_one_advance_over_three_acts() -> None:
    """1 000 000 in advance, acts of 400 000, 350 000 and 500 000: paid, paid, half paid, advance 0."""
    acts = [act(f"a{at}", sum_, DAY + at * MONTH) for at, sum_ in enumerate(("400000", "350000", "500000"))]
    advance = payment("p", "1000000", DAY - MONTH)
    left = [allocate(facts(advance, *acts[:many])).advance for many in range(4)]
    assert left == [Decimal(one) for one in ("1000000", "600000", "250000", "0")]
    assert allocate(facts(advance, *acts)).paid["a2"] == (Decimal("250000.00"),)


def test_rows_that_name_documents_come_first() -> None:
    """Each row pays what it names, by its own sum; what it can't use goes the usual way."""
    found = allocate(
        facts(
            act("a1", "100", DAY - MONTH),
            act("a2", "100"),
            invoice("i", "70"),
            payment("p", "200", rows=(row(1, "120", "a2"), row(2, "50", "i"), row(3, "30"))),
        )
    )
    assert given(found) == {
        ("p", "a2"): "100.00 explicit",
        ("p", "i"): "50.00 explicit",
        ("p", "a1"): "20.00 oldest 30.00 oldest",
    }
    assert found.positions[0].explanation.text == "самое раннее неоплаченное обязательство: акт № a1 от 04.01.2026"
    assert found.positions[1].explanation.text == "акт № a2 от 03.02.2026 указан в строке 1 платежа"


def test_an_invoice_means_its_acts_then_its_own_rest() -> None:
    """An invoice and its acts are never two debts: naming it pays the acts made from it, in order, then its rest."""
    bill = invoice("i", "100", DAY - MONTH, number="0000-000057")
    of_it = [act(f"a{at}", "40", DAY + at * MONTH, covers=(Covered("i", Decimal(40)),)) for at in (1, 2)]
    named = payment("p", "90", purpose="Оплата по счету № 57")
    assert given(allocate(facts(bill, named))) == {("p", "i"): "90.00 purpose"}
    found = allocate(facts(bill, named, *of_it))
    assert given(found) == {("p", "a1"): "40.00 purpose", ("p", "a2"): "40.00 purpose", ("p", "i"): "10.00 purpose"}
    assert [one.amount for one in found.obligations] == [Decimal(40), Decimal(40), Decimal(20)]
    texts = {one.obligation: one.explanation.text for one in found.positions}
    assert texts["i"] == "счёт № 57 назван в назначении платежа"
    assert texts["a1"] == "счёт № 57 назван в назначении платежа; по нему выписан акт № a1 от 05.03.2026"
    more = act("a3", "40", DAY + 3 * MONTH, covers=(Covered("i", Decimal(40)),))
    assert [one.amount for one in allocate(facts(bill, *of_it, more)).obligations][-1] == 0


def test_each_allocation_says_what_named_it() -> None:
    """Two invoices named in one text: each allocation quotes its own."""
    bills = [invoice("i1", "100", number="57"), invoice("i2", "70", number="58")]
    found = allocate(facts(*bills, payment("p", "150", purpose="по сч. 57, 58")))
    assert [(one.amount, one.explanation.named, one.explanation.text) for one in found.positions] == [
        (100, "i1", "счёт № 57 назван в назначении платежа"),
        (50, "i2", "счёт № 58 назван в назначении платежа"),
    ]


def test_a_person_s_decision_stands() -> None:
    """OCA/account-reconcile#43: 8 000 of 10 000 matched by hand stay; the robot fills the rest by reference."""
    bills = [invoice("i1", "9500", number="11"), invoice("i2", "1500", number="12"), act("old", "10000", DAY - MONTH)]
    paid = payment("p", "10000", purpose="по сч. 12")
    found = allocate(facts(*bills, paid, Pin("p", "i1", Decimal(8000), "anna")))
    assert given(found) == {
        ("p", "i1"): "8000.00 pinned",
        ("p", "i2"): "1500.00 purpose",
        ("p", "old"): "500.00 oldest",
    }
    again = allocate(facts(*bills, paid, payment("q", "9000", DAY - MONTH), Pin("p", "i1", Decimal(8000), "anna")))
    assert given(again)["p", "i1"] == "8000.00 pinned"
    assert "счёт № 11 от 03.02.2026: решение человека (anna)" in [one.explanation.text for one in again.positions]


def test_an_allocation_is_never_more_than_was_paid() -> None:
    """A deposit of 50 for an invoice of 100 pays 50 (alyf-de/banking#59)."""
    found = allocate(facts(invoice("i", "100", number="5"), payment("p", "50", purpose="счет 5")))
    assert found.paid["i"] == (Decimal(50),)


def test_exact_sum_decides_before_age_but_only_if_one_fits() -> None:
    """100 pays the one open document that lacks 100, not the oldest; with two such, the oldest."""
    acts = [act("a", "70", DAY - 2 * MONTH), act("b", "100", DAY - MONTH)]
    assert given(allocate(facts(*acts, payment("p", "100")))) == {("p", "b"): "100.00 exact"}
    twins = [*acts, act("c", "100")]
    assert given(allocate(facts(*twins, payment("p", "100")))) == {
        ("p", "a"): "70.00 oldest",
        ("p", "b"): "30.00 oldest",
    }


def test_dead_offers_take_nothing_by_age() -> None:
    """Invoices 90 days old, and rests of invoices that have acts, are left out of the oldest-first pass."""
    offers = [invoice("dead", "70", DAY - timedelta(90)), invoice("young", "70", DAY - timedelta(89))]
    assert given(allocate(facts(*offers, payment("p", "100")))) == {("p", "young"): "70.00 oldest"}
    assert given(allocate(facts(*offers, payment("p", "100")), Options(oldest_first=False))) == {}
    begun = [invoice("i", "70"), act("a", "20", covers=(Covered("i", Decimal(20)),))]
    assert given(allocate(facts(*begun, payment("p", "65")))) == {("p", "a"): "20.00 oldest"}


def test_acts_come_before_invoices_and_instalments_by_their_day() -> None:
    """A retention due later waits for the next act's regular part."""
    retained = (Instalment(Decimal(10), DAY + 3 * MONTH, "retention"),)
    found = allocate(
        facts(
            invoice("i", "40", DAY - 2 * MONTH),
            act("a", "100", DAY - MONTH, instalments=retained),
            act("b", "50"),
            payment("p", "145"),
        )
    )
    assert found.paid == {"a": (Decimal(90), Decimal(5)), "b": (Decimal(50),), "i": (Decimal(0),)}


def test_a_text_that_cannot_be_resolved_waits_for_a_person() -> None:
    """Last year's № 57 and this year's: not guessed, not spent elsewhere, shown with candidates; a pin answers it."""
    bills = [
        invoice("old", "100", date(2025, 6, 1), number="0000-000057"),
        invoice("new", "120", date(2026, 1, 20), number="0000-000057"),
        act("debt", "50", DAY - MONTH),
    ]
    paid = payment("p", "120", purpose="Оплата по счету № 57")
    found = allocate(facts(*bills, paid))
    assert found.positions == ()
    assert found.advance == 120
    (proposal,) = found.proposals
    assert proposal.reason == "в назначении платежа назван счёт № 57, но подходит документов: 2"
    assert [one.obligation for one in proposal.candidates] == ["new", "old", "debt"]
    assert proposal.candidates[0].reasons == (
        "номер 57",
        "вид документа совпадает",
        "сумма равна остатку",
        "не старше 12 мес.",
    )
    answered = allocate(facts(*bills, paid, Pin("p", "new", Decimal(100))))
    assert given(answered) == {("p", "new"): "100.00 pinned 20.00 purpose"}
    freed = allocate(facts(*bills, paid, Pin("p", "")))
    assert freed.proposals == ()
    assert given(freed) == {("p", "new"): "120.00 exact"}


def test_a_number_alone_never_reaches_across_a_year() -> None:
    """№ 57 of thirteen months ago does not decide; with its date it does; a date that no № 57 has waits."""
    bill = invoice("i", "100", date(2025, 1, 2), number="57")
    assert allocate(facts(bill, payment("p", "100", purpose="сч 57"))).proposals
    assert given(allocate(facts(bill, payment("p", "100", purpose="сч 57 от 02.01.2025")))) == {
        ("p", "i"): "100.00 purpose"
    }
    assert allocate(facts(bill, payment("p", "100", purpose="сч 57 от 02.01.2026"))).proposals


def test_what_the_row_names_tells_which_of_two() -> None:
    """The payment's own row names one of two documents № 57: the text means that one, nothing waits."""
    bills = [invoice("old", "100", date(2025, 6, 1), number="57"), invoice("new", "100", number="57")]
    found = allocate(facts(*bills, payment("p", "100", purpose="сч 57", rows=(row(1, "60", "new"), row(2, "40")))))
    assert given(found) == {("p", "new"): "60.00 explicit 40.00 purpose"}


def test_refunds_take_the_advance_then_what_they_name_then_the_latest() -> None:
    """In this order; the debt that a refund opens is open again, the money is gone."""
    account = facts(
        act("a", "100", DAY, number="5"),
        act("b", "100", DAY + MONTH),
        payment("p1", "100", rows=(row(1, "100", "a"),)),
        payment("p2", "130", DAY + MONTH, rows=(row(1, "130", "b"),)),
    )

    def after(*refunds: object) -> tuple[Decimal, Decimal, Decimal]:
        found = allocate(replace(account, refunds=refunds))  # type: ignore[arg-type]
        return found.paid["a"][0], found.paid["b"][0], found.advance

    late = DAY + 2 * MONTH
    assert after(refund("r", "20", late)) == (100, 100, 10)
    assert after(refund("r", "50", late, rows=(row(1, "50", "a"),))) == (80, 100, 0)
    assert after(refund("r", "50", late)) == (100, 80, 0)
    assert after(refund("r", "150", late, purpose="возврат по акту 5")) == (0, 80, 0)
    assert after(refund("r", "230", late)) == (0, 0, 0)
    assert after(refund("r", "250", late)) == (0, 0, -20)


def test_money_that_comes_after_a_refund_pays_anew() -> None:
    """Paid, paid back, paid again: the second payment settles the act, the first one's allocation stays reversed."""
    found = allocate(
        facts(
            act("a", "100"),
            payment("p1", "100"),
            refund("r", "100", DAY + MONTH),
            payment("p2", "100", DAY + 2 * MONTH),
        )
    )
    assert given(found) == {("p2", "a"): "100.00 exact"}
    assert found.advance == 0


def test_unposting_takes_back_by_a_reversal() -> None:
    """The ledger's entries: an allocation, then its reversal; the sums of both payments' entries are the positions."""
    work, first, second = act("a", "100"), payment("p1", "60"), payment("p2", "60", DAY + MONTH)
    before = allocate(facts(work, first, second)).positions
    after = allocate(facts(work, replace(first, posted=False), second)).positions
    steps = entries(before, after)
    assert [(one.kind, one.position.payment, one.position.amount) for one in steps] == [
        ("reversal", "p1", Decimal(-60)),
        ("allocation", "p2", Decimal(20)),
    ]
    assert summed([*entries((), before), *steps]) == after


def test_a_closed_month_is_not_touched() -> None:
    """An earlier act comes to light: the closed month's allocation stays, what is new goes to the new debt."""
    first = facts(act("b", "100", DAY), payment("p1", "80", DAY))
    held = allocate(first).positions
    account = facts(
        act("a", "100", DAY - MONTH), act("b", "100", DAY), payment("p1", "80", DAY), payment("p2", "70", DAY + MONTH)
    )
    assert given(allocate(account))["p1", "a"] == "80.00 oldest"
    kept = allocate(replace(account, closed=held))
    assert given(kept) == {("p1", "b"): "80.00 oldest", ("p2", "a"): "70.00 oldest"}
    assert [one.position.payment for one in entries(held, kept.positions)] == ["p2"]


def test_rows_of_another_contract_belong_to_its_own_account() -> None:
    """One payment, two contracts: each account counts its rows alone, the undescribed rest is the header's."""
    paid = payment("p", "100", contract="one", rows=(row(1, "30", contract="two"), row(2, "50")))
    assert allocate(facts(paid, contract="one")).received == 70
    assert allocate(facts(paid, contract="two")).received == 30
    assert allocate(facts(paid, contract="three")).received == 0


def test_two_thousand_of_each_in_well_under_a_second() -> None:
    """Near-linear: an account of 2,000 payments and 2,000 acts, half of them named, is well under a second."""
    days = [date(2025, 1, 1) + timedelta(days=at % 600) for at in range(2000)]
    acts = [act(f"a{at:04}", f"{100 + at % 97}.10", days[at], number=f"{at}") for at in range(2000)]
    paid = [
        payment(
            f"p{at:04}", f"{90 + at % 89}.05", days[-at], purpose=f"акт {at} от {days[at]:%d.%m.%Y}" if at % 2 else ""
        )
        for at in range(2000)
    ]
    account = facts(*acts, *paid)
    begun = process_time()
    found = allocate(account)
    assert process_time() - begun < 2  # 0.3 s on one quiet core; the bar here leaves room for a busy machine
    assert found.allocated + found.advance == found.received
