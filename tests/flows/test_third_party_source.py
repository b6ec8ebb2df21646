"""A source of requisites that somebody else wrote: the page's own file and its one line, installed as a package is."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from integration.bootstrap import registries
from integration.errors import Misconfigured
from integration.flows.requisites import requisites
from integration.settings import SettingsError
from integration.transport import NoGate
from sandbox.serve import serving
from tests.flows.neighbours import COUNTERPARTIES
from tests.flows.town import Town

PAGE = Path(__file__).parents[2] / "docs/adding-a-requisites-source.md"
INN, KPP, TOKEN = "7800000027", "780001001", "our-key"
ROW = {"inn": INN, "kpp": KPP, "ogrn": "1027800000022", "name": "АО «Полесье»", "full": "АО «ПОЛЕСЬЕ»",
       "address": "г Санкт-Петербург", "state": "ACTIVE"}  # fmt: skip


def service(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The service of the page's example."""
    allowed = environ.get("HTTP_AUTHORIZATION") == f"Bearer {TOKEN}"
    status = "401 No" if not allowed else "200 OK" if environ["PATH_INFO"] == f"/v1/companies/{INN}" else "404 No"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps({"rows": [ROW]}).encode()]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install` of a package with this file and this line leaves in site-packages."""
    page = PAGE.read_text(encoding="utf-8")
    [source] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [lines] = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    config = configparser.ConfigParser()
    config.read_string(lines)
    [(group, line)] = config["options.entry_points"].items()
    package, _, module = line.partition("=")[2].strip().partition(":")[0].partition(".")
    site = tmp_path / "site"
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").touch()
    (site / package / f"{module}.py").write_text(source, encoding="utf-8")
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line.strip()}\n")
    monkeypatch.syspath_prepend(str(site))


def tables(url: str, token: str = "env:KONTUR") -> dict[str, object]:
    return {"requisites": {"order": ["onec", "kontur"], "kontur": {"base_url": f"{url}/v1", "token": token}}}


@pytest.mark.usefixtures("installed")
def test_it_is_asked_its_answer_is_saved_and_its_name_stands_at_each_field(place: Town, tmp_path: Path) -> None:
    with serving(service) as url:
        place.secrets = {"KONTUR": TOKEN}
        place.reset(tmp_path, tables(url))
        answer = requisites(place.world.services, INN)
        assert (answer.source, answer.told()["said"]["kpp"]["source"]) == ("kontur", "kontur")
        [there] = [one for one in place.held(COUNTERPARTIES) if one["ИНН"] == INN]
        assert (there["КПП"], there["Description"]) == (KPP, "АО «Полесье»")
        assert not requisites(place.world.services, "7707083893").found
        [finding] = place.world.services.registries["kontur"].ask(place.world.services.registries["kontur"].say.check())
        assert finding.level == "ok"


@pytest.mark.usefixtures("installed")
def test_its_own_trouble_with_the_table_is_told(place: Town, tmp_path: Path) -> None:
    place.secrets = {}
    place.reset(tmp_path)
    kontur = {"base_url": "https://kontur.example/v1"}
    with pytest.raises(Misconfigured, match=r"\[requisites.kontur\] token"):
        place.live({"requisites": {"order": ["kontur"], "kontur": kontur}})


def test_without_the_package_its_name_is_unknown(place: Town, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="kontur"):
        place.reset(tmp_path, tables("https://kontur.example"))
    place.reset(tmp_path)
    assert "kontur" not in registries(place.world.settings, NoGate())
