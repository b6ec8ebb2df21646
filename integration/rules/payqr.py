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


def doubts(account: BankAccount) -> list[str]:
    """What speaks against these bank details, in words for an accountant; nothing where a code can be read and paid.

    The control key of an account is that of the Bank of Russia (№ 732-П; weights 7, 1, 3 over the bank's digits and
    the account's).
    """
    if not _DIGITS.fullmatch(f"{account.bic} {account.number}"):
        return ["БИК — 9 цифр, счёт — 20: QR-кода для оплаты на счёте не будет"]
    found = []
    if not account.bank:
        found.append("нет названия банка: QR-кода для оплаты на счёте не будет")
    # Accounts in a branch of the Bank of Russia itself are keyed by the branch's own digits.
    bank = f"0{account.bic[4:6]}" if account.bic[6:] in ("000", "001", "002") else account.bic[6:]
    if sum(int(digit) * weight for digit, weight in zip(bank + account.number, (7, 1, 3) * 8, strict=False)) % 10:
        found.append(f"контрольный ключ счёта {account.number} не сходится с БИК {account.bic}: одна из цифр неверна")
    if account.correspondent and account.correspondent[-3:] != account.bic[-3:]:
        found.append(f"корр. счёт {account.correspondent} — другого банка: не кончается на {account.bic[-3:]}")
    return found


def _joined(values: dict[str, str], names: tuple[str, ...]) -> str:
    return SEPARATOR.join(["ST00012", *(f"{name}={values[name]}" for name in names)])


def _fitting(value: str, length: int) -> str:
    """One line, cut to the standard's length, without the separator."""
    return " ".join(value.split()).replace(SEPARATOR, "/")[:length].rstrip()
