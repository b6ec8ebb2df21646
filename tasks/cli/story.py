"""The demo: the main job played beside the sandbox systems, each step shown as it happens and then read back there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from integration.bootstrap import World, as_admin
from integration.store import journal, keys
from tasks import run
from tasks.base import Process
from tasks.cli.bonus_story import RULE, BonusStory
from tasks.cli.common import running
from tasks.cli.money_story import Leaping, MoneyStory
from tasks.cli.sandbox import CRM_ADMIN, CRM_ADMIN_PASSWORD, Sandbox, sandboxed

PATIENCE = 60.0  # seconds for one chapter of the story
INVOICES = "Document_СчетНаОплатуПокупателю"
CLIENT = {"name": "ООО «Ромашка»", "cInn": "7700000016", "cKpp": "770001001", "emailAddress": "buh@romashka.example"}
NEWCOMER, ASKED = "7800000027", "5400000036"  # companies of the sandbox registry
_LOUD = ("crm1c.http", "crm1c.work", "crm1c.circuit")


def tell(*, once: bool, port: int = 0) -> int:
    """Play the story; returns the exit code: 0 only if every step was verified. Without `once` it stays up then."""
    console = Console(highlight=False, soft_wrap=True)
    port = port or _free_port()
    papers = Path(mkdtemp(prefix="crm1c-demo-"))  # they stay, for a look at them
    rules = {"rule": [RULE]}
    with sandboxed(port, papers=papers, crm_options=("--no-fields",), bonus=rules) as place:
        clock = Leaping()
        process = running(place.settings, clock)
        logging.getLogger().setLevel(logging.ERROR)
        with run.everything(process) as url:
            story = _Story(console, place, process, clock, url, papers)
            with suppress(KeyboardInterrupt):
                story.play()
                if not once:
                    story.stay()
            return 0 if story.verified else 1


@dataclass
class _Story:
    console: Console
    place: Sandbox
    process: Process
    clock: Leaping
    url: str
    papers: Path
    failed: list[str] = field(default_factory=list)
    checked: int = 0
    started: float = 0.0

    @property
    def verified(self) -> bool:
        return self.checked > 0 and not self.failed

    @property
    def world(self) -> World:
        return self.process.world

    def play(self) -> None:
        """All chapters, then the verdict."""
        for name in _LOUD:
            logging.getLogger(name).addHandler(_Teller(self))
            logging.getLogger(name).propagate = False
        self.first()
        self.with_trouble()
        self.requisites()
        MoneyStory(self).play()
        BonusStory(self).play()
        verdict = f"[bold green]Проверено чтением из 1С и CRM: {self.checked} из {self.checked}[/]"
        if self.failed:
            verdict = "[bold red]Не сошлось:[/]\n" + "\n".join(f"  • {escape(text)}" for text in self.failed)
        self.console.print(Panel.fit(verdict), soft_wrap=False)

    def stay(self) -> None:
        """Leave everything running for a look around."""
        self.console.print(
            f"crm1c:        {self.url}/docs  (токен: {self.place.token})\n"
            f"Учебная CRM:  {self.place.crm}/_sandbox/state\n"
            f"Учебная 1С:   {self.place.onec}/_sandbox/state\n"
            f"Письма:       {self.place.mail}/letters\n"
            "Ctrl+C — остановить."
        )
        Event().wait()

    # -- chapters -------------------------------------------------------------------------------------------------

    def first(self) -> None:
        self.chapter("Глава 1. Сделка становится счётом", "Рядом работают учебные 1С:Бухгалтерия и EspoCRM.")
        self.begin("crm1c создаёт в CRM поля и вебхуки (crm1c setup espo)")
        self.loud(on=False)
        admin = as_admin(self.world, "espo", CRM_ADMIN, CRM_ADMIN_PASSWORD)
        fields = admin.ask(admin.say.setup_admin())
        crm = self.world.services.crms["espo"]
        hooks = crm.ask(crm.say.setup(f"{self.url}/webhooks/espo"))
        with self.world.store.unit("keep webhooks") as unit:
            keys.keep_webhooks(unit.conn, "espo", hooks.webhooks, unit.now)
        self.loud(on=True)
        self.check(f"полей создано: {len(fields.made)}, вебхуков: {len(hooks.webhooks)}", len(hooks.webhooks) >= 2)

        self.begin("Иванова переводит сделку «Монтаж линии» на 1 220 000 ₽ в стадию Proposal")
        deal = self.deal("Монтаж линии", 1_220_000)
        self.follow(deal)
        shown = self.read_back(deal, "1220000", vat="220000")
        counterparties = [one for one in self.onec("Catalog_Контрагенты") if one["ИНН"] == CLIENT["cInn"]]
        kpps = [one["КПП"] for one in counterparties]
        self.check("контрагент в 1С один, с ИНН и КПП", kpps == [CLIENT["cKpp"]])
        owners = [one["Owner_Key"] for one in self.onec("Catalog_ДоговорыКонтрагентов")]
        self.check("договор с покупателем один", owners.count(counterparties[0]["Ref_Key"]) == 1)
        stream = self.crm("GET", f"Opportunity/{deal}/stream").get("list", [])
        posts = [note["post"] for note in stream if note.get("post")]
        self.check("в ленте сделки: " + (posts[-1] if posts else "ничего"), 1 <= len(posts) <= 2)
        self.check("ссылка открывает документ 1С: " + str(shown.get("cInvoiceUrl")), bool(shown.get("cInvoiceUrl")))

        self.letter_about(deal)

    def letter_about(self, deal: str) -> None:
        """The client's copy: in his mailbox, at the deal and in the folder of papers."""

        def letters() -> list[dict[str, Any]]:
            return list(
                requests.get(f"{self.place.mail}/letters", params={"to": CLIENT["emailAddress"]}, timeout=10).json()
            )

        def copies() -> list[str]:
            stream = self.crm("GET", f"Opportunity/{deal}/stream").get("list", [])
            return [file for note in stream for file in (note.get("attachmentsNames") or {}).values()]

        self.until(lambda: bool(letters() and copies()))
        found = letters()
        self.check(f"клиенту пришло письмо: {found[0]['subject'] if found else 'нет'}", len(found) == 1)
        files = [file["name"] for letter in found for file in letter["attachments"]]
        self.check("тот же PDF приложен к сделке: " + ", ".join(copies()), bool(files) and copies() == files)
        kept = [path for path in self.papers.glob("*.pdf") if path.name in files]
        self.check(f"счёт с QR-кодом для оплаты лежит здесь: {kept[0] if kept else 'нет'}", len(kept) == 1)

    def with_trouble(self) -> None:
        self.chapter(
            "Глава 2. То же, но 1С болеет",
            "Три секунды 1С отвечает 503, затем записывает счёт, а ответ теряется по дороге.",
        )
        requests.post(
            f"{self.place.onec}/_sandbox/faults",
            json={"kind": "status", "status": 503, "match": {"path": "odata"}, "times": None},
            timeout=10,
        ).raise_for_status()
        self.begin("Петров переводит сделку «Сервис, ноябрь» на 61 000 ₽ в стадию Proposal")
        deal = self.deal("Сервис, ноябрь", 61_000, user="petrov")
        self.until(lambda: time.monotonic() - self.started > 3.0)
        requests.delete(f"{self.place.onec}/_sandbox/faults", timeout=10)
        self.say("[cyan]1С поднялась; но ответ на запись счёта сейчас потеряется[/]")
        fault = {"kind": "lost_answer", "match": {"method": "POST", "path": f"{INVOICES}$"}, "times": 1}
        requests.post(f"{self.place.onec}/_sandbox/faults", json=fault, timeout=10).raise_for_status()
        requests.delete(f"{self.place.onec}/_sandbox/log", timeout=10)
        self.follow(deal)
        self.read_back(deal, "61000", vat="11000")
        fired = sum(one["fired"] for one in requests.get(f"{self.place.onec}/_sandbox/faults", timeout=10).json())
        self.check("ответ действительно потерян, один раз", fired == 1)
        log = requests.get(f"{self.place.onec}/_sandbox/log", timeout=10).json()
        created = [one for one in log if one["method"] == "POST" and one["path"].endswith(INVOICES)]
        self.check("записан один раз: второй попытки записи не было, счёт найден по ключу", len(created) == 1)

    def requisites(self) -> None:
        self.chapter("Глава 3. Реквизиты по ИНН", "Сначала 1С, затем учебные ЕГРЮЛ и DaData; найденное записывается.")
        self.begin(f"Петров заводит клиента, зная только ИНН {NEWCOMER}")
        body = {"user": "petrov", "method": "POST", "path": "Account", "body": {"name": "Полесье", "cInn": NEWCOMER}}
        made = requests.post(f"{self.place.crm}/_sandbox/act", json=body, timeout=10).json()["body"]
        path = f"Account/{made['id']}"
        self.check("карточка клиента заполнена", self.until(lambda: bool(self.crm("GET", path).get("c1cRefKey"))))
        shown = self.crm("GET", path)
        there = [one for one in self.onec("Catalog_Контрагенты") if one["ИНН"] == NEWCOMER]
        same = len(there) == 1 and (there[0]["КПП"], there[0]["Ref_Key"]) == (shown["cKpp"], shown["c1cRefKey"])
        self.check(f"контрагент в 1С один: {there[0]['Description'] if there else 'нет'}, КПП {shown['cKpp']}", same)

        self.begin(f"Иванова нажимает кнопку «реквизиты» для ИНН {ASKED}")
        answer = self.asked(ASKED)
        told = answer.json()
        self.say(f"{told.get('source')}: {told.get('name')}, КПП {told.get('kpp')}, {told.get('address')}")
        there = [one for one in self.onec("Catalog_Контрагенты") if one["ИНН"] == ASKED]
        where = f"where[0][type]=equals&where[0][attribute]=cInn&where[0][value]={ASKED}"
        accounts = self.crm("GET", f"Account?{where}")
        self.check("найдено в ЕГРЮЛ и записано в 1С", answer.ok and told["source"] == "egrul" and len(there) == 1)
        self.check("и в CRM", accounts.get("total") == 1)
        self.check("второй раз отвечает сама 1С", self.asked(ASKED).json().get("source") == "onec")

        self.begin("В номере опечатка")
        before = len(self.log(self.place.registry))
        refused = self.asked(ASKED[:-1] + "7")
        self.say(refused.json()["detail"])
        unasked = len(self.log(self.place.registry)) == before
        self.check("отказ, и никто не спрошен", refused.status_code == 422 and unasked)

    def asked(self, inn: str) -> requests.Response:
        """The button: GET /api/requisites/ИНН."""
        headers = {"Authorization": f"Bearer {self.place.token}"}
        return requests.get(f"{self.url}/api/requisites/{inn}", headers=headers, timeout=30)

    @staticmethod
    def log(system: str) -> list[dict[str, Any]]:
        return list(requests.get(f"{system}/_sandbox/log", timeout=10).json())

    # -- what chapters are made of --------------------------------------------------------------------------------

    def deal(self, name: str, amount: int, user: str = "ivanova") -> str:
        """A person's deal that asks for an invoice."""
        body: dict[str, Any] = {"user": user, "name": name, "amount": amount, "amountCurrency": "RUB"}
        body |= {"stage": "Proposal", "account": CLIENT}
        answer = requests.post(f"{self.place.crm}/_sandbox/deals", json=body, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["body"]["id"])

    def follow(self, deal: str) -> None:
        """Wait until the work that the deal caused is done; its steps show themselves by the log."""

        def settled() -> bool:
            with self.world.store.reading() as conn:
                found = journal.events(conn, source="espo", record_id=deal)
            return bool(found) and all(one.state in ("done", "parked") for one in found) and self._has_number(deal)

        self.check("сделка получила номер счёта", self.until(settled))

    def read_back(self, deal: str, total: str, vat: str) -> dict[str, Any]:
        """Compare the CRM's deal with 1C's documents, read from the sandbox systems themselves."""
        shown = self.crm("GET", f"Opportunity/{deal}")
        mine = [one for one in self.onec(INVOICES) if deal in one["Комментарий"]]
        self.check(f"счёт в 1С ровно один ({len(mine)})", len(mine) == 1)
        if not mine:
            return shown
        document = mine[0]
        self.check("проведён", document["Posted"] is True)
        lines = document["Товары"]
        sums = {str(document["СуммаДокумента"]), *(str(line["Сумма"]) for line in lines)}
        vats = [str(line["СуммаНДС"]) for line in lines]
        self.check(f"сумма {total}, НДС 22 % {vat}", sums == {total} and vats == [vat])
        self.check(
            f"в CRM № {shown.get('cInvoiceNumber')} от {shown.get('cInvoiceDate')}: «{shown.get('cSyncStatus')}»",
            shown.get("cInvoiceNumber") == document["Number"] and shown.get("c1cRefKey") == document["Ref_Key"],
        )
        return shown

    def onec(self, name: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.place.onec}/_sandbox/state", params={"set": name}, timeout=10)
        return list(answer.json())

    def crm(self, method: str, path: str) -> dict[str, Any]:
        body = {"user": "ivanova", "method": method, "path": path}
        answer: dict[str, Any] = requests.post(f"{self.place.crm}/_sandbox/act", json=body, timeout=10).json()
        return dict(answer["body"])

    def _has_number(self, deal: str) -> bool:
        return bool(self.crm("GET", f"Opportunity/{deal}").get("cInvoiceNumber"))

    def until(self, done: Callable[[], bool]) -> bool:
        """Wait for a condition, as long as the story's patience lasts."""
        pause, deadline = Event(), time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if done():
                return True
            pause.wait(0.05)
        return False

    def loud(self, *, on: bool) -> None:
        """Whether crm1c's own log becomes lines of the story."""
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.INFO if on else logging.CRITICAL)

    def chapter(self, title: str, text: str) -> None:
        self.console.print(Panel.fit(f"[bold]{title}[/]\n{text}"), soft_wrap=False)

    def begin(self, text: str) -> None:
        self.started = time.monotonic()
        self.console.print(f"\n[bold]▶ {escape(text)}[/]")

    def say(self, text: str) -> None:
        self.console.print(f"  [dim]{time.monotonic() - self.started:7.3f} с[/]  {text}")

    def check(self, text: str, good: bool) -> None:
        self.checked += 1
        if not good:
            self.failed.append(text)
        self.say(f"[green]✔ {escape(text)}[/]" if good else f"[bold red]✘ {escape(text)}[/]")


class _Teller(logging.Handler):
    """Turns crm1c's own log into the lines of the story."""

    def __init__(self, story: _Story) -> None:
        super().__init__()
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        whose = {"onec": "1С  ", "crm": "CRM ", "mail": "Почта "}.get(
            str(getattr(record, "system", "")).partition(":")[0], ""
        )
        text = whose + escape(record.getMessage())
        took = getattr(record, "ms", None)
        if took is not None:
            text += f" [dim]({took} мс)[/]"
        if record.levelno >= logging.WARNING:
            text = f"[yellow]{text}[/]"
        self._story.say(text)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
