"""The ``where`` of list requests, compiled to one predicate over records (contracts/ESPOCRM.md §3.2).

Strings compare without regard to case, as MariaDB's default collation does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.crm.errors import bad_request
from sandbox.crm.values import number, truth

Predicate = Callable[[dict[str, Any]], bool]
#: (record, link) -> ids on the other side, or None when there is no such link
Linked = Callable[[dict[str, Any], str], list[str] | None]

_RELATIVE = {
    "today", "past", "future", "lastSevenDays", "lastXDays", "nextXDays", "olderThanXDays", "currentMonth", "lastMonth",
    "currentYear", "lastYear", "ever",
}  # fmt: skip
_LINKS = {"linkedWith", "notLinkedWith", "isLinked", "isNotLinked", "linkedWithAll"}


def fold(value: Any) -> Any:
    """A value as the database compares it."""
    if isinstance(value, str):
        return value.casefold()
    return value


def _same(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return truth(stored) == truth(wanted)
    if isinstance(stored, int | float) and stored is not None:
        return number(wanted) == stored
    if isinstance(wanted, int | float):
        wanted = str(wanted)
    return bool(fold(stored) == fold(wanted))


def _order(stored: Any, wanted: Any) -> int | None:
    """-1, 0, 1, or None when one of them is null."""
    if stored is None or wanted is None:
        return None
    if isinstance(stored, int | float):
        other = number(wanted)
        if other is None:
            return None
        return (stored > other) - (stored < other)
    left, right = str(stored), str(wanted)
    if len(left) == 19 and len(right) == 10:
        right += " 00:00:00"  # a date beside a moment is its midnight
    return (left > right) - (left < right)


def _like(pattern: str) -> re.Pattern[str]:
    body = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
    return re.compile(body, re.IGNORECASE | re.DOTALL)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Where:
    """Compiles items for one entity; refuses unknown attributes and types with 400 and an empty body."""

    def __init__(self, known: Callable[[str], bool], has_link: Callable[[str], bool], linked: Linked, now: float):
        self._known = known
        self._has_link = has_link
        self._linked = linked
        self._now = datetime.fromtimestamp(now, UTC)

    def compile(self, items: Any) -> Predicate:
        """All of the items together."""
        tests = [self._item(i) for i in (items.values() if isinstance(items, dict) else items or [])]
        if len(tests) == 1:
            return tests[0]
        return lambda r: all(t(r) for t in tests)

    def _item(self, item: Any) -> Predicate:
        if not isinstance(item, dict):
            raise bad_request("Bad where item.")
        kind = str(item.get("type") or "")
        value = item.get("value")
        if kind in ("and", "or", "not", "having"):
            tests = [self._item(i) for i in (value.values() if isinstance(value, dict) else value or [])]
            if kind == "or":
                return lambda r: any(t(r) for t in tests)
            if kind == "not":
                return lambda r: not all(t(r) for t in tests)
            return lambda r: all(t(r) for t in tests)
        name = item.get("attribute") or item.get("field")
        if not isinstance(name, str):
            raise bad_request("Bad where item. No attribute.")
        if kind in _LINKS:
            return self._link(kind, name, value)
        maker = getattr(self, f"_is_{kind}", None) if kind.isalpha() else None
        if maker is None and kind not in _RELATIVE:
            raise bad_request(f"Unknown where item type '{kind}'.")
        if not self._known(name):
            raise bad_request(f"Not existing attribute '{name}' in where.")
        if maker is not None:
            made: Predicate = maker(name, value)
            return made
        return self._relative(kind, name, value)

    def _link(self, kind: str, link: str, value: Any) -> Predicate:
        if not self._has_link(link):
            raise bad_request(f"Not existing link '{link}' in where.")
        wanted = {str(v) for v in _listed(value)} if value is not None else set()

        def test(r: dict[str, Any]) -> bool:
            ids = self._linked(r, link) or []
            if kind == "isLinked":
                return bool(ids)
            if kind == "isNotLinked":
                return not ids
            if kind == "linkedWithAll":
                return wanted <= set(ids)
            return bool(wanted.intersection(ids)) == (kind == "linkedWith")

        return test

    def _is_equals(self, a: str, v: Any) -> Predicate:
        if isinstance(v, list):
            return self._is_in(a, v)
        if v is None:
            return self._is_isNull(a, v)
        if isinstance(v, str):
            low = v.casefold()  # the common case: one comparison a record

            def test(r: dict[str, Any]) -> bool:
                stored = r.get(a)
                if isinstance(stored, str):
                    return stored.casefold() == low
                return stored is not None and _same(stored, v)

            return test
        return lambda r: r.get(a) is not None and _same(r[a], v)

    def _is_notEquals(self, a: str, v: Any) -> Predicate:
        same = self._is_equals(a, v)
        return lambda r: not same(r)

    def _is_in(self, a: str, v: Any) -> Predicate:
        values = _listed(v)
        low = {fold(x) if isinstance(x, str) else x for x in values if isinstance(x, str | int | float)}
        return lambda r: r.get(a) is not None and (fold(r[a]) in low or any(_same(r[a], x) for x in values[:3]))

    def _is_notIn(self, a: str, v: Any) -> Predicate:
        inside = self._is_in(a, v)
        return lambda r: not inside(r)

    def _is_like(self, a: str, v: Any) -> Predicate:
        pattern = _like(str(v))
        return lambda r: bool(pattern.fullmatch(str(r.get(a) or "")))

    def _is_notLike(self, a: str, v: Any) -> Predicate:
        like = self._is_like(a, v)
        return lambda r: not like(r)

    def _is_contains(self, a: str, v: Any) -> Predicate:
        return self._is_like(a, f"%{v}%")

    def _is_notContains(self, a: str, v: Any) -> Predicate:
        return self._is_notLike(a, f"%{v}%")

    def _is_startsWith(self, a: str, v: Any) -> Predicate:
        return self._is_like(a, f"{v}%")

    def _is_endsWith(self, a: str, v: Any) -> Predicate:
        return self._is_like(a, f"%{v}")

    def _is_greaterThan(self, a: str, v: Any) -> Predicate:
        return lambda r: _order(r.get(a), v) == 1

    def _is_greaterThanOrEquals(self, a: str, v: Any) -> Predicate:
        return lambda r: _order(r.get(a), v) in (0, 1)

    def _is_lessThan(self, a: str, v: Any) -> Predicate:
        return lambda r: _order(r.get(a), v) == -1

    def _is_lessThanOrEquals(self, a: str, v: Any) -> Predicate:
        return lambda r: _order(r.get(a), v) in (0, -1)

    _is_after = _is_greaterThan
    _is_before = _is_lessThan

    def _is_on(self, a: str, v: Any) -> Predicate:
        return lambda r: str(r.get(a) or "")[:10] == str(v)[:10]

    def _is_between(self, a: str, v: Any) -> Predicate:
        ends = _listed(v)
        if len(ends) != 2:
            raise bad_request("Bad where item. Bad value for between.")
        return lambda r: _order(r.get(a), ends[0]) in (0, 1) and _order(r.get(a), ends[1]) in (0, -1)

    def _is_isNull(self, a: str, _v: Any) -> Predicate:
        return lambda r: r.get(a) is None

    def _is_isNotNull(self, a: str, _v: Any) -> Predicate:
        return lambda r: r.get(a) is not None

    def _is_isTrue(self, a: str, _v: Any) -> Predicate:
        return lambda r: truth(r.get(a))

    def _is_isFalse(self, a: str, _v: Any) -> Predicate:
        return lambda r: not truth(r.get(a))

    def _is_arrayAnyOf(self, a: str, v: Any) -> Predicate:
        return lambda r: bool(set(_listed(v)).intersection(r.get(a) or []))

    def _is_arrayNoneOf(self, a: str, v: Any) -> Predicate:
        return lambda r: not set(_listed(v)).intersection(r.get(a) or [])

    def _is_arrayAllOf(self, a: str, v: Any) -> Predicate:
        return lambda r: set(_listed(v)) <= set(r.get(a) or [])

    def _is_arrayIsEmpty(self, a: str, _v: Any) -> Predicate:
        return lambda r: not r.get(a)

    def _is_arrayIsNotEmpty(self, a: str, _v: Any) -> Predicate:
        return lambda r: bool(r.get(a))

    def _relative(self, kind: str, a: str, value: Any) -> Predicate:
        now = self._now
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        month = day.replace(day=1)
        year = month.replace(month=1)
        days = int(number(value) or 0)
        far_past, far_future = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
        start, end = {
            "today": (day, day + timedelta(days=1)),
            "past": (far_past, now),
            "future": (now, far_future),
            "lastSevenDays": (day - timedelta(days=7), day + timedelta(days=1)),
            "lastXDays": (day - timedelta(days=days), day + timedelta(days=1)),
            "nextXDays": (now, day + timedelta(days=days + 1)),
            "olderThanXDays": (far_past, day - timedelta(days=days)),
            "currentMonth": (month, (month + timedelta(days=32)).replace(day=1)),
            "lastMonth": ((month - timedelta(days=1)).replace(day=1), month),
            "currentYear": (year, year.replace(year=year.year + 1)),
            "lastYear": (year.replace(year=year.year - 1), year),
            "ever": (far_past, far_future),
        }[kind]
        low, high = (d.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0") for d in (start, end))

        def test(r: dict[str, Any]) -> bool:
            stored = r.get(a)
            if not stored:
                return False
            cut = len(str(stored))
            return low[:cut] <= str(stored) < high[:cut]

        return test
