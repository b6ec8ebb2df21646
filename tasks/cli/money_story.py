"""The demo's chapter of money: a retention over three months, an advance over three acts, dollars and a refund. The
months pass by the demo's own clock, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import requests

from integration.bootstrap import World, utc_now
from integration.flows.pull import pull_payments
from integration.rules.accrual import spoken
from integration.rules.status import CODES, Code
from tasks.cli.sandbox import Sandbox

PAYMENT, REFUND = "Document_ПоступлениеНаРасчетныйСчет", "Document_СписаниеСРасчетногоСчета"
ACT, INVOICE = "Document_РеализацияТоваровУслуг", "Document_СчетНаОплатуПокупателю"
RATES = "InformationRegister_КурсыВалют"
CLIENTS = ("7714088525", "7714099171")
_HEAD = ("Организация_Key", "Контрагент_Key", "ДоговорКонтрагента_Key", "ВалютаДокумента_Key")


class Leaping:
    """The demo's clock: the real one, and the days that were leapt over."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self._ahead

    def leap(self, days: int) -> None:
        """So many days pass at once."""
        self._ahead += timedelta(days=days)


class Story(Protocol):
    """What of the demo a chapter uses."""

    place: Sandbox
    url: str
    clock: Leaping

    @property
    def world(self) -> World: ...

    def chapter(self, title: str, text: str) -> None: ...

    def begin(self, text: str) -> None: ...

    def check(self, text: str, good: bool) -> None: ...

    def loud(self, *, on: bool) -> None: ...

    def follow(self, deal: str) -> None: ...

    def until(self, done: Callable[[], bool]) -> bool: ...

    def onec(self, name: str) -> list[dict[str, Any]]: ...

    def crm(self, method: str, path: str) -> dict[str, Any]: ...


class MoneyStory:
    """One deal after another, each with the documents that an accountant writes in 1C."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.deal_id, self.bill = "", ""
        self.head: dict[str, Any] = {}

    @property
    def today(self) -> date:
        """The day in 1C's zone, by the demo's clock."""
        return self.story.clock().astimezone(self.story.world.settings.onec["main"].timezone).date()

    def play(self) -> None:
        """The four stories."""
        self.story.chapter(
            "Глава 4. Деньги", "Частичные оплаты, удержание, аванс, валюта, возврат. Месяцы идут по часам показа."
        )
        self.retention()
        self.advance()
        self.dollars_and_refund()

    def retention(self) -> None:
        due = self.today + timedelta(days=92)
        self.begin_deal(
            "Цех под ключ", 10_000_000, cRetentionAmount=500_000, cRetentionAmountCurrency="RUB",
            cRetentionDate=due.isoformat(),
        )  # fmt: skip
        self.act(10_000_000)
        self.pay("Сегодня приходит 6 000 000 ₽", 6_000_000, self.today)
        self.shows("partially_paid", "60.0")
        self.story.clock.leap(1)
        self.pay("Завтра — ещё 3 500 000 ₽", 3_500_000, self.today)
        self.shows("retention_pending", "95.0")
        self.owes("500000")
        self.story.begin(f"Проходит три месяца: срок удержания {due:%d.%m.%Y} прошёл, а денег нет")
        self.story.clock.leap(92)
        self.pull()
        self.shows("retention_pending", "95.0", overdue=True)
        self.owes("500000", overdue="500000")
        self.pay("Приходит удержание 500 000 ₽", 500_000, self.today)
        self.shows("closed", "100.0")
        self.owes("0")

    def advance(self) -> None:
        self.begin_deal("Обслуживание по актам", 1_250_000)
        self.pay("Аванс 1 000 000 ₽", 1_000_000, self.today)
        self.story.begin("Акты на 400 000, 350 000 и 500 000 ₽: аванс тратится сам")
        for amount in (400_000, 350_000, 500_000):
            self.act(amount)
        self.pull()
        told = self.api()
        acts = [(one["status"], one["percent"]) for one in told["acts"]]
        expected = [("closed", "100.0"), ("closed", "100.0"), ("partially_paid", "50.0")]
        self.story.check("закрыт, закрыт, оплачен на 50 %; аванса не осталось", acts == expected)
        self.story.check(f"аванс {spoken(Decimal(told['advance']), 'RUB')}", told["advance"] == "0.00")
        self.shows("partially_paid", "80.0")
        self.printed()

    def printed(self) -> None:
        """The three acts on paper, each at the deal."""

        def copies() -> list[str]:
            stream = self.story.crm("GET", f"Opportunity/{self.deal_id}/stream").get("list", [])
            files = [file for note in stream for file in (note.get("attachmentsNames") or {}).values()]
            return sorted(file for file in files if file.startswith("Акт"))

        self.story.until(lambda: len(copies()) >= 3)
        self.story.check(f"акты напечатаны и приложены к сделке: {', '.join(copies())}", len(copies()) == 3)

    def dollars_and_refund(self) -> None:
        self.begin_deal("Поставка датчиков", 100_000, client=1)
        [dollar] = [one["Ref_Key"] for one in self.story.onec("Catalog_Валюты") if one["Code"] == "840"]
        rate = {"Period": f"{self.today}T00:00:00", "Валюта_Key": dollar, "Курс": "80.5", "Кратность": 1}
        self.put(RATES, rate)
        self.pay("Приходит 1 000 $, курс дня 80,5", 1_000, self.today, ВалютаДокумента_Key=dollar)
        self.shows("partially_paid", "80.5")
        why = self.api()["allocations"][0]
        self.story.check(f"курс и обе суммы сохранены: {why['paid']} {why['paid_currency']} × {why['rate']} = "
                         f"{why['amount']} ₽", (why["paid"], why["amount"]) == ("1000.00", "80500.00"))  # fmt: skip
        self.story.begin("Клиенту возвращают 20 500 ₽")
        self.bank(REFUND, "ВозвратПокупателю", 20_500, self.today)
        self.pull()
        self.shows("partially_paid", "60.0")

    # -- what the stories are made of -----------------------------------------------------------------------------

    def begin_deal(self, name: str, amount: int, client: int = 0, **more: Any) -> None:
        story = self.story
        story.begin(f"Сделка «{name}» на {amount:,} ₽".replace(",", " "))
        story.loud(on=False)
        account = {"name": ("ООО «Полянка»", "ООО «Заречье»")[client], "cInn": CLIENTS[client], "cKpp": "771401001"}
        body: dict[str, Any] = {"user": "ivanova", "name": name, "amount": amount, "amountCurrency": "RUB", **more}
        body |= {"stage": "Proposal", "account": account}
        answer = requests.post(f"{story.place.crm}/_sandbox/deals", json=body, timeout=10)
        answer.raise_for_status()
        self.deal_id = str(answer.json()["body"]["id"])
        story.follow(self.deal_id)
        [invoice] = [one for one in story.onec(INVOICE) if self.deal_id in one["Комментарий"]]
        self.bill, self.head = invoice["Ref_Key"], {name: invoice[name] for name in _HEAD}

    def act(self, amount: int) -> None:
        line = {"LineNumber": 1, "Количество": 1, "Цена": amount, "Сумма": amount, "СтавкаНДС": "НДС22"}
        body = {"СуммаДокумента": amount, "СуммаВключаетНДС": True, "Услуги": [line]}
        self.put(ACT, self.dated(self.today) | body | {"СчетНаОплатуПокупателю_Key": self.bill})

    def pay(self, text: str, amount: int, day: date, **more: Any) -> None:
        self.story.begin(text)
        self.bank(PAYMENT, "ОплатаПокупателя", amount, day, **more)
        self.pull()

    def bank(self, name: str, operation: str, amount: int, day: date, **more: Any) -> None:
        row = {"LineNumber": 1, "СуммаПлатежа": amount, "СчетНаОплату_Key": self.bill}
        row |= {"ДоговорКонтрагента_Key": self.head["ДоговорКонтрагента_Key"]}
        body = {"ВидОперации": operation, "СуммаДокумента": amount, "РасшифровкаПлатежа": [row]}
        self.put(name, self.dated(day) | body | more)

    def dated(self, day: date) -> dict[str, Any]:
        return {**self.head, "Posted": True, "Date": datetime(day.year, day.month, day.day, 10).isoformat()}  # noqa: DTZ001 – 1C's own local time

    def put(self, name: str, body: Mapping[str, Any]) -> None:
        requests.post(f"{self.story.place.onec}/_sandbox/seed", json={name: [body]}, timeout=10).raise_for_status()

    def pull(self) -> None:
        """What the clock does every half an hour."""
        pull_payments(self.story.world.services, "main")

    def owes(self, debt: str, overdue: str = "0") -> None:
        """Wait for the client in the CRM, and read there what its contracts come to."""
        account = self.story.crm("GET", f"Opportunity/{self.deal_id}")["accountId"]

        def there() -> bool:
            shown = self.story.crm("GET", f"Account/{account}")
            told = [Decimal(str(shown.get(name) or 0)) for name in ("cContractDebt", "cContractOverdue")]
            return told == [Decimal(debt), Decimal(overdue)]

        owed, late = (spoken(Decimal(amount), "RUB") for amount in (debt, overdue))
        self.story.check(f"на клиенте: долг по актам {owed}, просрочено {late}", self.story.until(there))

    def shows(self, status: Code, percent: str, *, overdue: bool = False) -> None:
        """Wait for the CRM's deal, and read it there."""

        def there() -> bool:
            shown = self.story.crm("GET", f"Opportunity/{self.deal_id}")
            told = Decimal(str(shown.get("cPaidPercent") or 0))
            late = bool(shown.get("cOverdue"))
            return (shown.get("cPaymentStatus"), told, late) == (status, Decimal(percent), overdue)

        late = ", просрочено" if overdue else ""
        percents = percent.removesuffix(".0").replace(".", ",")
        self.story.check(f"в CRM: {CODES[status]}, {percents} %{late}", self.story.until(there))

    def api(self) -> dict[str, Any]:
        answer = requests.get(
            f"{self.story.url}/api/deals/espo/{self.deal_id}",
            headers={"Authorization": f"Bearer {self.story.place.token}"},
            timeout=10,
        )
        return dict(answer.json())
