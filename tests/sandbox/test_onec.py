"""The sandbox 1C keeps the contract's traps (ONEC-ODATA section 10), seen over a real socket."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
import requests
import requests.auth

from sandbox.onec import OneC
from sandbox.onec.companies import ref, valid_account, valid_inn, valid_ogrn
from sandbox.serve import serving

ZERO = "00000000-0000-0000-0000-000000000000"
ALIEN = "11111111-2222-3333-4444-555555555555"
INVOICE = "Document_СчетНаОплатуПокупателю"
PAYMENT = "Document_ПоступлениеНаРасчетныйСчет"
CLIENTS = "Catalog_Контрагенты"
RATES = "InformationRegister_КурсыВалют"
D = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
EDM = "{http://schemas.microsoft.com/ado/2009/11/edm}"


class Client:
    """Calls the sandbox as an OData client would, JSON unless told otherwise."""

    def __init__(self, url: str, onec: OneC) -> None:
        self.url, self.onec = url, onec
        self.root = f"{url}/bp/odata/standard.odata"
        self.http = requests.Session()
        self.http.auth = requests.auth.HTTPBasicAuth("Обмен".encode(), b"obmen")  # as text, requests takes latin-1

    def call(self, method: str, path: str, body: Any = None, *, json: bool = True, **more: Any) -> requests.Response:
        name, _, query = path.partition("?")
        options = [f"{k}={quote(v, safe='+')}" for k, _, v in (part.partition("=") for part in query.split("&")) if k]
        if json:
            options.append("$format=json")
        address = f"{self.root}/{quote(name, safe='/()$,=')}"
        return self.http.request(method, address, params="&".join(options), json=body, timeout=10, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.call("GET", path, **more)

    def rows(self, path: str) -> list[dict[str, Any]]:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["value"]
        return found

    def make(self, name: str, **body: Any) -> dict[str, Any]:
        answer = self.call("POST", name, body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def at(self, name: str, made: dict[str, Any]) -> str:
        return f"{name}(guid'{made['Ref_Key']}')"

    def admin(self, name: str, body: Any = None, method: str = "") -> Any:
        method = method or ("GET" if body is None else "POST")
        answer = requests.request(method, f"{self.url}/_sandbox/{name}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, **switches: Any) -> None:
        self.admin("switches", switches)

    def seed(self, name: str, *bodies: dict[str, Any]) -> list[str]:
        keys: list[str] = self.admin("seed", {name: list(bodies)})[name]
        return keys


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    onec = OneC()
    with serving(onec.wsgi()) as url:
        yield Client(url, onec)


@pytest.fixture
def onec(server: Client) -> Client:
    for name in ("state", "faults", "log"):
        server.admin(name, method="DELETE")
    return server


def code(answer: requests.Response) -> tuple[int, str]:
    """Status and code of an error in JSON."""
    return answer.status_code, answer.json()["odata.error"]["code"]


# --- forms


def test_atom_unless_json_is_asked(onec: Client) -> None:
    """Atom by default, JSON by $format or Accept; errors follow."""
    answer = onec.get("Catalog_Валюты", json=False)
    assert answer.headers["Content-Type"].startswith("application/atom+xml")
    names = [e.text for e in ET.fromstring(answer.text).iter(f"{D}Description")]
    assert names == ["руб.", "USD", "EUR", "CNY"]
    accept = {"Accept": "application/json"}
    assert onec.get("Catalog_Валюты", json=False, headers=accept).json()["value"][0]["Code"] == "643"
    missing = onec.get(f"Catalog_Валюты(guid'{ALIEN}')", json=False)
    assert missing.status_code == 404
    assert "<m:code>9</m:code>" in missing.text
    full = onec.get("Catalog_Валюты?$format=application/json;odata=nometadata", json=False)
    assert set(full.json()) == {"value"}


def test_wire_forms(onec: Client) -> None:
    """Int64 and count are text, Double a number, fixed strings padded, links only for filled references."""
    made = onec.make(INVOICE, СуммаДокумента=12.50, КратностьВзаиморасчетов="3", Контрагент_Key=ALIEN)
    assert (made["СуммаДокумента"], made["КратностьВзаиморасчетов"]) == (12.5, "3")
    assert {k for k in made if "@" in k} == {"Контрагент@navigationLinkUrl"}
    assert made["СрокОплаты"] == "0001-01-01T00:00:00"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", made["Date"])
    assert onec.get("Catalog_Валюты?$inlinecount=allpages").json()["odata.count"] == "4"
    goods = onec.rows("Catalog_Номенклатура")[0]
    assert goods["ШтрихКод"] == "1".ljust(20)
    found = onec.rows("Catalog_Номенклатура?$filter=ШтрихКод eq '1'")
    assert len(found) == 1
    account = onec.rows("Catalog_БанковскиеСчета")[0]
    assert account["Owner_Type"] == "StandardODATA.Catalog_Организации"
    assert onec.rows(f"{INVOICE}_Товары") == []


def test_service_document_and_metadata(onec: Client) -> None:
    """The root lists sets; $metadata is CSDL of one release, always XML, without HEAD."""
    sets = [one["name"] for one in onec.rows("")]
    assert {INVOICE, f"{INVOICE}_Товары", RATES} <= set(sets)
    tree = ET.fromstring(onec.get("$metadata").text)
    types = {e.get("Name"): e for e in tree.iter(f"{EDM}EntityType")}
    props = {e.get("Name"): e.get("Type") for e in types[INVOICE].iter(f"{EDM}Property")}
    assert (props["СуммаДокумента"], props["Контрагент_Key"]) == ("Edm.Double", "Edm.Guid")
    assert props["Товары"] == f"Collection(StandardODATA.{INVOICE}_Товары_RowType)"
    assert "НДС22" in enum(onec, "СтавкиНДС")
    assert onec.call("HEAD", "$metadata").status_code == 405


def enum(onec: Client, name: str) -> list[str | None]:
    """The members of an enumeration in $metadata."""
    tree = ET.fromstring(onec.get("$metadata").text)
    found = next(e for e in tree.iter(f"{EDM}EnumType") if e.get("Name") == name)
    return [e.get("Name") for e in found]


def test_release_switches(onec: Client) -> None:
    """An older release lacks members, attributes or sets; a dual field changes its form; the objects stay."""
    made = onec.make(PAYMENT, РасшифровкаПлатежа=[{"LineNumber": 1, "СчетНаОплату_Key": ALIEN, "СуммаПлатежа": 5}])
    onec.switch(
        without=["СтавкиНДС.НДС22", f"{INVOICE}.СрокОплаты", "Catalog_Банки", "InformationRegister_СтатусыДокументов"],
        composite=[f"{PAYMENT}.РасшифровкаПлатежа.СчетНаОплату"],
        added={f"{CLIENTS}.ИдентификаторCRM": "str(36)"},
    )
    assert "НДС22" not in enum(onec, "СтавкиНДС")
    assert code(onec.get("Catalog_Банки")) == (404, "8")
    assert "СрокОплаты" not in onec.make(INVOICE)
    row = onec.get(onec.at(PAYMENT, made)).json()["РасшифровкаПлатежа"][0]
    assert (row["СчетНаОплату"], row["СчетНаОплату_Type"]) == (ALIEN, f"StandardODATA.{INVOICE}")
    assert onec.make(CLIENTS, ИдентификаторCRM="a1")["ИдентификаторCRM"] == "a1"
    onec.switch(without=[], composite=[], added={})
    assert len(onec.rows("Catalog_Банки")) == 1
    assert onec.get(onec.at(PAYMENT, made)).json()["РасшифровкаПлатежа"][0]["СчетНаОплату_Key"] == ALIEN


# --- errors

ERRORS = [
    ("GET", "Catalog_Валюты?$expan=x", None, 400, "0"),
    ("GET", "Catalog_Валюты(guid'nonsense')", None, 400, "1"),
    ("POST", CLIENTS, {"ГоловнойКонтрагент_Key": "nonsense"}, 400, "1"),
    ("POST", INVOICE, {"СуммаДокумента": "12.50"}, 400, "4"),
    ("POST", INVOICE, {"Товары": [{"LineNumber": 1, "СтавкаНДС": "НДС20%"}]}, 400, "4"),
    ("GET", "Catalog_Валюты?$select=Нет", None, 400, "6"),
    ("GET", f"{RATES}/Balance()", None, 400, "6"),
    ("GET", "Catalog_Нет", None, 404, "8"),
    ("GET", "$batch", None, 404, "8"),
    ("GET", f"Catalog_Валюты(guid'{ALIEN}')", None, 404, "9"),
    ("POST", f"{INVOICE}_Товары", {"LineNumber": 1}, 400, "13"),
    ("GET", "Catalog_Валюты?$filter=Code eq", None, 400, "14"),
    ("GET", "Catalog_Валюты?$filter=Code+eq+'643'", None, 400, "14"),
    ("GET", "Catalog_Валюты?$filter=tolower(Code) eq '643'", None, 400, "14"),
    ("GET", "Catalog_Валюты?$filter=Наценка eq 1E+20", None, 400, "14"),
    ("GET", "Catalog_Валюты?$orderby=Code+desc", None, 400, "14"),
    ("POST", RATES, {"Period": "2026-01-01T00:00:00", "Валюта_Key": ref("643")}, 400, "15"),
    ("PUT", "Catalog_Валюты", None, 405, "19"),
    ("GET", "Catalog_Валюты?$filter=Ref_Key gt guid'" + ZERO + "'", None, 500, "-1"),
    ("GET", f"{INVOICE}?$filter=Комментарий eq 'x'", None, 500, "-1"),
    ("POST", INVOICE, {"Товары": [{"Цена": 1}]}, 500, "-1"),
    ("POST", INVOICE, {"Товары": [{"LineNumber": 2, "Цена": 1}]}, 400, "2"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "number"), ERRORS)
def test_errors(onec: Client, method: str, path: str, body: Any, status: int, number: str) -> None:
    """Codes and statuses as measured."""
    assert code(onec.call(method, path, body)) == (status, number)


def test_broken_json(onec: Client) -> None:
    """A broken body is 500/-1."""
    answer = onec.http.post(f"{onec.root}/{CLIENTS}?$format=json", data=b"{", timeout=10)
    assert code(answer) == (500, "-1")


def test_authentication(onec: Client) -> None:
    """The login is UTF-8; cp1251 and no login are 401."""
    url = f"{onec.root}/Catalog_Валюты"
    for auth in (None, ("Обмен".encode("cp1251"), b"obmen"), ("Обмен".encode(), b"wrong")):
        assert requests.get(url, auth=auth, timeout=10).status_code == 401  # type: ignore[arg-type]


def test_segment_limit(onec: Client) -> None:
    """A path segment over 260 characters never reaches 1C."""
    short, long = ("x" * n for n in (200, 300))
    path = f"{RATES}/SliceLast(Condition='Валюта_Key eq guid'{ref('840')}' or Кратность eq {{}}')"
    assert onec.get(path.format("1" * 20)).status_code == 200
    answer = onec.get(path.format("1" * 220))
    assert (answer.status_code, "Invalid URL" in answer.text) == (400, True)
    assert onec.get(short).status_code == 404
    assert onec.get(long).status_code == 400


# --- writing


def test_create_change_delete(onec: Client) -> None:
    """201 with Location, 200, 204, then 404/9; DataVersion moves on each write; deletion is physical and counted."""
    answer = onec.call("POST", CLIENTS, {"Description": "Альфа", "Ref_Key": ALIEN})
    made = answer.json()
    assert made["Ref_Key"] != ALIEN  # a client's key is not honoured
    assert made["Ref_Key"] in answer.headers["Location"]
    assert (made["DataVersion"], made["Code"]) == ("AAAAAAAAAAA=", "00-000001")
    at = onec.at(CLIENTS, made)
    changed = onec.call("PATCH", at, {"Description": "Альфа"})
    assert (changed.status_code, changed.json()["DataVersion"]) == (200, "AAAAAQAAAAA=")
    assert onec.call("PATCH", at, {"DeletionMark": True}).json()["DeletionMark"] is True
    assert onec.call("PATCH", at, {"DeletionMark": False}).json()["DeletionMark"] is False
    assert onec.call("DELETE", at).status_code == 204
    assert code(onec.get(at)) == (404, "9")
    assert onec.admin("stats")["deletes"] == 1


def test_silent_no_ops(onec: Client) -> None:
    """200 or 201, and yet nothing or something else was stored."""
    made = onec.make(
        CLIENTS, Description="а" * 238, Неизвестное="x", ГоловнойКонтрагент_Key=ALIEN, DataVersion="x", Predefined=True
    )
    assert made["Description"] == "а" * 100
    assert "Неизвестное" not in made
    assert made["ГоловнойКонтрагент_Key"] == ALIEN  # a broken reference is taken
    assert made["Predefined"] is False
    at = onec.at(CLIENTS, made)
    assert code(onec.get(f"{at}/ГоловнойКонтрагент")) == (404, "9")
    bill = onec.make(INVOICE, Posted=True, КратностьВзаиморасчетов=2)
    assert bill["Posted"] is False
    changed = onec.call("PATCH", onec.at(INVOICE, bill), {"КратностьВзаиморасчетов": "много", "Ref_Key": ALIEN}).json()
    assert (changed["КратностьВзаиморасчетов"], changed["Ref_Key"]) == ("2", bill["Ref_Key"])
    account = onec.make("Catalog_БанковскиеСчета", Owner=made["Ref_Key"])
    assert account["Owner_Type"] == "StandardODATA.Undefined"


def test_sections_are_replaced_whole(onec: Client) -> None:
    """PATCH with a section drops the rows that it does not name; without it they stay."""
    rows = [{"LineNumber": str(n), "Цена": n} for n in (1, 2)]
    at = onec.at(INVOICE, onec.make(INVOICE, Товары=rows))
    assert len(onec.call("PATCH", at, {"Комментарий": "x"}).json()["Товары"]) == 2
    left = onec.call("PATCH", at, {"Товары": [{"LineNumber": 1, "Сумма": 7}]}).json()["Товары"]
    assert [(row["LineNumber"], row["Цена"], row["Сумма"]) for row in left] == [("1", 0, 7)]


def test_put_and_bind(onec: Client) -> None:
    """PUT wants every property; references may be bound."""
    at = onec.at("Catalog_Банки", onec.make("Catalog_Банки", Description="Старый"))
    assert code(onec.call("PUT", at, {"Description": "Новый"})) == (400, "5")
    whole = {"Code": "1", "Description": "Новый", "КоррСчет": "", "Город": ""}
    assert onec.call("PUT", at, whole).json()["Description"] == "Новый"
    bound = onec.make(INVOICE, **{"Организация@odata.bind": f"Catalog_Организации(guid'{ref('organisation')}')"})
    assert bound["Организация_Key"] == ref("organisation")


@pytest.mark.parametrize(("mode", "status"), [("ignore", 200), ("412", 412)])
def test_if_match(onec: Client, mode: str, status: int) -> None:
    """A stale If-Match is ignored; a switch makes it 412."""
    onec.switch(if_match=mode)
    at = onec.at(CLIENTS, onec.make(CLIENTS))
    stale = {"If-Match": "AAAACQAAAAA="}
    assert onec.call("PATCH", at, {"Description": "x"}, headers=stale).status_code == status
    fresh = {"If-Match": onec.get(at).json()["DataVersion"]}
    assert onec.call("PATCH", at, {"Description": "y"}, headers=fresh).status_code == 200


def test_numbers_and_dates(onec: Client) -> None:
    """Numbers count up per year; an own number moves the counter; the date is the server's own naive time."""
    onec.switch(now="2026-12-31T23:59:59")
    first, second = onec.make(INVOICE), onec.make(INVOICE)
    assert (first["Number"], second["Number"], first["Date"]) == ("0000-000001", "0000-000002", "2026-12-31T23:59:59")
    assert onec.make(INVOICE, Date="2027-01-01T00:00:00")["Number"] == "0000-000001"
    assert onec.make(INVOICE, Number="0000-000009")["Number"] == "0000-000009"
    assert onec.make(INVOICE)["Number"] == "0000-000010"


def test_posting(onec: Client) -> None:
    """Post and Unpost; marked or empty documents fail in their handler."""
    bill = onec.make(INVOICE)
    at = onec.at(INVOICE, bill)
    assert code(onec.call("POST", f"{at}/Post")) == (500, "-1")  # empty section
    onec.call("PATCH", at, {"Товары": [{"LineNumber": 1}]})
    assert onec.call("POST", f"{at}/Post?PostingModeOperational=false").status_code == 200
    assert onec.get(at).json()["Posted"] is True
    assert code(onec.call("PATCH", at, {"DeletionMark": True})) == (500, "-1")  # unpost first
    assert onec.call("POST", f"{at}/Unpost()").status_code == 200
    before = onec.get(at).json()
    assert onec.call("POST", f"{at}/Unpost").status_code == 200
    after = onec.get(at).json()
    assert {k for k in after if after[k] != before[k]} == {"DataVersion"}
    onec.call("PATCH", at, {"DeletionMark": True})
    assert code(onec.call("POST", f"{at}/Post")) == (500, "-1")
    assert code(onec.get(f"{at}/Post")) == (405, "19")


# --- reading


@pytest.fixture
def clients(onec: Client) -> Client:
    """Three counterparties with invoices and a payment."""
    onec.seed(
        CLIENTS,
        {"Ref_Key": ref("a"), "Description": "Альфа", "ИНН": "5000000001", "Комментарий": "ключ a-1"},
        {"Ref_Key": ref("b"), "Description": "ООО 'Бета'", "ИНН": "5000000002", "DeletionMark": True},
        {"Ref_Key": ref("c"), "Description": "Гамма", "ИНН": "5000000003", "Комментарий": "ключ c-3"},
    )
    onec.seed(
        INVOICE,
        {"Ref_Key": ref("i1"), "Контрагент_Key": ref("a"), "Date": "2026-01-10T00:00:00", "СуммаДокумента": 100,
         "Posted": True, "Комментарий": "crm1c:123e4567", "Товары": [{"Цена": 10}, {"Цена": 20}]},
        {"Ref_Key": ref("i2"), "Контрагент_Key": ref("c"), "Date": "2026-02-10T00:00:00", "СуммаДокумента": 200.5},
    )  # fmt: skip
    onec.seed(
        PAYMENT,
        {"Ref_Key": ref("p1"), "Контрагент_Key": ref("a"), "Date": "2026-03-01T10:00:00",
         "РасшифровкаПлатежа": [{"СчетНаОплату_Key": ref("i1"), "СуммаПлатежа": "60.10", "Сделка": ref("i1"),
                                 "Сделка_Type": f"StandardODATA.{INVOICE}"}, {"СуммаПлатежа": 1}]},
    )  # fmt: skip
    return onec


ROW = f"{PAYMENT}_РасшифровкаПлатежа"
FILTERS = [
    (CLIENTS, "ИНН eq '5000000001'", ["a"]),
    (CLIENTS, "'5000000001' eq ИНН and not DeletionMark", ["a"]),
    (CLIENTS, "Description eq 'ООО ''Бета'''", ["b"]),
    (CLIENTS, "DeletionMark eq true", ["b"]),
    (CLIENTS, "(ИНН ge '5000000002' and ИНН lt '5000000003') or Description eq 'Гамма'", ["b", "c"]),
    (CLIENTS, "substringof('a-1',Комментарий)", ["a"]),
    (CLIENTS, "substringof('a-1', Комментарий) eq true", ["a"]),
    (CLIENTS, "like(Комментарий,'%_-[1-3]')", ["a", "c"]),
    (CLIENTS, "like(Комментарий,'%[^1]')", ["c"]),
    (CLIENTS, "startswith(Description,'Ал')", ["a"]),
    (CLIENTS, "endswith(Description,'ма') and ИНН ne '1'", ["c"]),
    (CLIENTS, f"Ref_Key eq guid'{ref('b').upper()}'", ["b"]),
    (INVOICE, f"Контрагент_Key eq guid'{ref('a')}'", ["i1"]),
    (INVOICE, f"Контрагент_Key eq cast(guid'{ref('a')}','Catalog_Контрагенты')", ["i1"]),
    (INVOICE, "Контрагент/ИНН eq '5000000003'", ["i2"]),
    (INVOICE, "Контрагент/Description ne 'Альфа'", ["i2"]),
    (INVOICE, "Date ge datetime'2026-02-10T00:00:00'", ["i2"]),
    (INVOICE, "Date gt datetime'2026-01-01T00:00:00' and Date lt datetime'2026-02-10T00:00:00'", ["i1"]),
    (INVOICE, "year(Date) eq 2026 and month(Date) eq 2", ["i2"]),
    (INVOICE, "СуммаДокумента gt 100 and СуммаДокумента le 200.5", ["i2"]),
    (INVOICE, "substringof('crm1c:123e4567',Комментарий) and Posted", ["i1"]),
    (INVOICE, "Товары/any(d: d/Цена eq 20)", ["i1"]),
    (INVOICE, "Товары/all(d: d/Цена gt 100)", ["i2"]),
    (PAYMENT, f"РасшифровкаПлатежа/any(r: r/СчетНаОплату_Key eq guid'{ref('i1')}' and r/СуммаПлатежа gt 60)", ["p1"]),
    (PAYMENT, f"РасшифровкаПлатежа/any(r: r/Сделка eq cast(guid'{ref('i1')}','{INVOICE}'))", ["p1"]),
    (ROW, f"СчетНаОплату_Key eq guid'{ref('i1')}'", ["p1"]),
    (ROW, f"Ref_Key eq guid'{ref('p1')}'", ["p1", "p1"]),
    (ROW, f"Сделка eq guid'{ref('i1')}'", []),  # the composite trap
    (ROW, f"Сделка eq cast(guid'{ref('i1')}','{INVOICE}')", ["p1"]),
    (ROW, f"isof(Сделка,'{INVOICE}')", ["p1"]),
]


@pytest.mark.parametrize(("name", "text", "wanted"), FILTERS)
def test_filters(clients: Client, name: str, text: str, wanted: list[str]) -> None:
    """The grammar of $filter, with and without an index to help."""
    assert [row["Ref_Key"] for row in clients.rows(f"{name}?$filter={text}")] == [ref(one) for one in wanted]
    # `or false` hides every hint from the search: the same must be found by looking at all
    again = clients.rows(f"{name}?$filter=({text}) or 1 eq 2")
    assert [row["Ref_Key"] for row in again] == [ref(one) for one in wanted]


def test_indexes_follow_writes(clients: Client) -> None:
    """What an index knows changes with the object."""
    for text, body in (("ИНН eq '777'", {"ИНН": "777"}), ("substringof('знак',Комментарий)", {"Комментарий": "знак"})):
        assert clients.rows(f"{CLIENTS}?$filter={text}") == []
        clients.call("PATCH", f"{CLIENTS}(guid'{ref('a')}')", body)
        assert len(clients.rows(f"{CLIENTS}?$filter={text}")) == 1
    clients.call("DELETE", f"{CLIENTS}(guid'{ref('a')}')")
    assert clients.rows(f"{CLIENTS}?$filter=ИНН eq '777'") == []
    assert clients.rows(f"{CLIENTS}?$filter=substringof('знак',Комментарий)") == []


def test_select_and_expand(clients: Client) -> None:
    """$select reduces; $expand works on sets, and only if the field is selected too."""
    path = f"{INVOICE}?$filter=Контрагент/ИНН eq '5000000001'"
    only = clients.rows(f"{path}&$select=Number,Товары/Цена")[0]
    assert {k for k in only if "@" not in k} == {"Number", "Товары"}
    assert only["Товары"] == [{"Цена": 10}, {"Цена": 20}]
    assert "Товары" not in clients.rows(f"{path}&$select=**")[0]
    assert clients.rows(f"{path}&$expand=Контрагент")[0]["Контрагент"]["ИНН"] == "5000000001"
    assert "Контрагент" not in clients.rows(f"{path}&$expand=Контрагент&$select=Number")[0]
    both = clients.rows(f"{path}&$expand=Контрагент&$select=Number,Контрагент_Key")[0]
    assert both["Контрагент"]["Description"] == "Альфа"
    shown = clients.rows(f"{path}&$select=Контрагент____Presentation")[0]
    assert shown["Контрагент____Presentation"] == "Альфа"
    one = clients.get(f"{INVOICE}(guid'{ref('i1')}')?$expand=Контрагент").json()
    assert "Контрагент" not in one
    linked = clients.get(one["Контрагент@navigationLinkUrl"])
    assert linked.json()["Description"] == "Альфа"


def test_order_and_pages(onec: Client) -> None:
    """Ref_Key orders by presentation; what ties moves between pages unless the key is in the order."""
    onec.seed(CLIENTS, *({"Description": f"К{n % 3}", "ИНН": str(n)} for n in range(60)))
    by_key = onec.rows(f"{CLIENTS}?$orderby=Ref_Key")
    assert [row["Description"] for row in by_key] == sorted(row["Description"] for row in by_key)

    def paged(order: str) -> list[str]:
        return [
            row["ИНН"]
            for skip in range(0, 60, 7)
            for row in onec.rows(f"{CLIENTS}?$orderby={order}&$top=7&$skip={skip}")
        ]

    assert len(set(paged("Description"))) < 60
    assert len(set(paged("Description desc,Ref_Key"))) == 60
    onec.switch(unstable_ties=False)
    assert len(set(paged("Description"))) == 60


def test_counts(onec: Client) -> None:
    """$inlinecount makes $top ignored unless switched; $count is text, and optional."""
    path = "Catalog_Валюты?$inlinecount=allpages&$top=1"
    assert len(onec.rows(path)) == 4
    onec.switch(inlinecount_ignores_top=False)
    answer = onec.get(path).json()
    assert (len(answer["value"]), answer["odata.count"]) == (1, "4")
    assert onec.get("Catalog_Валюты/$count?$filter=Code ne '643'").text == "3"
    onec.switch(count=False)
    assert code(onec.get("Catalog_Валюты/$count")) == (400, "6")


@pytest.mark.parametrize("quotes", ["'", "''"])
def test_slice_last(onec: Client, quotes: str) -> None:
    """The last rate on or before a moment; inner quotes doubled or not."""
    rate = {"Period": "2026-02-01T00:00:00", "Валюта_Key": ref("840"), "Курс": 81.5, "Кратность": 1}
    assert onec.call("POST", RATES, rate).status_code == 201
    condition = f"Condition='Валюта_Key eq guid{quotes}{ref('840')}{quotes}'"
    for moment, wanted in (("2026-01-31", 80), ("2026-02-01", 81.5)):
        found = onec.rows(f"{RATES}/SliceLast(Period=datetime'{moment}T00:00:00',{condition})")
        assert [row["Курс"] for row in found] == [wanted]
    assert len(onec.rows(f"{RATES}/SliceLast()")) == 4
    one = onec.get(f"{RATES}(Period=datetime'2026-02-01T00:00:00',Валюта_Key=guid'{ref('840')}')")
    assert (one.json()["Курс"], one.json()["Кратность"]) == (81.5, "1")


def test_rights(clients: Client) -> None:
    """Restricted rows are 401/20 without allowedOnly; a forbidden set is always."""
    clients.switch(rls={CLIENTS: "Description ne 'Альфа'"}, forbidden=["Catalog_Банки"])
    assert code(clients.get(CLIENTS)) == (401, "20")
    assert len(clients.rows(f"{CLIENTS}?allowedOnly=true")) == 2
    assert len(clients.rows(f"{CLIENTS}?$filter=Description eq 'Гамма'")) == 1
    assert code(clients.get(f"{CLIENTS}(guid'{ref('a')}')")) == (401, "20")
    assert code(clients.get("Catalog_Банки")) == (401, "20")


def test_changes(onec: Client) -> None:
    """A repeated number gives the old changes and the new ones; a receipt forgets what it covers."""
    node = next(row for row in onec.rows("ExchangePlan_Обмен") if not row["ThisNode"])

    def packet(number: int) -> tuple[set[str | None], int]:
        point = quote(f"'{onec.root}/ExchangePlan_Обмен(guid'{node['Ref_Key']}')'")
        answer = onec.http.post(f"{onec.root}/SelectChanges?DataExchangePoint={point}&MessageNo={number}", timeout=10)
        assert answer.status_code == 200, answer.text
        tree = ET.fromstring(answer.content)
        gone = tree.findall("{http://purl.org/atompub/tombstones/1.0}deleted-entry")
        return {e.text for e in tree.iter(f"{D}Description")}, len(gone)

    def receipt(number: int) -> None:
        point = quote(f"'{onec.root}/ExchangePlan_Обмен(guid'{node['Ref_Key']}')'")
        url = f"{onec.root}/NotifyChangesReceived?DataExchangePoint={point}&MessageNo={number}"
        assert onec.http.post(url, timeout=10).status_code == 200

    one = onec.make(CLIENTS, Description="Один")
    assert packet(1) == ({"Один"}, 0)
    onec.make(CLIENTS, Description="Два")
    assert packet(1) == ({"Один", "Два"}, 0)
    onec.call("PATCH", onec.at(CLIENTS, one), {"Description": "Один+"})  # changed after it went out
    receipt(1)
    assert packet(2) == ({"Один+"}, 0)
    onec.call("DELETE", onec.at(CLIENTS, one))
    receipt(2)
    assert packet(3) == (set(), 1)
    receipt(3)
    state = next(row for row in onec.rows("ExchangePlan_Обмен") if not row["ThisNode"])
    assert (state["SentNo"], state["ReceivedNo"]) == ("3", "3")
    onec.make(CLIENTS, Description="плохой\x02знак")
    point = quote(f"'{onec.root}/ExchangePlan_Обмен(guid'{node['Ref_Key']}')'")
    answer = onec.http.post(f"{onec.root}/SelectChanges?DataExchangePoint={point}&MessageNo=4", timeout=10)
    assert answer.status_code == 400


# --- sessions, licences, faults


def test_kept_session(onec: Client) -> None:
    """IBSession: start gives a cookie; one kept session serves many calls; a dead one is 400."""
    with requests.Session() as http:
        http.auth = onec.http.auth
        url = f"{onec.root}/Catalog_Валюты?$format=json"
        started = http.get(url, headers={"IBSession": "start"}, timeout=10)
        assert started.cookies["ibsession"]
        for _ in range(3):
            assert http.get(url, timeout=10).status_code == 200
        assert onec.admin("stats")["sessions_started"] == 1
        onec.switch(expire_sessions=True)
        assert http.get(url, timeout=10).status_code == 400
        assert http.get(url, headers={"IBSession": "start"}, timeout=10).status_code == 200
        assert http.get(url, headers={"IBSession": "finish"}, timeout=10).status_code == 200
        assert onec.admin("stats")["sessions_live"] == 0
    onec.switch(sessions=False)
    ignored = onec.get("Catalog_Валюты", headers={"IBSession": "start"})
    assert (ignored.status_code, len(ignored.cookies)) == (200, 0)


@pytest.mark.parametrize("status", [500, 402])
def test_licences(onec: Client, status: int) -> None:
    """More calls at a time than licences: a page instead of an answer; the peak is told."""
    onec.switch(max_sessions=2, licence_status=status)
    onec.admin("faults", {"kind": "hang", "match": {"query": "hold"}})

    def held(_n: int) -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{onec.root}/Catalog_Валюты?hold", auth=onec.http.auth, timeout=10)

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(held, n) for n in range(2)]
        for _ in range(1000):
            if onec.admin("stats")["sessions_live"] == 2:
                break
        refused = onec.get("Catalog_Валюты")
        onec.admin("faults", method="DELETE")
        for call in calls:
            call.result()
    assert (refused.status_code, "свободной лицензии" in refused.text) == (status, True)
    stats = onec.admin("stats")
    assert (stats["max_concurrency"], stats["max_sessions"], stats["licence_refusals"]) == (3, 2, 1)
    assert onec.get("Catalog_Валюты").status_code == 200


def test_cold_start(onec: Client) -> None:
    """The first call after idling takes longer."""
    onec.switch(cold_start=0.2, cold_after=0.0)
    assert onec.get("Catalog_Валюты").elapsed.total_seconds() >= 0.2


def test_lock_conflict_once(onec: Client) -> None:
    """500/-1 that names a lock, nothing written; then it works."""
    onec.admin("faults", {"kind": "lock", "times": 1, "match": {"method": "POST", "path": CLIENTS}})
    refused = onec.call("POST", CLIENTS, {"Description": "x"})
    assert code(refused) == (500, "-1")
    assert "Конфликт блокировок" in refused.json()["odata.error"]["message"]["value"]
    assert onec.rows(CLIENTS) == []
    onec.make(CLIENTS)


def test_answer_lost_after_commit(onec: Client) -> None:
    """The document is there, the client never hears of it; the log knows."""
    onec.admin("faults", {"kind": "lost_answer", "times": 1, "match": {"method": "POST"}})
    with pytest.raises(requests.ConnectionError):
        onec.call("POST", INVOICE, {"Комментарий": "ключ"})
    assert len(onec.rows(f"{INVOICE}?$filter=substringof('ключ',Комментарий)")) == 1
    entry = onec.admin("log")[0]
    assert (entry["fault"], entry["path"].endswith(INVOICE), entry["body"]) == (
        "lost_answer",
        True,
        {"Комментарий": "ключ"},
    )
    assert len(onec.admin(f"state?set={INVOICE}")) == 1


def test_html_page(onec: Client) -> None:
    """A login page with status 200."""
    onec.admin("faults", {"kind": "html"})
    answer = onec.get("Catalog_Валюты")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_admin_mistakes(onec: Client) -> None:
    """The admin face refuses what makes no sense, and keeps what was."""
    for name, body in (
        ("seed", {CLIENTS: [{"Нет": 1}]}), ("seed", {"Catalog_Нет": [{}]}), ("switches", {"нет": 1}),
        ("switches", {"max_sessions": "3"}), ("switches", {"rls": {CLIENTS: "x y"}}),
        ("switches", {"without": ["Нет"]}), ("seed", {INVOICE: [{"СуммаДокумента": "много"}]}),
    ):  # fmt: skip
        answer = requests.post(f"{onec.url}/_sandbox/{name}", json=body, timeout=10)
        assert answer.status_code == 400, (name, body, answer.text)
    assert onec.get(CLIENTS).status_code == 200


def test_many_at_once(onec: Client) -> None:
    """Concurrent creation loses nothing and numbers nothing twice."""

    def make(_n: int) -> str:
        answer = requests.post(f"{onec.root}/{INVOICE}?$format=json", json={}, auth=onec.http.auth, timeout=10)
        number: str = answer.json()["Number"]
        return number

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(80)))) == 80


def test_checksums() -> None:
    """The invented numbers of the seed fit their checksums."""
    assert valid_inn("770708389") == "7707083893"
    assert valid_inn("5001007322") == "500100732259"
    assert valid_ogrn("102770013219") == "1027700132195"
    number = valid_account("4070281000000000017", "044525999")
    total = sum(int(d) * w for d, w in zip("999" + number, (7, 1, 3) * 8, strict=False))
    assert (len(number), total % 10) == (20, 0)
