"""The demo's chapter of bonuses: payments arrive, the leaderboard moves, a refund claws back, the night proves it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import requests

from integration.flows.recompute import recompute
from integration.flows.reconcile.run import advance, begin
from integration.rules.findings import KINDS, Run
from tasks.cli.money_story import REFUND, MoneyStory

RULE = {"since": "2020-01-01", "tiers": [{"rate": "1"}]}


class BonusStory(MoneyStory):
    """Two managers, two deals; figures are read over HTTP and in Redis, notices in the CRM."""

    def play(self) -> None:
        """The one story."""
        story = self.story
        story.chapter("Глава 5. Бонусы", "Правило: 1 % с оплаченного. Рейтинг движется, возврат забирает своё.")
        self.begin_deal("Линия розлива", 1_000_000, client=1)
        mine, anna = self.deal_id, self.manager()
        before = self.bonus(anna)
        self.pay("Клиент Ивановой платит 600 000 ₽", 600_000, self.today)
        self.comes_to(anna, before + 6_000)
        self.told(mine, "Получен платёж 600 000 ₽", "Вам начислен бонус 6 000 ₽")

        refundable = (self.bill, self.head)
        self.begin_deal("Склад", 9_000_000, user="petrov")
        theirs, petr = self.deal_id, self.manager()
        self.pay("Клиент Петрова платит 9 000 000 ₽", 9_000_000, self.today)
        self.comes_to(petr, Decimal(90_000))
        self.told(theirs, "Получен платёж 9 000 000 ₽", "Вам начислен бонус 90 000 ₽")
        first = [(one["rank"], one["manager"]) for one in self.get("")["managers"]][:2]
        story.check("Петров теперь первый, Иванова вторая", first == [(1, petr), (2, anna)])
        redis: Any = story.world.redis
        rank = redis.zrevrange(f"kpi:{self.month}:rank", 0, -1)
        story.check("и так же – в Redis", rank[:2] == [petr, anna])

        self.deal_id, (self.bill, self.head) = mine, refundable
        story.begin("Клиенту Ивановой возвращают 200 000 ₽")
        self.bank(REFUND, "ВозвратПокупателю", 200_000, self.today)
        self.pull()
        self.comes_to(anna, before + 4_000)
        self.told(mine, "возвращён: 200 000 ₽", "Бонус уменьшен на 2 000 ₽")

        story.begin("Откуда взялся последний рубль Петрова (crm1c bonuses explain)")
        last = self.get(f"/{petr}")["accruals"][-1]
        story.check(str(last["explanation"]), last["bonus"] == "90000.00" and "→" in last["explanation"])
        story.begin("Ночь: всё пересчитывается с нуля (crm1c bonuses recompute)")
        proof = recompute(story.world.services)
        story.check(f"по учёту выходит то же, до копейки: {proof}", bool(proof.months) and not proof.differences)
        self.reconciled()

    def reconciled(self) -> None:
        """All sides are compared; what was found is repaired by itself, and a second look finds nothing."""
        story, services = self.story, self.story.world.services
        story.begin("Ночь: 1С, учёт и CRM сверяются целиком (crm1c reconcile)")

        def compared() -> Run:
            run = begin(services, "demo")
            while not run.verdict:
                run, _ = advance(services, run, lambda *_: None)
            return run

        run = compared()
        checked = sum(part.checked for part in run.parts)
        found = sum(run.counts.get(kind, 0) for kind in KINDS)
        every = all(part.state == "done" for part in run.parts)
        story.check(f"сверено {checked}, расхождений {found}, исправлено само {run.counts['repaired']}", every)
        story.check("повторная сверка: всё сходится", story.until(lambda: compared().verdict == "ok"))

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def month(self) -> str:
        return f"{self.today:%Y-%m}"

    def manager(self) -> str:
        """Whose the deal is, as the CRM has it."""
        return str(self.story.crm("GET", f"Opportunity/{self.deal_id}")["assignedUserId"])

    def get(self, path: str) -> dict[str, Any]:
        address = f"{self.story.url}/api/kpi/{self.month}{path}"
        answer = requests.get(address, headers={"Authorization": f"Bearer {self.story.place.token}"}, timeout=10)
        return dict(answer.json())

    def bonus(self, manager: str) -> Decimal:
        return Decimal(self.get(f"/{manager}")["bonus"])

    def comes_to(self, manager: str, expected: Decimal) -> None:
        """Wait for a manager's hash in Redis; the API says the same."""
        redis: Any = self.story.world.redis

        def there() -> bool:
            return bool(redis.hget(f"kpi:{self.month}:{manager}", "bonus") == f"{expected:.2f}")

        shown = self.story.until(there) and self.bonus(manager) == expected
        name = self.get(f"/{manager}")["name"]
        self.story.check(f"бонус месяца: {name} – {expected:,.0f} ₽".replace(",", " "), shown)

    def told(self, deal: str, *words: str) -> None:
        """Wait for the one notice in the deal's stream."""

        def notices() -> list[str]:
            stream = self.story.crm("GET", f"Opportunity/{deal}/stream").get("list", [])
            return [note["post"] for note in stream if all(word in (note.get("post") or "") for word in words)]

        self.story.until(lambda: bool(notices()))
        found = notices()
        self.story.check("менеджеру сказано: " + (found[0] if found else "ничего"), len(found) == 1)
