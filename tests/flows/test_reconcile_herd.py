"""A thousand pairs, three damaged behind our back in each of eight ways: all of them are found and nothing else is, and
only what may be repaired is."""

from __future__ import annotations

from collections.abc import Callable

from integration.rules.findings import Finding
from tests.flows.books import INVOICE, PAYMENT
from tests.flows.herd import DEALS_OF_A_CLIENT, Herd, agree_on_content, put
from tests.flows.neighbours import COUNTERPARTIES
from tests.flows.test_reconcile import compared, silently
from tests.flows.town import Town

EACH = 3
CLIENTS = 100  # with nine deals each: a thousand pairs


def paid(number: int) -> int:
    """The place of a deal of client `number` that is paid; the next one is not."""
    return number * DEALS_OF_A_CLIENT


def client_in_the_crm(herd: Herd, n: int) -> str:
    silently(herd.town, "Account", herd.accounts[n], name=f"Подмена {n}")
    return herd.accounts[n]


def client_in_1c(herd: Herd, n: int) -> str:
    herd.town.seed(COUNTERPARTIES, Ref_Key=herd.counterparties[n], Description=f"ООО «Имя {n}»")
    return herd.accounts[n]


def deal_deleted(herd: Herd, n: int) -> str:
    herd.town.crm.store.remove("Opportunity", herd.deals[paid(n)])
    return herd.deals[paid(n)]


def invoice_marked(herd: Herd, n: int) -> str:
    herd.town.seed(INVOICE, Ref_Key=herd.invoices[paid(n) + 1], DeletionMark=True, Posted=False)
    return herd.deals[paid(n) + 1]


def deal_of_another_client(herd: Herd, n: int) -> str:
    """Client 0 gets the deals of others."""
    agree_on_content(herd, paid(n) + 1)
    silently(herd.town, "Opportunity", herd.deals[paid(n) + 1], accountId=herd.accounts[0])
    return herd.deals[paid(n) + 1]


def sum_changed(herd: Herd, n: int) -> str:
    agree_on_content(herd, paid(n) + 1)
    silently(herd.town, "Opportunity", herd.deals[paid(n) + 1], amount=1500)
    return herd.deals[paid(n) + 1]


def percent_by_hand(herd: Herd, n: int) -> str:
    silently(herd.town, "Opportunity", herd.deals[paid(n)], cPaidPercent=7)
    return herd.deals[paid(n)]


def payment_erased(herd: Herd, n: int) -> str:
    herd.town.onec.base.delete(PAYMENT, herd.payments[paid(n)])
    return herd.payments[paid(n)]


# What is done behind our back (gives the id of whom it befell) → kind, entity, field, action that the report must have.
DAMAGES: dict[Callable[[Herd, int], str], tuple[str, str, str, str]] = {
    client_in_the_crm: ("different", "client", "name", "repaired"),
    client_in_1c: ("different", "client", "name", "repaired"),
    deal_deleted: ("missing", "deal", "", "person"),
    invoice_marked: ("missing", "invoice", "", "person"),
    deal_of_another_client: ("different", "deal", "client", "repaired"),
    sum_changed: ("different", "deal", "amount", "repaired"),
    percent_by_hand: ("different", "deal", "paid_percent", "repaired"),
    payment_erased: ("extra", "payment", "", "repaired"),
}


def test_of_a_thousand_pairs_the_damaged_ones_are_found_and_no_other(town: Town) -> None:
    herd = put(town, CLIENTS)
    assert herd.pairs == 1000
    clients, expected = iter(range(1, CLIENTS)), set()
    for damage, told in DAMAGES.items():
        expected |= {(damage(herd, next(clients)), *told) for _ in range(EACH)}
    _run, found = compared(town)
    assert {(_whose(one), one.kind, one.entity, one.field, one.action) for one in found} == expected
    assert len(found) == len(expected) == EACH * len(DAMAGES)
    _run, left = compared(town)
    assert {_whose(one) for one in left} == {whose for whose, *_, action in expected if action == "person"}
    assert {one.action for one in left} == {"person"}


def _whose(one: Finding) -> str:
    return one.record or one.ref_key
