"""The payment QR code's text by ГОСТ Р 56042-2014: what a bank's app reads from a paper.

`ST0001`, the encoding (2: UTF-8), then «|Name=value» in order: five that must be there (payee, account,
bank, БИК, correspondent account), then those that may. Only roubles are paid so.
"""

from __future__ import annotations

import re
from decimal import Decimal

from mappers.paper import BankAccount, Firm

# The standard's longest values, in characters (table 1 and table 2).
LENGTHS = {
    "Name": 160,
    "PersonalAcc": 20,
    "BankName": 45,
    "BIC": 9,
    "CorrespAcc": 20,
    "PayeeINN": 12,
    "KPP": 9,
    "Sum": 18,
    "Purpose": 210,
}
MANDATORY = ("Name", "PersonalAcc", "BankName", "BIC", "CorrespAcc")
MANDATORY_BYTES = 300  # the five and the service block together, encoded
# The standard allows any other character that no value holds; apps of banks expect this one, so values give it up.
SEPARATOR = "|"
_DIGITS = re.compile(r"[0-9]{9} [0-9]{20}")


def pay_text(payee: Firm, account: BankAccount, total: Decimal, purpose: str) -> str:
    """The text of the code. Raises ValueError naming what the standard can't do without."""
    values = {
        "Name": payee.name,
        "PersonalAcc": account.number,
        "BankName": account.bank,
        "BIC": account.bic,
        "CorrespAcc": account.correspondent or "0",  # an account with the Bank of Russia itself has none
        "PayeeINN": payee.inn,
        "KPP": payee.kpp,
        "Sum": str(int(total * 100)),
        "Purpose": purpose,
    }
    values = {name: _fitting(value, LENGTHS[name]) for name, value in values.items()}
    lacking = [name for name in MANDATORY if not values[name]]
    if lacking or not _DIGITS.fullmatch(f"{account.bic} {account.number}"):
        raise ValueError(f"no payment code without {', '.join(lacking) or 'a БИК and an account of a Russian bank'}")
    while len(_joined(values, MANDATORY).encode()) > MANDATORY_BYTES:
        longest = max(("Name", "BankName"), key=lambda name: len(values[name]))
        values[longest] = values[longest][:-1].rstrip()
    given = tuple(name for name, value in values.items() if value)
    return _joined(values, given)


def _joined(values: dict[str, str], names: tuple[str, ...]) -> str:
    return SEPARATOR.join(["ST00012", *(f"{name}={values[name]}" for name in names)])


def _fitting(value: str, length: int) -> str:
    """One line, cut to the standard's length, without the separator."""
    return " ".join(value.split()).replace(SEPARATOR, "/")[:length].rstrip()
