"""What a base was found to have: the reduced $metadata, asked by 1C's own names.

Before anything is learned the usual shape of the present releases is assumed; the read-back after a write shows where
that was wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from mappers.onec.odata import NAMESPACE, reference_equals

_USUAL_TYPES = {"LineNumber": "Edm.Int64", "КратностьВзаиморасчетов": "Edm.Int64"}


class Learned:
    """A reduced model as `csdl.reduced` makes it. An empty one stands for "not read yet"."""

    def __init__(self, model: Mapping[str, Any] | None = None) -> None:
        model = model or {}
        self._sets: Mapping[str, Mapping[str, str]] = model.get("sets") or {}
        self._lengths: Mapping[str, Mapping[str, int]] = model.get("lengths") or {}
        self._enums: Mapping[str, Collection[str]] = model.get("enums") or {}

    @property
    def known(self) -> bool:
        """Whether a model was read at all."""
        return bool(self._sets)

    def published(self, set_name: str) -> bool:
        """Whether the set is in the OData composition."""
        return not self.known or set_name in self._sets

    def has(self, set_name: str, field: str) -> bool:
        """Whether the set has the field, under exactly this name."""
        return not self.known or field in self._sets.get(set_name, {})

    def has_reference(self, set_name: str, name: str) -> bool:
        """Whether the set has the reference, in either shape."""
        return self.has(set_name, f"{name}_Key") or self.composite(set_name, name)

    def composite(self, set_name: str, name: str) -> bool:
        """Whether the reference stands as `X` with `X_Type` (section 12: releases differ)."""
        fields = self._sets.get(set_name, {})
        return f"{name}_Key" not in fields and name in fields

    def reference(self, set_name: str, name: str, ref_key: str, target: str) -> dict[str, str]:
        """The body's fragment for a reference to an object of the set `target`."""
        if self.composite(set_name, name):
            return {name: ref_key, f"{name}_Type": NAMESPACE + target}
        return {f"{name}_Key": ref_key}

    def refers(self, set_name: str, name: str, ref_key: str, target: str) -> str:
        """The filter for a reference to an object of the set `target`."""
        return reference_equals(name, ref_key, target, composite=self.composite(set_name, name))

    def number(self, set_name: str, field: str, value: Decimal) -> Decimal | int | str:
        """A number as the field's type travels: Int64 as a string, Double as a number (trap 5)."""
        edm = self._sets.get(set_name, {}).get(field, _USUAL_TYPES.get(field, "Edm.Double"))
        if edm == "Edm.Int64":
            # A fraction is sent as it is: 1C drops it, and the read-back tells.
            return str(int(value)) if value == value.to_integral_value() else format(value, "f")
        # A whole number as an int: Decimal may write itself as 1E+2, which 1C refuses (section 3).
        return int(value) if value == value.to_integral_value() else value

    def fitting(self, set_name: str, field: str, text: str, usual: int | None) -> str:
        """The text cut to the field's length, which 1C would do silently (trap 3); `usual` where no model tells it."""
        length = self._lengths.get(set_name, {}).get(field, usual)
        return text if length is None else text[:length].rstrip()

    def member(self, enum: str, name: str) -> bool:
        """Whether the enumeration has the member; one that the metadata doesn't tell of is taken on trust."""
        return enum not in self._enums or name in self._enums[enum]

    def lacking(self, fields: Mapping[str, Iterable[str]], references: Mapping[str, Iterable[str]]) -> list[str]:
        """What of these is not there, by 1C's own names: «Document_X.Поле»."""
        if not self.known:
            return []
        absent: list[str] = []
        for set_name in dict.fromkeys([*fields, *references]):
            if set_name not in self._sets:
                absent.append(f"{set_name} (не опубликован в OData)")
                continue
            absent += [f"{set_name}.{f}" for f in fields.get(set_name, ()) if not self.has(set_name, f)]
            absent += [
                f"{set_name}.{r}_Key" for r in references.get(set_name, ()) if not self.has_reference(set_name, r)
            ]
        return absent
