"""A route as data: Flask serves it and the description at /openapi.json tells it, from one declaration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from werkzeug.wrappers import Response

Scope = Literal["", "read", "operate", "kpi"]


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter."""

    name: str
    text: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a route; `schema` names one of the description's schemas, empty: no JSON."""

    text: str
    schema: str = ""
    mimetype: str = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is written as OpenAPI has it: /api/events/{id}; `{tail}` takes the rest of the path.

    `scope`: what the Bearer token must allow ("kpi": the manager of the path, or read); empty: no token.
    `answers`: those of success; the refusals of `problems` are told alike everywhere.
    """

    method: str
    path: str
    view: Callable[..., Response]
    summary: str
    tag: str
    scope: Scope = ""
    params: tuple[Param, ...] = ()
    takes: str = ""  # the schema of the request's body
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    text: str = ""
    hidden: bool = False  # pages for people: served, not described
    own: bool = False  # a token of one manager's KPI sees its own part of it

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        return re.sub(r"\{(\w+)\}", lambda m: f"<path:{m[1]}>" if m[1] == "tail" else f"<{m[1]}>", self.path)

    @property
    def id(self) -> str:
        """A name of its own: the endpoint, and the operation in the description."""
        words = re.findall(r"\w+", self.path)
        return "_".join((self.method.lower(), *words))

    @property
    def names(self) -> list[str]:
        """What varies in the path."""
        return re.findall(r"\{(\w+)\}", self.path)
