"""Every deal of an EspoCRM with what it shows of its invoice: for the nightly comparison, which sees what neither a
webhook nor modifiedAt tells (ESPOCRM.md, traps 8 and 9)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mappers.canonical import Deal
from mappers.crm.espocrm import records
from mappers.crm.espocrm.accounts import Accounts
from mappers.crm.espocrm.talk import PAGE, ask_list, search
from mappers.dialect import ShownDeal, Talk
from mappers.wire import decimal

_LISTED = (
    *("id", "name", "stage", "amount", "amountCurrency", "accountId", "createdAt", "modifiedAt", "versionNumber"),
)
# What a deal shows; prose (sync_status) is nobody's to compare, a link may be written in several ways.
_SHOWN = ("invoice_number", "invoice_date", "ref_key", "payment_status", "paid_percent", "paid_amount")
_NUMBERS = frozenset({"paid_percent", "paid_amount"})
_OWN = ("organisation", "retention_amount", "retention_date")


class Deals(Accounts):
    """Talks about all deals. They raise Fault as `talk.refusal` says."""

    def all_deals(self, offset: int) -> Talk[tuple[list[ShownDeal], bool]]:
        """Every deal in the order of its birth, one page from `offset`; and whether more follow."""
        names = self.options.fields
        more = [names[ours] for ours in (*_SHOWN, *_OWN) if ours in names]
        manager = (f"{self.options.manager}Id", f"{self.options.manager}Name")
        params = search(
            select=[*_LISTED, *manager, *more], orderBy="createdAt", order="asc", offset=offset, maxSize=PAGE
        )
        call = self.api.get("все сделки", "Opportunity", params, headers={"X-No-Total": "true"})
        rows, total = yield from ask_list(call)
        found = [ShownDeal(deal, self._shown(row)) for row in rows for deal in records.listed(self.options, [row])]
        # -1: more follow, -2: no more (contract §3.2); a total proper from a version that takes no X-No-Total.
        return found, bool(rows) and (total == -1 or total > offset + len(rows))

    def shown(self, deal: Deal) -> Mapping[str, str]:
        """What a deal that was read whole shows of its invoice."""
        return self._shown(deal.raw)

    def _shown(self, row: Mapping[str, Any]) -> dict[str, str]:
        names = self.options.fields
        return {ours: _plain(ours, row[names[ours]]) for ours in _SHOWN if ours in names and names[ours] in row}


def _plain(ours: str, value: Any) -> str:
    """A field's value in its one form: sums and percents without needless zeros, text without blanks at its ends."""
    if value is None or value == "":
        return ""
    if ours in _NUMBERS:
        try:
            number: Decimal = decimal(value)
        except ValueError:
            return str(value)
        return f"{number.normalize():f}"
    return str(value).strip()
