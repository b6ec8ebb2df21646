"""What the sandbox systems saw and hold, as the invariants ask for it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

from tests.delivery.beside import CLIENTS, CONTRACTS, INVOICES, ITEMS
from tests.delivery.plant import Plant

KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # ours, as it stands in an invoice's comment
# Set → the field that tells which of its objects a create means, and a search looks for.
IDENTITY = {INVOICES: "Комментарий", CLIENTS: "ИНН", CONTRACTS: "Owner_Key", ITEMS: "Description"}


def creates(calls: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """(set, identity) → how many POSTs that create it 1C received."""
    return Counter(identity for call in calls if (identity := _created(call)))


def blind_creates(calls: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Creates that followed another create of the same object without a search for it between."""
    blind: list[tuple[str, str]] = []
    unsearched: dict[str, set[str]] = defaultdict(set)  # set → identities created and not searched for since
    for call in calls:
        name = call["path"].rpartition("/")[2]
        if identity := _created(call):
            if identity[1] in unsearched[identity[0]]:
                blind.append(identity)
            unsearched[identity[0]].add(identity[1])
        elif call["method"] == "GET" and name in IDENTITY and "$filter" in call["query"]:
            unsearched[name] = {one for one in unsearched[name] if one not in call["query"]}
    return blind


def _created(call: dict[str, Any]) -> tuple[str, str] | None:
    name = call["path"].rpartition("/")[2]
    if call["method"] != "POST" or name not in IDENTITY:
        return None
    value = str(call["body"][IDENTITY[name]])
    return name, KEY.findall(value)[-1] if name == INVOICES else value


def invoices_of(plant: Plant, deals: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Deal → its invoices in 1C, by the deal's id in the comment."""
    found: dict[str, list[dict[str, Any]]] = {deal: [] for deal in deals}
    for invoice in plant.invoices():
        for deal in {word.strip("()[],") for word in invoice["Комментарий"].split()} & found.keys():
            found[deal].append(invoice)
    return found


def numbers_shown(plant: Plant) -> dict[str, str]:
    """Deal → the invoice number that it shows in the CRM."""
    return {deal["id"]: deal.get("cInvoiceNumber") or "" for deal in plant.state("crm", entity="Opportunity")}


def changes_of(plant: Plant) -> Counter[str]:
    """Deal → how many times its record was written in the CRM."""
    puts = (call["path"] for call in plant.calls("crm") if call["method"] == "PUT" and call["status"] == 200)
    return Counter(path.rpartition("/")[2] for path in puts if "/Opportunity/" in path)


def posts_of(plant: Plant) -> Counter[str]:
    """Deal → how many posts stand in its stream."""
    return Counter(note["parentId"] for note in plant.state("crm", entity="Note") if note.get("type") == "Post")


def told_wrong(plant: Plant, deals: list[str]) -> list[str]:
    """Every way in which a deal is not: one posted invoice in 1C, and its number in the CRM."""
    wrong: list[str] = []
    shown = numbers_shown(plant)
    for deal, invoices in invoices_of(plant, deals).items():
        if len(invoices) != 1:
            wrong.append(f"{deal}: {len(invoices)} invoices")
        elif not invoices[0]["Posted"]:
            wrong.append(f"{deal}: not posted")
        elif shown.get(deal) != invoices[0]["Number"]:
            wrong.append(f"{deal}: shows {shown.get(deal)!r}, not {invoices[0]['Number']!r}")
    return wrong
