"""The shape of a simulated base: entities, sections, fields. The data itself stands in ``tables``.

A field is written as a short text, from which ``$metadata``, defaults and checks are made:

============================  ======================================================================
``str(100)`` ``text``         Edm.String; longer values are cut silently; ``text`` is unlimited
``fix(20)``                   Edm.String of fixed length, space padded on the way out
``enum СтавкиНДС``            Edm.String holding a member of that enumeration, or empty
``num(15,2)`` ``int``         Edm.Double (a JSON number), Edm.Int64 (a JSON string)
``bool`` ``date``             Edm.Boolean, Edm.DateTime (naive)
``ref Catalog_Валюты``        Edm.Guid; stands as ``X_Key`` with navigation property ``X``
``any Catalog_А Document_Б``  composite: Edm.String ``X`` with ``X_Type``
============================  ======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

EMPTY_REF = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"
UNDEFINED = "StandardODATA.Undefined"
NAMESPACE = "StandardODATA"

EDM = {
    "str": "Edm.String", "text": "Edm.String", "fix": "Edm.String", "enum": "Edm.String", "any": "Edm.String",
    "type": "Edm.String", "num": "Edm.Double", "int": "Edm.Int64", "bool": "Edm.Boolean", "date": "Edm.DateTime",
    "ref": "Edm.Guid", "guid": "Edm.Guid",
}  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "num": Decimal(0), "int": 0, "bool": False, "date": EMPTY_DATE, "ref": EMPTY_REF, "guid": EMPTY_REF,
    "type": UNDEFINED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One property as it stands on the wire: ``Контрагент_Key``, ``Сумма``, ``Owner``, ``Owner_Type``."""

    name: str
    kind: str
    length: int = 0
    digits: int = 0
    targets: tuple[str, ...] = ()
    enum: str = ""

    @property
    def edm(self) -> str:
        """The EDM type."""
        return EDM[self.kind]

    @property
    def default(self) -> Any:
        """The value of a field that nobody filled."""
        return DEFAULTS.get(self.kind, "")

    @property
    def nav(self) -> str:
        """The navigation property of a plain reference, else empty."""
        return self.name.removesuffix("_Key") if self.kind == "ref" else ""


def fields(specs: Mapping[str, str]) -> dict[str, Field]:
    """The wire fields of a table of specifications; a composite gives two."""
    found: dict[str, Field] = {}
    for name, spec in specs.items():
        kind, args = re.fullmatch(r"(\w+)\s*(?:\(?([^)]*)\)?)", spec).groups()  # type: ignore[union-attr]
        if kind in ("str", "fix"):
            found[name] = Field(name, kind, length=int(args))
        elif kind == "num":
            length, digits = args.split(",")
            found[name] = Field(name, kind, length=int(length), digits=int(digits))
        elif kind == "enum":
            found[name] = Field(name, kind, enum=args)
        elif kind == "ref":
            found[f"{name}_Key"] = Field(f"{name}_Key", kind, targets=(args,))
        elif kind == "any":
            found[name] = Field(name, kind, targets=tuple(args.split()))
            found[f"{name}_Type"] = Field(f"{name}_Type", "type", targets=tuple(args.split()))
        else:
            found[name] = Field(name, kind)
    return found


@dataclass(frozen=True)
class Entity:
    """One entity set. ``kind`` is the prefix: Catalog, Document, InformationRegister, ExchangePlan."""

    name: str
    specs: Mapping[str, str]
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keys: tuple[str, ...] = ("Ref_Key",)
    hierarchical: bool = False
    owner: str = ""  # specification of the owner: ``ref …`` or ``any …``
    code: str = ""  # the first code or number; its digits count up
    code_length: int = 0
    description: int = 0
    presentation: str = ""  # what a document is called in texts
    needs_rows: tuple[str, ...] = ()  # sections of which one must hold rows to be posted

    @property
    def kind(self) -> str:
        """The prefix of the name."""
        return self.name.split("_", 1)[0]

    @property
    def short(self) -> str:
        """The name without its prefix."""
        return self.name.split("_", 1)[1]

    @cached_property
    def fields(self) -> dict[str, Field]:
        """All header properties in the order in which 1C sends them (contract section 2)."""
        specs: dict[str, str] = {}
        if self.kind != "InformationRegister":
            specs |= {"Ref_Key": "guid", "DataVersion": "str(12)", "DeletionMark": "bool"}
        if self.kind == "Document":
            specs |= {"Number": f"str({self.code_length})", "Date": "date", "Posted": "bool"}
        if self.owner:
            specs["Owner"] = self.owner
        if self.hierarchical:
            specs |= {"Parent": f"ref {self.name}", "IsFolder": "bool"}
        if self.kind in ("Catalog", "ExchangePlan"):
            if self.code_length:
                specs["Code"] = f"str({self.code_length})"
            specs["Description"] = f"str({self.description})"
        specs |= self.specs
        if self.kind == "Catalog":
            specs |= {"Predefined": "bool", "PredefinedDataName": "str(100)"}
        return fields(specs)

    @cached_property
    def rows(self) -> dict[str, dict[str, Field]]:
        """The fields of each section's rows."""
        head = {"Ref_Key": "guid", "LineNumber": "int"}
        return {name: fields(head | dict(specs)) for name, specs in self.sections.items()}

    @cached_property
    def navs(self) -> dict[str, Field]:
        """Navigation property -> its reference field."""
        return {f.nav: f for f in self.fields.values() if f.nav}

    def section_entity(self, section: str) -> Entity:
        """The set of one section's rows."""
        return Entity(f"{self.name}_{section}", {}, keys=("Ref_Key", "LineNumber"))


# Set by the base itself: a body that holds them is not obeyed.
SYSTEM_FIELDS = frozenset({"Ref_Key", "DataVersion", "Posted", "Predefined", "PredefinedDataName"})


class Schema:
    """All entities and enumerations of one release, after additions and omissions."""

    def __init__(
        self,
        entities: Iterable[Entity],
        enums: Mapping[str, tuple[str, ...]],
        *,
        without: Iterable[str] = (),
        added: Mapping[str, str] | None = None,
        composite: Iterable[str] = (),
    ) -> None:
        """``without``: ``Set``, ``Set.Attribute``, ``Set.Section``, ``Set.Section.Attribute`` or ``Enum.Member``.

        ``added``: ``Set.Attribute`` or ``Set.Section.Attribute`` -> specification. ``composite``: references that
        stand as ``X`` + ``X_Type`` in this release (contract section 12, dual fields), named without ``_Key``.
        """
        self.entities = {entity.name: entity for entity in entities}
        self.enums = dict(enums)
        for path in without:
            self._drop(path.split("."))
        for path, spec in (added or {}).items():
            self._put(path.split("."), spec)
        for path in composite:
            self._put(path.split("."), None)
        self.section_sets = {
            f"{entity.name}_{section}": (entity, section)
            for entity in self.entities.values()
            for section in entity.rows
        }

    def _drop(self, path: list[str]) -> None:
        top, *rest = path
        last = rest[-1].removesuffix("_Key").removesuffix("_Type") if rest else ""
        if top in self.enums and rest:
            self.enums[top] = tuple(member for member in self.enums[top] if member != rest[0])
        elif top not in self.entities:
            raise ValueError(f"without: nothing is called {'.'.join(path)}")
        elif not rest:
            del self.entities[top]
        else:
            entity = self.entities[top]
            specs = {name: spec for name, spec in entity.specs.items() if len(rest) > 1 or name != last}
            sections = {
                name: {k: v for k, v in row.items() if len(rest) == 1 or name != rest[0] or k != last}
                for name, row in entity.sections.items()
                if len(rest) > 1 or name != rest[0]
            }
            if (specs, sections) == (dict(entity.specs), {k: dict(v) for k, v in entity.sections.items()}):
                raise ValueError(f"without: nothing is called {'.'.join(path)}")
            self.entities[top] = remade(entity, specs, sections)

    def _put(self, path: list[str], spec: str | None) -> None:
        """Set a specification; None turns a plain reference into a composite."""
        entity = self.entities.get(path[0])
        if entity is None or len(path) not in (2, 3) or (len(path) == 3 and path[1] not in entity.sections):
            raise ValueError(f"nothing is called {'.'.join(path)}")
        specs = dict(entity.specs)
        sections = {name: dict(row) for name, row in entity.sections.items()}
        table = sections[path[1]] if len(path) == 3 else specs
        name = path[-1].removesuffix("_Key")
        if spec is None:
            if not table.get(name, "").startswith("ref "):
                raise ValueError(f"composite: no reference is called {'.'.join(path)}")
            spec = "any " + table[name].removeprefix("ref ")
        fields({name: spec})  # refuses a specification that makes no sense
        table[name] = spec
        self.entities[path[0]] = remade(entity, specs, sections)


def remade(entity: Entity, specs: Mapping[str, str], sections: Mapping[str, Mapping[str, str]]) -> Entity:
    """The entity with other fields."""
    kept = {name: getattr(entity, name) for name in Entity.__dataclass_fields__}
    return Entity(**(kept | {"specs": specs, "sections": sections}))
