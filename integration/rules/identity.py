"""Who a client is: ИНН and КПП checked before anything is asked of another system."""

from __future__ import annotations

from dataclasses import replace

from marshmallow import ValidationError

from integration.errors import Rejected
from mappers.canonical import Party
from mappers.fields import Inn, Kpp
from mappers.wire import clean

# A client's card asks for no invoice: the deal does.
_THEN = "затем нажмите кнопку счёта или измените и сохраните сделку."


def checked(party: Party) -> Party:
    """The client with its ИНН and КПП in their one form and names cleaned. Raises Rejected naming client and field."""
    name = clean(party.name)
    whose = f"У клиента «{name[:80]}»" if name else "У клиента без названия"
    if not party.inn:
        raise Rejected(f"{whose} не заполнен ИНН. Заполните его в карточке клиента, {_THEN}")
    if not name:
        raise Rejected(f"У клиента с ИНН {party.inn} нет названия. Заполните его, {_THEN}")
    inn = _field(Inn(), party.inn, f"{whose} неверный ИНН")
    kpp = "" if len(inn) == 12 or not party.kpp else _field(Kpp(), party.kpp, f"{whose} неверный КПП")
    return replace(party, name=name, full_name=clean(party.full_name) or name, inn=inn, kpp=kpp)


def _field(field: Inn | Kpp, value: str, trouble: str) -> str:
    try:
        return str(field.deserialize(value))
    except ValidationError as error:
        told = " ".join(map(str, error.messages)).rstrip(".")
        raise Rejected(f"{trouble}: {told}. Исправьте его в карточке клиента, {_THEN}") from error
