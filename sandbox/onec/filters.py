"""``$filter``: from text to a predicate, with hints by which indexes can narrow the search (contract section 3)."""

# ruff: noqa: ARG005 – all predicates share one signature
from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.onec.errors import UNLIMITED, bad_filter, internal
from sandbox.onec.lexer import Word, words
from sandbox.onec.schema import NAMESPACE, Field, Schema

Data = Mapping[str, Any]
Find = Callable[[str, str], Data | None]
# The first argument is the object, the second the row of a lambda
Fn = Callable[[Data, Data], Any]

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip
FLIPPED = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
CLASS = {"str": "string", "fix": "string", "enum": "string", "type": "string", "text": "text", "num": "num",
         "int": "num", "bool": "bool", "date": "date", "ref": "guid", "guid": "guid", "any": "any"}  # fmt: skip
PARTS = {"year": (0, 4), "month": (5, 7), "day": (8, 10), "hour": (11, 13), "minute": (14, 16), "second": (17, 19)}


@dataclass(frozen=True)
class Hint:
    """What every hit satisfies. ``op``: eq, has (contains), ge, le. ``target``: of a navigation, its set and field."""

    op: str
    path: str
    value: Any
    target: tuple[str, str] | None = None


@dataclass
class Term:
    """A part of an expression: what it gives, of which class, and what is known about it."""

    fn: Fn
    kind: str
    path: str = ""
    literal: bool = False
    value: Any = None
    target: tuple[str, str] | None = None
    targets: tuple[str, ...] = ()
    hints: list[Hint] = field(default_factory=list)


class Parser:
    """Recursive descent over one expression about objects with the fields ``known`` and the sections ``rows``."""

    def __init__(
        self, schema: Schema, known: Mapping[str, Field], rows: Mapping[str, Mapping[str, Field]], find: Find
    ) -> None:
        self.schema, self.known, self.rows, self.find = schema, known, rows, find
        self._words: list[Word] = []
        self._place = 0
        self._scope: dict[str, str] = {}  # lambda variable -> section

    def parse(self, text: str) -> Term:
        """The whole expression as one boolean term."""
        self._words, self._place = words(text), 0
        term = self._or()
        if self._words[self._place].kind != "end" or term.kind != "bool":
            raise bad_filter()
        return term

    def _peek(self) -> Word:
        return self._words[self._place]

    def _next(self) -> Word:
        self._place += 1
        return self._words[self._place - 1]

    def _word(self, name: str) -> bool:
        if self._peek() == ("name", name):
            self._place += 1
            return True
        return False

    def _mark(self, mark: str) -> None:
        if self._next() != ("mark", mark):
            raise bad_filter()

    def _or(self) -> Term:
        left = self._and()
        while self._word("or"):
            left = both(left, self._and(), lambda a, b: lambda d, r: a(d, r) or b(d, r))
        return left

    def _and(self) -> Term:
        left = self._not()
        while self._word("and"):
            right = self._not()
            hints = left.hints + right.hints
            left = both(left, right, lambda a, b: lambda d, r: a(d, r) and b(d, r))
            left.hints = hints
        return left

    def _not(self) -> Term:
        if self._word("not"):
            inner = self._not()
            if inner.kind != "bool":
                raise bad_filter()
            fn = inner.fn
            return Term(lambda d, r: not fn(d, r), "bool")
        return self._comparison()

    def _comparison(self) -> Term:
        left = self._primary()
        word = self._peek()
        if word.kind == "name" and word.value in COMPARE:
            self._place += 1
            return compare(left, word.value, self._primary())
        return left

    def _primary(self) -> Term:
        word = self._next()
        if word == ("mark", "("):
            inner = self._or()
            self._mark(")")
            return inner
        if word.kind in ("guid", "date", "string", "num", "bool"):
            value = word.value
            return Term(lambda d, r: value, word.kind, literal=True, value=value)
        if word.kind != "name":
            raise bad_filter()
        if self._peek() == ("mark", "("):
            self._place += 1
            section, _, quantifier = word.value.rpartition("/")
            return self._lambda(section, quantifier) if section else self._function(word.value)
        return self._field(word.value)

    def _field(self, path: str) -> Term:
        """A property, of a lambda's row or through references: ``d/Цена``, ``Контрагент/ИНН``."""
        first, _, rest = path.partition("/")
        if first in self._scope:
            section = self._scope[first]
            term = self._walk(self.rows[section], rest)
            fn = term.fn
            term.fn = lambda d, r: fn(r, r)
            term.path = f"{section}/{term.path}" if term.path else ""
            return term
        return self._walk(self.known, path)

    def _walk(self, known: Mapping[str, Field], path: str) -> Term:
        first, _, rest = path.partition("/")
        if not rest:
            spec = known.get(first)
            if spec is None:
                raise bad_filter()
            strip = spec.kind == "fix"
            get: Fn = (lambda d, r: d[first].rstrip()) if strip else (lambda d, r: d[first])
            kind = CLASS[spec.kind]
            return Term(get, kind, path="" if strip else first, targets=spec.targets)
        spec = known.get(f"{first}_Key")
        if spec is None or spec.targets[0] not in self.schema.entities:
            raise bad_filter()
        target = spec.targets[0]
        inner = self._walk(self.schema.entities[target].fields, rest)
        find, step, key = self.find, inner.fn, spec.name

        def through(d: Data, r: Data) -> Any:
            found = find(target, d[key])
            return step(found, r) if found is not None else None

        one_step = (target, inner.path) if inner.path and not inner.target else None
        return Term(through, inner.kind, path=key if one_step else "", target=one_step, targets=inner.targets)

    def _lambda(self, section: str, quantifier: str) -> Term:
        if quantifier not in ("any", "all") or section not in self.rows:
            raise bad_filter()
        variable = self._next()
        self._mark(":")
        self._scope[variable.value] = section
        inner = self._or()
        self._mark(")")
        del self._scope[variable.value]
        fn = inner.fn
        if quantifier == "all":
            return Term(lambda d, r: all(fn(d, row) for row in d[section]), "bool")
        return Term(lambda d, r: any(fn(d, row) for row in d[section]), "bool", hints=inner.hints)

    def _function(self, name: str) -> Term:
        args = [self._or()]
        while self._peek() == ("mark", ","):
            self._place += 1
            args.append(self._or())
        self._mark(")")
        return function(self.schema, name, args)


def both(left: Term, right: Term, joined: Callable[[Fn, Fn], Fn]) -> Term:
    """Two conditions as one."""
    if left.kind != "bool" or right.kind != "bool":
        raise bad_filter()
    return Term(joined(left.fn, right.fn), "bool")


def compare(left: Term, op: str, right: Term) -> Term:
    """A comparison; incompatible types and unlimited strings give 500/-1, a composite with a bare guid no hits."""
    if left.literal and not right.literal:
        left, op, right = right, FLIPPED[op], left
    if "text" in (left.kind, right.kind):
        raise internal(UNLIMITED)
    if "any" in (left.kind, right.kind) or right.kind == "typed":
        return compare_reference(left, op, right)
    if left.kind != right.kind or (left.kind == "guid" and op not in ("eq", "ne")):
        raise internal(UNLIMITED)
    act, a, b = COMPARE[op], left.fn, right.fn
    hints = []
    dated = left.path == "Date" and not left.target and op != "ne"
    if right.literal and left.path and (op == "eq" or dated):
        hints.append(Hint({"e": "eq", "g": "ge", "l": "le"}[op[0]], left.path, right.value, left.target))
    if right.literal:
        value = right.value
        fn: Fn = lambda d, r: (got := a(d, r)) is not None and act(got, value)  # noqa: E731
    else:
        fn = lambda d, r: None not in (x := a(d, r), y := b(d, r)) and act(x, y)  # noqa: E731
    return Term(fn, "bool", hints=hints)


def compare_reference(left: Term, op: str, right: Term) -> Term:
    """The composite trap: only ``cast`` carries the type that a composite is compared by (contract section 3)."""
    if op not in ("eq", "ne"):
        raise internal(UNLIMITED)
    equal = op == "eq"
    if right.kind != "typed":
        return Term(lambda d, r: not equal, "bool")
    ref, typename = right.value
    if left.kind == "guid":
        fits, get = typename in left.targets, left.fn
        hints = [Hint("eq", left.path, ref, left.target)] if equal and left.path else []
        return Term(lambda d, r: (fits and get(d, r) == ref) == equal, "bool", hints=hints)
    if left.kind != "any" or not left.path or left.target:
        raise internal(UNLIMITED)
    section, _, name = left.path.rpartition("/")
    full = f"{NAMESPACE}.{typename}"

    def match(d: Data, r: Data) -> bool:
        holder = r if section else d
        same: bool = holder[name] == ref and holder[f"{name}_Type"] == full
        return same == equal

    return Term(match, "bool", hints=[Hint("eq", left.path, ref)] if equal else [])


def function(schema: Schema, name: str, args: list[Term]) -> Term:
    """The functions that are simulated; any other is a parse error."""
    kinds = [arg.kind for arg in args]
    fns = [arg.fn for arg in args]
    texts = all(kind in ("string", "text") for kind in kinds)
    if name in ("substringof", "startswith", "endswith") and texts and len(args) == 2:
        a, b = fns
        if name == "substringof":
            hints = [Hint("has", args[1].path, args[0].value)] if args[0].literal and plain(args[1]) else []
            return Term(lambda d, r: a(d, r) in (b(d, r) or ""), "bool", hints=hints)
        if name == "startswith":
            return Term(lambda d, r: (a(d, r) or "").startswith(b(d, r)), "bool")
        return Term(lambda d, r: (a(d, r) or "").endswith(b(d, r)), "bool")
    if name == "like" and texts and len(args) == 2 and args[1].literal:
        pattern, get = like(args[1].value), fns[0]
        literals = max(re.split(r"\[[^\]]*\]|[%_]", args[1].value), key=len)
        hints = [Hint("has", args[0].path, literals)] if literals and plain(args[0]) else []
        return Term(lambda d, r: pattern.fullmatch(get(d, r) or "") is not None, "bool", hints=hints)
    if name == "concat" and texts and len(args) == 2:
        a, b = fns
        return Term(lambda d, r: (a(d, r) or "") + (b(d, r) or ""), "string")
    if name in PARTS and kinds == ["date"]:
        low, high = PARTS[name]
        get = fns[0]
        return Term(lambda d, r: int(get(d, r)[low:high]), "num")
    if name in ("cast", "isof") and len(args) == 2 and args[1].literal and args[1].kind == "string":
        typename = args[1].value.removeprefix(f"{NAMESPACE}.")
        if typename not in schema.entities:
            raise bad_filter()
        if name == "cast" and args[0].literal and kinds[0] == "guid":
            value = (args[0].value, typename)
            return Term(lambda d, r: value, "typed", literal=True, value=value)
        if name == "isof" and kinds[0] == "any" and args[0].path:
            section, _, last = args[0].path.rpartition("/")
            full = f"{NAMESPACE}.{typename}"
            return Term(lambda d, r: (r if section else d)[f"{last}_Type"] == full, "bool")
    raise bad_filter()


def plain(term: Term) -> bool:
    """Whether a text index can serve the term: a header property, not through a reference or a row."""
    return bool(term.path) and "/" not in term.path and not term.target


def like(pattern: str) -> re.Pattern[str]:
    """``%``, ``_``, ``[а-я]``, ``[^к]`` as in 1C's query language."""
    parts = re.findall(r"\[\^?[^\]]*\]|.", pattern, re.DOTALL)
    made = [{"%": ".*", "_": "."}.get(p) or (p.replace("\\", r"\\") if len(p) > 1 else re.escape(p)) for p in parts]
    return re.compile("".join(made), re.DOTALL)
