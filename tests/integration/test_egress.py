"""Nothing leaves the perimeter unnamed: who may be asked at all, and that no answer leads a call elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
import requests

from integration.bootstrap import registries
from integration.errors import Crm1cError, Misconfigured
from integration.settings import Settings, read
from integration.transport import NoGate, System
from mappers.crm.espocrm import EspoCrm
from mappers.dialect import Call, Reply, Talk
from mappers.onec.accounting30 import Accounting30
from mappers.requisites.dadata import DaData
from mappers.requisites.egrul import Egrul
from mappers.requisites.spark import Spark
from sandbox.serve import serving

INN = "7800000027"


class Site:
    """A server that answers everything alike, and remembers for whom each call was."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.target = ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.heard.append(f"{environ['HTTP_HOST']}{environ['PATH_INFO']}")
        body = b"{}"
        headers = [("Content-Length", str(len(body))), ("Content-Type", "application/json")]
        if self.target:
            headers.append(("Location", self.target))
        start_response("307 Temporary Redirect" if self.target else "200 OK", headers)
        return [body]


@pytest.fixture
def sites() -> Iterator[tuple[Site, str, Site, str]]:
    """A system's own site, and another that it may point to."""
    own, other = Site(), Site()
    with serving(own) as own_url, serving(other) as other_url:
        yield own, own_url, other, other_url


def onec(url: str) -> tuple[Any, Talk[Any]]:
    say = Accounting30({"base_url": url, "username": "u", "password": "p"})
    return say, say.parties(INN)


def crm(_: str) -> tuple[Any, Talk[Any]]:
    say = EspoCrm({"api_key": "key"})
    return say, say.account("1")


def dadata(_: str) -> tuple[Any, Talk[Any]]:
    say = DaData({"token": "token"})
    return say, say.requisites(INN, "")


def egrul(_: str) -> tuple[Any, Talk[Any]]:
    say = Egrul({})
    return say, say.requisites(INN, "")


def spark(_: str) -> tuple[Any, Talk[Any]]:
    say = Spark({"username": "u", "password": "p"})
    return say, say.requisites(INN, "")


@pytest.mark.parametrize("made", [onec, crm, dadata, egrul, spark])
def test_no_redirect_is_followed(sites: tuple[Site, str, Site, str], made: Any) -> None:
    """Neither the question nor a password goes where an answer points; it is an error that a person reads."""
    own, url, other, elsewhere = sites
    own.target = f"{elsewhere}/taken"
    say, talk = made(url)
    with pytest.raises(Crm1cError):
        System("test", say, url, NoGate(), timeouts=(3, 3)).ask(talk)
    assert len(own.heard) == 1
    assert other.heard == []


class Wandering:
    """A dialect with no scruples about paths."""

    def __init__(self, path: str) -> None:
        self.path = path

    def credentials(self) -> Mapping[str, str]:
        return {}

    opening_headers = credentials

    def session_died(self, _call: Call, _reply: Reply) -> bool:
        return False

    def talk(self) -> Talk[int]:
        reply = yield Call("прогулка", "GET", self.path, repeatable=True)
        return reply.status


@pytest.mark.parametrize("path", ["//other.example/x", "/x", "@other.example/x", "http://other.example/x", "../../x"])
def test_whatever_a_path_says_the_call_goes_to_the_system_itself(sites: tuple[Site, str, Site, str], path: str) -> None:
    own, url, _, _ = sites
    say = Wandering(path)
    assert System("test", say, f"{url}/base", NoGate(), timeouts=(3, 3)).ask(say.talk()) == 200
    assert [one.partition("/")[0] for one in own.heard] == [url.removeprefix("http://")]


def test_the_connection_itself_knows_no_other_address(sites: tuple[Site, str, Site, str]) -> None:
    """Also for code that would forget to ask: its session reaches the system's own origin and nothing else."""
    own, url, other, elsewhere = sites
    system = System("test", Wandering("x"), url, NoGate(), timeouts=(3, 3))
    http = system._http()
    assert http.get(f"{url}/x", timeout=3).status_code == 200
    for address in (elsewhere, f"{url}0/x", "https://127.0.0.1/x"):
        with pytest.raises(requests.exceptions.InvalidURL):
            http.get(address, timeout=3)
    assert other.heard == []
    assert len(own.heard) == 1


def test_a_host_in_cyrillic_letters_is_its_own_address() -> None:
    system = System("test", Wandering("x"), "https://учёт.example.рф/bp", NoGate(), timeouts=(3, 3))
    http = system._http()
    url = str(requests.Request("GET", "https://учёт.example.рф/bp/x").prepare().url)
    assert type(http.get_adapter(url)).__name__ == "HTTPAdapter"


# -- which registries may be asked ------------------------------------------------------------------------------------


def settings(**tables: Any) -> Settings:
    told = {
        "database": {"url": "sqlite:///x.db"},
        "broker": {"url": "memory://"},
        "redis": {"url": "embedded://"},
    }
    return read({**told, **tables}, {"TOKEN": "t"})


DADATA = {"dadata": {"token": "env:TOKEN"}}


@pytest.mark.parametrize(
    ("tables", "asked"),
    [
        ({}, []),
        ({"security": {"egress": ["egrul.nalog.ru"]}}, ["egrul"]),
        ({"security": {"egress": ["nalog.ru", "egrul.nalog.ru.example"]}}, []),
        ({"requisites": {"egrul": {"base_url": "http://mirror.example"}}}, ["egrul"]),
        ({"requisites": {"order": ["onec"], "egrul": {}}}, []),
        (
            {"requisites": {"dadata": {"token": "env:TOKEN"}}, "security": {"egress": ["egrul.nalog.ru"]}},
            ["egrul", "dadata"],
        ),
    ],
)
def test_only_named_sources_are_made(tables: dict[str, Any], asked: list[str]) -> None:
    """By a table of their own, or by their host in [security] egress; no part of a host's name is enough."""
    assert list(registries(settings(**tables), NoGate())) == asked


def test_a_named_host_without_its_key_is_told() -> None:
    with pytest.raises(Misconfigured, match="dadata"):
        registries(settings(security={"egress": ["suggestions.dadata.ru"]}), NoGate())
