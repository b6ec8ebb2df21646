"""The dialect of 1С:Бухгалтерия 3.0 over the standard OData interface (contract ONEC-ODATA).

What it says stands by subject: `bp_catalogs`, `bp_invoice`, `bp_money`, `bp_paper`, `bp_check`; the grammar in
`odata`, the refusals in `refusals`. It changes and creates, and never erases: what 1C erases over OData has no mark
and no way back (trap 8).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from mappers.dialect import Call, Reply
from mappers.onec import refusals
from mappers.onec.bp_check import Checks
from mappers.onec.bp_paper import Papers


class Accounting30(Checks, Papers):
    """Implements `mappers.verbs.AccountingDialect`.

    Options: base_url, username, password, organisation (ИНН of our own company), timezone (IANA, of the 1C server),
    defaults (set → field → value), sample_invoice (Ref_Key or number), sample_fields, item (code or Ref_Key),
    contract_name, reuse_sessions, print_url, act_print_url, signed (what makes an act signed: posted, field:NAME,
    register:NAME), today (a date, for the doctor). Others are ignored.
    Raises ValueError for one that makes no sense.
    """

    capabilities = frozenset({"counterparties", "contracts", "items", "invoices", "payments", "papers"})

    def credentials(self) -> Mapping[str, str]:
        """HTTP Basic. A Cyrillic login must be UTF-8: IIS refuses cp1251 (section 1)."""
        pair = f"{self.username}:{self.password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}

    def opening_headers(self) -> Mapping[str, str]:
        """Asks for a session that later calls reuse; a publication may ignore it (section 6)."""
        return {"IBSession": "start"} if self.reuse_sessions else {}

    def session_died(self, call: Call, reply: Reply) -> bool:
        """Asked for a call that was made with a session cookie; see `refusals.session_died`."""
        return refusals.session_died(call, reply)
