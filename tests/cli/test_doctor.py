"""`crm1c doctor`: one line a finding, each trouble with its mend, and never stopped by the first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mappers.requisites.dadata import DaData
from sandbox.mail import Mail
from sandbox.onec.companies import ref
from sandbox.registry import TOKEN, Registry
from sandbox.serve import serving
from tests.cli.shell import Shell

MAIL_PASSWORD, NOBODY = "of-the-sandbox", "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def healthy(shell: Shell) -> Shell:
    """Everything as it should be."""
    shell.ready()
    assert shell.setup().code == 0
    return shell


def examined(shell: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shell.run("doctor", "--json").out)
    return found


def test_all_is_well(healthy: Shell) -> None:
    said = healthy.run("doctor")
    assert said.code == 0, said.out
    assert "FAIL" not in said.out
    for where in ("crm1c.toml", "база данных", "Redis", "RabbitMQ", "1С main", "CRM espo"):
        assert where in said.out
    assert all(line.split()[0] in ("ok", "warn") for line in said.out.splitlines())


def wrong_password(shell: Shell) -> None:
    shell.environ("ONEC_PASSWORD", "wrong")


def wrong_key(shell: Shell) -> None:
    shell.environ("ESPO_API_KEY", "0" * 32)


def onec_gone(shell: Shell) -> None:
    shell.configure(shell.systems.onec_url, "http://127.0.0.1:9")


def crm_gone(shell: Shell) -> None:
    shell.configure(shell.systems.crm_url, "http://127.0.0.1:9")


def no_odata_there(shell: Shell) -> None:
    shell.configure("/bp/odata/standard.odata", "/bp/hs/exchange")


def unpublished(shell: Shell) -> None:
    shell.systems.onec.switches({"without": ["Document_СчетНаОплатуПокупателю"]})


def field_missing(shell: Shell) -> None:
    shell.systems.onec.switches({"without": ["Document_СчетНаОплатуПокупателю.Комментарий"]})


def no_rights(shell: Shell) -> None:
    shell.systems.onec.switches({"forbidden": ["Catalog_Организации"]})


def other_organisation(shell: Shell) -> None:
    shell.configure("7707083893", "7800000027")


def no_stage(shell: Shell) -> None:
    shell.configure('crm_stage = "Proposal"', 'crm_stage = "Счёт"')


def no_webhooks(shell: Shell) -> None:
    for hook in shell.systems.crm.store.rows("Webhook"):
        hook["isActive"] = False


def explicit_field(shell: Shell) -> None:
    shell.configure("[invoicing]", '[crm.espo.fields]\ninvoice_number = "cNomer"\n[invoicing]')


def old_schema(shell: Shell) -> None:
    (shell.folder / "crm1c.db").unlink()


def no_redis(shell: Shell) -> None:
    shell.configure('url = "embedded://"', 'url = "redis://127.0.0.1:9/0"')


def no_broker(shell: Shell) -> None:
    shell.configure('url = "memory://"', 'url = "amqp://guest:guest@127.0.0.1:9/none"')


@pytest.mark.parametrize(
    ("ill", "where", "words"),
    [
        (wrong_password, "1С main", ("не принимает ни логина, ни пароля", "username и password")),
        (wrong_key, "CRM espo", ("ключ API не принят", "api_key")),
        (onec_gone, "1С main", ("нет соединения",)),
        (crm_gone, "CRM espo", ("нет соединения",)),
        (no_odata_there, "1С main", ("нет OData", "base_url")),
        (unpublished, "1С main", ("Document_СчетНаОплатуПокупателю", "в состав OData")),
        (field_missing, "1С main", ("Document_СчетНаОплатуПокупателю.Комментарий",)),
        (no_rights, "1С main", ("нет прав на Catalog_Организации",)),
        (other_organisation, "1С main", ("организации с ИНН 7800000027 нет", "organisation")),
        (no_stage, "CRM espo", ("нет стадии «Счёт»", "Proposal")),
        (no_webhooks, "CRM espo", ("нет включённых вебхуков", "crm1c setup")),
        (explicit_field, "CRM espo", ("cNomer", "crm1c setup")),
        (old_schema, "база данных", ("пуста", "crm1c db upgrade")),
        (no_redis, "Redis", ("недоступен", "[redis] url")),
        (no_broker, "RabbitMQ", ("недоступен", "[broker] url")),
    ],
)
def test_a_trouble_is_a_line_with_its_mend(
    healthy: Shell, ill: Callable[[Shell], None], where: str, words: tuple[str, ...]
) -> None:
    """The trouble is told where it is; exit 1; the other parts are examined all the same."""
    ill(healthy)
    found = examined(healthy)
    failed = [one for one in found if one["level"] == "FAIL"]
    assert any(one["where"] == where and all(w in f"{one['what']} {one['mend']}" for w in words) for one in failed)
    assert healthy.run("doctor").code == 1
    asked = {one["where"] for one in found}
    assert asked >= {"база данных", "Redis", "RabbitMQ", "1С main", "CRM espo"}
    if ill is not old_schema:
        assert {one["where"] for one in failed} == {where}
    else:  # what can't be asked without the tables is no trouble of the other system
        told = {one["what"] for one in failed if one["where"] != where}
        assert told == {"не проверено: сначала база данных crm1c"}


# Papers, letters, notices


@pytest.fixture
def mailing(healthy: Shell) -> Iterator[Shell]:
    """Letters over a mail server that wants a password, and papers."""
    with Mail(password=MAIL_PASSWORD) as post:
        healthy.environ("SMTP_PASSWORD", MAIL_PASSWORD)
        mail = (
            f'host = "127.0.0.1"\nport = {post.port}\ntls = "none"\nusername = "crm1c"\npassword = "env:SMTP_PASSWORD"'
        )
        healthy.configure("[invoicing]", f'[mail]\n{mail}\nsender = "buh@rassvet.example"\n[paper]\n[invoicing]')
        yield healthy
        assert post.letters() == []


def test_mail_and_papers_are_tried_without_a_letter(mailing: Shell) -> None:
    """Templates drawn, our bank details read from 1C, the mail server greeted and signed in to."""
    said = mailing.run("doctor")
    assert said.code == 0, said.out
    for line in (
        "ok   печать: шаблоны счёта и акта собираются",
        "ok   печать main: счёт для оплаты: 40702810500000000017, АО «БАНК ПЕСОЧНИЦА», БИК 044525999",
        "ok   почта: шаблоны писем собираются",
        "отвечает (none), вход выполнен",
        "ok   уведомления: каналы: crm",
    ):
        assert line in said.out


def mail_gone(shell: Shell) -> None:
    text = (shell.folder / "crm1c.toml").read_text("utf-8")
    (shell.folder / "crm1c.toml").write_text(re.sub(r"port = \d+\ntls", "port = 9\ntls", text), "utf-8")


def mail_password(shell: Shell) -> None:
    shell.environ("SMTP_PASSWORD", "wrong-password")


def no_starttls(shell: Shell) -> None:
    shell.configure('tls = "none"', 'tls = "starttls"')


def broken_letter(shell: Shell) -> None:
    (shell.folder / "act_body.txt").write_text("{{ nothing }}", "utf-8")
    shell.configure("[paper]", 'templates = "."\n[paper]')


def broken_paper(shell: Shell) -> None:
    (shell.folder / "mine.typ").write_text("#nothing", "utf-8")
    shell.configure("[paper]", '[paper]\nact_template = "mine.typ"')


def no_account(shell: Shell) -> None:
    shell.systems.onec.seed(
        {"Catalog_Организации": [{"Ref_Key": ref("organisation"), "ОсновнойБанковскийСчет_Key": NOBODY}]}
    )


@pytest.mark.parametrize(
    ("ill", "where", "words"),
    [
        (mail_gone, "почта", "не отвечает"),
        (mail_password, "почта", "отказал на шаге «вход»"),
        (no_starttls, "почта", "не умеет"),
        (broken_letter, "почта", "Шаблон письма не годится"),
        (broken_paper, "печать", "mine.typ не собирается"),
        (no_account, "печать main", "не указан банковский счёт"),
    ],
)
def test_a_trouble_of_letters_is_a_line_too(
    mailing: Shell, ill: Callable[[Shell], None], where: str, words: str
) -> None:
    """Before the first client waits for his invoice."""
    ill(mailing)
    failed = [one for one in examined(mailing) if one["level"] == "FAIL"]
    assert [one["where"] for one in failed] == [where]
    assert words in f"{failed[0]['what']} {failed[0]['mend']}"


def test_a_role_that_may_not_send_the_crms_letters_is_told(mailing: Shell) -> None:
    """via = "crm": the group account is the role's to use."""
    text = (mailing.folder / "crm1c.toml").read_text("utf-8")
    text = re.sub(r"(?s)\[mail\].*?sender", '[mail]\nvia = "crm"\nsender', text)
    (mailing.folder / "crm1c.toml").write_text(text, "utf-8")
    assert mailing.run("doctor").code == 0
    for role in mailing.systems.crm.store.rows("Role"):
        role["groupEmailAccountPermission"] = "not-set"
    [failed] = [one for one in examined(mailing) if one["level"] == "FAIL"]
    assert (failed["where"], failed["what"]) == ("CRM espo", "роль не отправляет с групповой учётной записи")


def test_a_wrong_digit_in_our_account_is_told(mailing: Shell) -> None:
    """No client could pay by the code."""
    [organisation] = [
        one for one in mailing.systems.onec.state({"set": "Catalog_Организации"}) if one["ИНН"] == "7707083893"
    ]
    wrong = {"Ref_Key": organisation["ОсновнойБанковскийСчет_Key"], "НомерСчета": "40702810500000000071"}
    mailing.systems.onec.seed({"Catalog_БанковскиеСчета": [wrong]})
    said = mailing.run("doctor")
    assert "warn печать main: контрольный ключ счёта 40702810500000000071 не сходится с БИК 044525999" in said.out


def test_no_system_at_all(shell: Shell) -> None:
    """A file without 1C and CRM is told as such."""
    (shell.folder / "crm1c.toml").write_text(
        '[database]\nurl = "sqlite:///crm1c.db"\n[broker]\nurl = "memory://"\n[redis]\nurl = "embedded://"\n', "utf-8"
    )
    shell.run("db", "upgrade")
    said = shell.run("doctor")
    assert said.code == 1
    assert "нет ни одной базы 1С или CRM → добавьте [onec.ИМЯ] и [crm.ИМЯ]" in said.out


def test_the_address_for_webhooks_is_missing(healthy: Shell) -> None:
    healthy.configure('public_url = "http', '# public_url = "http')
    said = healthy.run("doctor")
    assert said.code == 0
    assert "warn crm1c.toml: внешний адрес crm1c не задан → укажите [web] public_url" in said.out


@pytest.mark.parametrize(("left", "level"), [(2000, "ok"), (500, "warn")])
def test_a_paid_source_says_how_much_of_the_day_is_left(
    healthy: Shell, monkeypatch: pytest.MonkeyPatch, left: int, level: str
) -> None:
    """With its secret key; it is asked at the address where the service counts, and never with the other key alone."""
    heard: list[str] = []

    def counter(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        heard.append(environ.get("HTTP_X_SECRET", ""))
        start_response("200 OK", [("Content-Type", "application/json")])
        told = {"date": "2026-11-24", "services": {"suggestions": 8000}, "remaining": {"suggestions": left}}
        return [json.dumps(told).encode()]

    with serving(counter) as url, serving(Registry().wsgi()) as registry:  # type: ignore[arg-type]
        monkeypatch.setattr(DaData, "quota_home", url)
        table = f'base_url = "{registry}/suggestions/api/4_1/rs"\ntoken = "env:DADATA_TOKEN"'
        file = healthy.folder / "crm1c.toml"
        text = re.sub(r"(?ms)^#?\s*\[requisites.*?(?=^\[(?!requisites)|\Z)", "", file.read_text("utf-8"))
        file.write_text(f'{text}\n[requisites]\norder = ["onec", "dadata"]\n[requisites.dadata]\n{table}\n', "utf-8")
        healthy.environ("DADATA_TOKEN", TOKEN)
        assert not [one for one in examined(healthy) if "счётчик" in one["where"]]
        healthy.configure(table, f'{table}\npassword = "env:DADATA_SECRET"')
        healthy.environ("DADATA_SECRET", "secret-key")
        [finding] = [one for one in examined(healthy) if one["where"] == "счётчик dadata"]
    assert (finding["level"], f"осталось {left}" in finding["what"]) == (level, True)
    assert heard == ["secret-key"]
