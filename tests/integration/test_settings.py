"""What crm1c.toml may say, and what is said when it says something else."""

from __future__ import annotations

import contextlib
import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.settings import Cron, Every, Secret, Settings, SettingsError, duration, load, read, schedule
from integration.settings.shape import declared

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLE = DOCS / "example" / "crm1c.toml"
ENV = {
    name: f"value of {name}"
    for name in (
        "ONEC_PASSWORD",
        "ESPO_API_KEY",
        "ESPO_WEBHOOK_SECRET",
        "DADATA_TOKEN",
        "API_TOKEN",
        "SMTP_PASSWORD",
        "FLOWER_PASSWORD",
    )
}
SMALL = """
[database]
url = "sqlite:///crm1c.db"
[broker]
url = "memory://"
[redis]
url = "embedded://"
"""
ONEC = """
[onec.main]
base_url = "http://1c/bp/odata/standard.odata"
username = "Обмен"
password = "env:ONEC_PASSWORD"
organisation = "7707083893"
"""
CRM = """
[crm.espo]
kind = "espocrm"
base_url = "https://crm.company.example/"
api_key = "env:ESPO_API_KEY"
"""
RULE = '[[bonus.rule]]\nsince = "2026-01-01"\n'
SPLIT = '[[bonus.split]]\nsince = 2026-01-01\nmanager = "a"\n'


def parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Decimal)


def settings(text: str = "", **environ: str) -> Settings:
    return read(parsed(SMALL + text), ENV | environ)


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings(text, **environ)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


# -- what is taken ----------------------------------------------------------------------------------------------------


def test_the_example_loads_whole() -> None:
    """Every key of the example is taken as it stands."""
    s = load(EXAMPLE, ENV)
    assert s.origin == EXAMPLE
    assert not s.embedded
    assert s.onec["main"].password == (Secret("value of ONEC_PASSWORD"),)
    assert s.onec["main"].timezone == ZoneInfo("Europe/Moscow")
    assert s.onec["main"].since == date(2026, 1, 1)
    assert s.crm["espo"].fields.ref_key == "c1cRefKey"
    assert s.requisites.sources["dadata"].token[0].reveal() == "value of DADATA_TOKEN"
    assert s.bonus.rule[0].tiers[0].up_to == Decimal(1_000_000)
    assert s.bonus.rule[0].tiers[1].up_to is None
    assert s.plan[0].amount == Decimal(3_000_000)
    assert s.schedule.jobs["payments"] == Every(1800.0)
    assert s.schedule.jobs["reconcile"] == Cron("0", "2", "*", "*", "*")
    assert s.retry["onec"].cap == 1800.0
    assert s.retry["onec"].attempts is None
    assert s.mail is not None
    assert s.mail.sender.startswith("Бухгалтерия")
    assert set(s.known_secrets) == set(ENV.values())


def test_three_tables_are_enough() -> None:
    s = settings()
    assert s.embedded
    assert (s.onec, s.crm, s.mail, s.web.port, s.delivery.lease) == ({}, {}, None, 8080, 15.0)


def test_an_embedded_broker_is_what_makes_it_one_process() -> None:
    assert not settings(CRM1C_BROKER_URL="amqp://crm1c@127.0.0.1/crm1c").embedded


def test_the_fields_that_the_administrator_wrote_are_told_apart_from_the_defaults() -> None:
    text = CRM + '[crm.espo.fields]\ninn = "cTaxId"\n'
    crm = settings(text, CRM1C_CRM_ESPO_FIELDS_KPP="cBranch").crm["espo"]
    assert crm.explicit_fields == {"inn", "kpp"}
    assert (crm.fields.inn, crm.fields.kpp, crm.fields.invoice_url) == ("cTaxId", "cBranch", "cInvoiceUrl")
    assert crm.base_url == "https://crm.company.example"


def test_an_empty_field_name_switches_the_field_off() -> None:
    assert settings(CRM + '[crm.espo.fields]\ninvoice_url = ""\n').crm["espo"].fields.invoice_url == ""


@pytest.mark.parametrize(
    ("given_url", "taken"),
    [
        ("postgres://crm1c@db/crm1c", "postgresql+psycopg://crm1c@db/crm1c"),
        ("postgresql://crm1c@db/crm1c", "postgresql+psycopg://crm1c@db/crm1c"),
        ("postgresql+psycopg://crm1c@db/crm1c?sslmode=require", "postgresql+psycopg://crm1c@db/crm1c?sslmode=require"),
        ("sqlite:////var/lib/crm1c.db", "sqlite:////var/lib/crm1c.db"),
        ("postgres://crm1c:p%40ss@db/crm1c", "postgresql+psycopg://crm1c:p%40ss@db/crm1c"),
    ],
)
def test_database_addresses_are_brought_to_one_form(given_url: str, taken: str) -> None:
    assert settings(CRM1C_DATABASE_URL=given_url).database.url == taken


def test_a_password_of_its_own_goes_into_the_address_of_every_node() -> None:
    text = SMALL.replace('"memory://"', '"amqp://crm1c@a:5672/v;amqp://crm1c@b:5672/v"\npassword = "env:RABBIT"')
    s = read(parsed(text), {"RABBIT": "p@ss/word"})
    assert s.broker.url == "amqp://crm1c:p%40ss%2Fword@a:5672/v;amqp://crm1c:p%40ss%2Fword@b:5672/v"
    assert set(s.known_secrets) == {"p@ss/word", "p%40ss%2Fword"}
    assert "p@ss" not in repr(s)


def test_a_password_in_an_address_is_taken_from_the_environment_and_for_loopback_only_elsewhere_refused() -> None:
    local = SMALL.replace("memory://", "amqp://guest:guest@127.0.0.1/")
    assert read(parsed(local), {}).broker.url == "amqp://guest:guest@127.0.0.1/"
    remote = SMALL.replace("memory://", "amqp://crm1c:hunter22@rabbit/")
    with pytest.raises(SettingsError) as caught:
        read(parsed(remote), {})
    assert "hunter22" not in str(caught.value)
    assert str(caught.value).startswith('broker.url = "amqp://crm1c:***@rabbit/": паролю в файле не место')
    by_reference = read(parsed(SMALL.replace("memory://", "env:BROKER")), {"BROKER": "amqp://crm1c:hunter22@rabbit/"})
    assert by_reference.broker.url == "amqp://crm1c:hunter22@rabbit/"
    assert "hunter22" in by_reference.known_secrets


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_shows_itself_to_nobody_but_reveal() -> None:
    secret = Secret("hunter2")
    assert f"{secret} {secret!r}" == "*** ***"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("hunter3")
    assert len({secret, Secret("hunter2")}) == 1
    assert secret != "hunter2"


def test_two_secrets_stand_in_a_list_while_one_is_being_rotated(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new one\n")
    file = tmp_path / "crm1c.toml"
    file.write_text(SMALL + CRM + 'webhook_secret = ["file:new", "env:ESPO_WEBHOOK_SECRET"]\n', "utf-8")
    secrets = load(file, ENV).crm["espo"].webhook_secret
    assert [secret.reveal() for secret in secrets] == ["new one", "value of ESPO_WEBHOOK_SECRET"]


def test_a_variable_may_hold_the_secret_itself_or_say_where_it_is() -> None:
    literal = settings(ONEC, CRM1C_ONEC_MAIN_PASSWORD="hun,ter2")
    assert literal.onec["main"].password == (Secret("hun,ter2"),)
    assert literal.known_secrets == ("hun,ter2",)
    referring = settings(ONEC, CRM1C_ONEC_MAIN_PASSWORD="env:OTHER, env:ONEC_PASSWORD", OTHER="other")
    assert [one.reveal() for one in referring.onec["main"].password] == ["other", "value of ONEC_PASSWORD"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"hunter22"', 'onec.main.password = ***: секрету в файле не место; нужно "env:ИМЯ" или "file:ПУТЬ"'),
        ('["env:ONEC_PASSWORD", "hunter22"]', "onec.main.password = ***: секрету в файле не место"),
        ('"env:NO_SUCH"', "onec.main.password = ***: переменной окружения NO_SUCH нет или она пуста"),
        ('"file:/no/such"', "onec.main.password = ***: файл /no/such не читается: No such file or directory"),
        ("22", 'onec.main.password = ***: нужно "env:ИМЯ"'),
        ("[]", 'onec.main.password = ***: нужно "env:ИМЯ"'),
    ],
)
def test_a_secret_that_is_none_is_refused_unseen(written: str, said: str) -> None:
    (told,) = problems(ONEC.replace('"env:ONEC_PASSWORD"', written))
    assert told.startswith(said)
    assert "hunter22" not in told


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (told,) = problems(ONEC.replace("env:ONEC_PASSWORD", f"file:{tmp_path}/empty"))
    assert told == f"onec.main.password = ***: файл {tmp_path}/empty пуст"


# -- the environment --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "seen"),
    [
        ("CRM1C_DATABASE_URL", "sqlite:///other.db", lambda s: s.database.url == "sqlite:///other.db"),
        ("CRM1C_REDIS_URL", "redis://r/0", lambda s: s.redis.url == "redis://r/0"),
        ("CRM1C_WEB_PORT", "9000", lambda s: s.web.port == 9000),
        ("CRM1C_WEB_PUBLIC_URL", "", lambda s: s.web.public_url is None),
        ("CRM1C_BUS_ENABLED", "no", lambda s: s.bus.enabled is False),
        ("CRM1C_LOG_LEVEL", "debug", lambda s: s.log.level == "DEBUG"),
        ("CRM1C_DELIVERY_LEASE", "20s", lambda s: s.delivery.lease == 20.0),
        ("CRM1C_SECURITY_EGRESS", "a.example, b.example", lambda s: s.security.egress == ("a.example", "b.example")),
        ("CRM1C_ONEC_MAIN_MAX_SESSIONS", "1", lambda s: s.onec["main"].max_sessions == 1),
        ("CRM1C_ONEC_MAIN_2_MAX_SESSIONS", "5", lambda s: s.onec["main-2"].max_sessions == 5),
        ("CRM1C_CRM_ESPO_MANAGER_FIELD", "owner", lambda s: s.crm["espo"].manager.field == "owner"),
        ("CRM1C_REQUISITES_KEEP_FOUND", "2h", lambda s: s.requisites.keep_found == 7200.0),
        ("CRM1C_REQUISITES_SPARK_USERNAME", "me", lambda s: s.requisites.sources["spark"].username == "me"),
        ("CRM1C_RETRY_ONEC_ATTEMPTS", "9", lambda s: s.retry["onec"].attempts == 9),
        ("CRM1C_SCHEDULE_POLL", "*/5 * * * *", lambda s: s.schedule.poll.minute.startswith("0,5,10")),
        ("CRM1C_ALLOCATION_CLOSED_UNTIL", "2026-03-31", lambda s: s.allocation.closed_until == date(2026, 3, 31)),
        ("CRM1C_IMAGE", "crm1c:1.0", lambda s: s.embedded),
        ("CRM1C_ADMIN_PASSWORD", "secret", lambda s: s.embedded),
        ("CRM1C_CONFIG", "elsewhere", lambda s: s.embedded),
    ],
)
def test_a_variable_wins_over_the_file(variable: str, value: str, seen: Any) -> None:
    second = ONEC.replace("[onec.main]", "[onec.main-2]").replace("1c/bp", "1c/second")
    assert seen(settings(ONEC + second + CRM, **{variable: value}))


def test_a_whole_table_may_come_from_the_environment() -> None:
    base = {"BASE_URL": "http://1c/x", "USERNAME": "u", "PASSWORD": "hunter22", "ORGANISATION": "7707083893"}
    s = settings(**{f"CRM1C_ONEC_SECOND_BASE_{name}": value for name, value in base.items()})
    assert s.onec["second_base"].username == "u"


def test_a_variable_that_fits_no_key_is_told_with_the_nearest_one() -> None:
    assert problems("", CRM1C_WEB_PROT="1") == ["CRM1C_WEB_PROT: такого ключа нет; возможно, имелось в виду web_port?"]
    assert problems("", CRM1C_DATABSE_URL="x")[0].endswith("возможно, имелось в виду database_url?")


def test_a_wrong_value_names_the_variable_that_gave_it() -> None:
    (told,) = problems("", CRM1C_WEB_PORT="tcp://10.0.0.1:80")
    assert told == ('web.port (из CRM1C_WEB_PORT) = "tcp://10.0.0.1:80", а допустимо: целое число от 1 до 65535')


# -- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_named_by_argument_then_variable_then_custom(tmp_path: Path, monkeypatch: Any) -> None:
    for name, port in (("a.toml", 1001), ("b.toml", 1002), ("crm1c.toml", 1003)):
        (tmp_path / name).write_text(f"{SMALL}[web]\nport = {port}\n", "utf-8-sig")
    monkeypatch.chdir(tmp_path)
    assert load("a.toml", {"CRM1C_CONFIG": "b.toml"}).web.port == 1001
    assert load(None, {"CRM1C_CONFIG": "b.toml"}).web.port == 1002
    assert load(environ={}).web.port == 1003
    assert load(environ={}).origin == tmp_path / "crm1c.toml"


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"нет файла настроек .*none\.toml: создайте его командой crm1c init"):
        load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("raw", "said"), [(b"[web\n", "не TOML"), (b"a = '\xff'", "не TOML"), (b"a = 1\na = 2", "не TOML")]
)
def test_a_damaged_file_is_told_as_such(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "crm1c.toml").write_bytes(raw)
    with pytest.raises(SettingsError, match=said):
        load(tmp_path / "crm1c.toml", {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="не читается"):
        load(tmp_path, {})


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONEC + "max_sessions = 0\n", "onec.main.max_sessions = 0, а допустимо: целое число от 1 до 100"),
        (ONEC + "max_sessions = true\n", "onec.main.max_sessions = true, а допустимо: целое число от 1 до 100"),
        (ONEC + "max_sessions = 1.5\n", "onec.main.max_sessions = 1.5, а допустимо"),
        (ONEC + "max_sesions = 1\n", "onec.main.max_sesions: такого ключа нет; возможно, имелось в виду max_sessions?"),
        (ONEC + 'zzz = "value"\n', "onec.main.zzz: такого ключа нет"),
        (ONEC.replace("7707083893", "7707083890"), 'onec.main.organisation = "7707083890": контрольная цифра не сход'),
        (ONEC.replace("7707083893", "770708389"), 'onec.main.organisation = "770708389", а допустимо: ИНН: 10 или 12'),
        (ONEC.replace('"7707083893"', "7707083893"), "onec.main.organisation = 7707083893, а допустимо: ИНН"),
        (ONEC.replace("username", "#"), "onec.main.username: обязателен: непустая строка"),
        (ONEC.replace("Обмен", "  "), 'onec.main.username = "  ", а допустимо: непустая строка'),
        (ONEC.replace("http://", "ftp://"), 'onec.main.base_url = "ftp://1c/bp/odata/standard.odata", а допустимо: ад'),
        (ONEC.replace("http://1c", "http://me:hunter22@1c"), 'onec.main.base_url = "http://me:***@1c/bp/odata/standar'),
        (ONEC.replace("http://1c", "http://1c:port"), 'onec.main.base_url = "http://1c:port/bp/odata/standard.odata":'),
        (ONEC + 'profile = "erp"\n', 'onec.main.profile = "erp": установлены: accounting30'),
        (ONEC + 'timezone = "Moscow"\n', 'onec.main.timezone = "Moscow", а допустимо: часовой пояс'),
        (ONEC + 'timezone = "../x"\n', 'onec.main.timezone = "../x", а допустимо: часовой пояс'),
        (ONEC + 'signed = "field:"\n', 'onec.main.signed = "field:", а допустимо: "posted", "field:ИМЯ"'),
        (ONEC + 'since = "2026-13-01"\n', 'onec.main.since = "2026-13-01": такого дня нет; допустимо: дата'),
        (ONEC + "since = 2026-01-01T00:00:00\n", "onec.main.since = 2026-01-01 00:00:00, а допустимо: дата"),
        (ONEC + 'defaults = "x"\n', 'onec.main.defaults = "x", а допустимо: таблица таблиц'),
        (ONEC + 'reuse_sessions = "true"\n', 'onec.main.reuse_sessions = "true", а допустимо: true или false'),
        (ONEC + 'read_timeout = "2 hours"\n', 'onec.main.read_timeout = "2 hours", а допустимо: секунды числом'),
        (ONEC + "read_timeout = 0\n", "onec.main.read_timeout = 0: больше нуля и не больше года"),
        ("[retry]\nonec = 5\n", "retry.onec = 5: здесь нужна таблица [retry.onec]"),
        (CRM.replace('"espocrm"', '"bitrix"'), 'crm.espo.kind = "bitrix": установлены: espocrm'),
        (CRM + 'fields = "x"\n', 'crm.espo.fields = "x": здесь нужна таблица [fields]'),
        (CRM + '[crm.espo.fields]\ninn = "c Inn"\n', 'crm.espo.fields.inn = "c Inn", а допустимо: имя поля'),
        (CRM + "[crm.espo.lines]\n", "crm.espo.lines.entity: нужно одно из двух"),
        (CRM.replace("crm.espo", 'crm."Ваша CRM"'), "crm.Ваша CRM: такого имени быть не может"),
        (CRM.replace("crm.espo", "crm.onec"), "crm: имена таблиц crm и shop различаются, и ни одно не onec"),
        ('[shop.main]\nkind = "ozon"\nbase_url = "https://x"\n', 'shop.main.kind = "ozon": установлены: '),
        (
            '[requisites]\norder = ["egrul", "egrul"]\n',
            "requisites.order = ['egrul', 'egrul']: одно и то же указано дваж",
        ),
        ('[requisites]\norder = ["fns"]\n', "requisites.order = ['fns']: установлены: dadata, egrul, onec, spark"),
        ("[requisites]\nordr = []\n", "requisites.ordr: такого ключа нет; возможно, имелось в виду order?"),
        ("[requisites.dadta]\n", "requisites.dadta: такого имени быть не может: установлены: dadata, egrul, spark"),
        ('[invoicing]\nvat = "21"\n', 'invoicing.vat = "21", а допустимо: одно из: auto, 22, 20'),
        ('[invoicing]\nline = "{deal}"\n', 'invoicing.line = "{deal}", а допустимо: строка, в скобках только {name}'),
        ('[invoicing]\nline = "{name"\n', 'invoicing.line = "{name", а допустимо'),
        ('[mail]\nhost = "m"\nsender = "бухгалтерия"\n', 'mail.sender = "бухгалтерия", а допустимо: адрес отправителя'),
        ('[ownership]\nphone = "client"\n', 'ownership.phone = "client", а допустимо: одно из: crm, onec, registry'),
        (
            RULE + 'tiers = [{ rate = "101" }]\n',
            'bonus.rule[1].tiers[1].rate = "101", а допустимо: процент от 0 до 100',
        ),
        (RULE + "tiers = []\n", "bonus.rule[1].tiers: ступени идут по возрастанию"),
        (RULE + 'tiers = [{ rate = "1", up_to = "5" }]\n', "bonus.rule[1].tiers: ступени идут по возрастанию"),
        (RULE + 'tiers = [{ rate = "1" }, { rate = "2" }]\n', "bonus.rule[1].tiers: ступени идут по возрастанию"),
        ((RULE + 'tiers = [{ rate = "1" }]\n') * 2, "bonus.rule: у двух правил один manager"),
        (RULE + 'tiers = [{ rate = "1" }]\ngroups = { "ПО" = "x" }\n', "bonus.rule[1].groups = "),
        ('[bonus]\nrule = "x"\n', "bonus.rule: здесь нужен список таблиц: [[rule]]"),
        (SPLIT + 'shares = { a = "60", b = "30" }\n', "bonus.split[1].shares: доли больше нуля и в сумме дают 100"),
        (SPLIT + 'shares = { a = "100", b = "0" }\n', "bonus.split[1].shares: доли больше нуля и в сумме дают 100"),
        ((SPLIT + 'shares = { a = "100" }\n') * 2, "bonus.split: у двух делений один manager"),
        ('[calendar]\nholidays = ["2026-02-30"]\n', "calendar.holidays"),
        ('[calendar]\nevery_year = ["13-01"]\n', "calendar.every_year"),
        ('[[plan]]\nmanager = "i"\nmonth = "2026-13"\namount = "1"\n', 'plan[1].month = "2026-13", а допустимо: месяц'),
        ('[[plan]]\nmanager = "i"\nmonth = "2026-12"\namount = "много"\n', "plan[1].amount"),
        ('[[plan]]\nmanager = "i"\nmonth = "2026-12"\namount = "1"\n' * 2, "plan: два плана одного менеджера"),
        ('[schedule]\npoll = "every"\n', 'schedule.poll = "every": после every нужен промежуток'),
        ('[schedule]\npoll = "61 * * * *"\n', 'schedule.poll = "61 * * * *": минуты: «61», а нужно 0–59'),
        ("[schedule]\npoll = 5\n", "schedule.poll = 5, а допустимо:"),
        ('[security]\negress = ["https://x"]\n', "security.egress = ['https://x'], а допустимо: список"),
        ('[security]\negress = "x"\n', 'security.egress = "x", а допустимо: список'),
        ('[security]\ntokens = ["t0ken-literal"]\n', "security.tokens = ***: секрету в файле не место"),
        ("[delivery]\nheartbeat = 10\n", "delivery.heartbeat: не больше половины lease (7.5 с)"),
        ('[delivery]\nprobe_cap = "1s"\n', "delivery.probe_cap: не меньше probe_first (5 с)"),
        ('[delivery]\ncountdown_max = "1h"\n', "delivery.countdown_max: не больше 900 с"),
        ('[delivery]\nhold_cap = "1s"\n', "delivery.hold_cap: не меньше hold_first (60 с)"),
        ("[retry.bank]\n", "retry.bank: такого имени быть не может: одно из: onec, crm, registry, mail, bus"),
        ("[retry.onec]\nfirst = 60\ncap = 5\n", "retry.onec.cap: не меньше first"),
        ("[bsu]\n", "bsu: такого ключа нет; возможно, имелось в виду bus?"),
        ("[web]\nrate_limit = 0\n", "web.rate_limit = 0, а допустимо: целое число от 1"),
        ('[log]\nformat = "xml"\n', 'log.format = "xml", а допустимо: одно из: json, text'),
    ],
)
def test_what_is_wrong_is_told_by_key_value_and_what_is_allowed(text: str, said: str) -> None:
    (told,) = problems(text)
    assert told.startswith(said)
    assert "hunter22" not in told


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SMALL.replace("sqlite:///crm1c.db", "mysql://h/d"), "database.url"),
        (SMALL.replace("sqlite:///crm1c.db", "sqlite://"), "database.url"),
        (SMALL.replace("sqlite:///crm1c.db", "sqlite:///"), "database.url"),
        (SMALL.replace("sqlite:///crm1c.db", "postgresql:///crm1c"), "database.url"),
        (SMALL.replace("memory://", "redis://h/0"), "broker.url"),
        (SMALL.replace("embedded://", "redis://h:x/0"), "redis.url"),
        (SMALL.replace('"embedded://"', '"embedded://"\npassword = "env:ONEC_PASSWORD"'), "redis.password"),
        (SMALL.replace('"memory://"', "5"), "broker.url"),
    ],
)
def test_addresses_of_another_kind_are_refused(text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(parsed(text), ENV)
    (told,) = caught.value.problems
    assert told.startswith(key)


def test_an_empty_file_tells_each_address_that_it_lacks() -> None:
    with pytest.raises(SettingsError) as caught:
        read({}, {})
    assert [told.partition(":")[0] for told in caught.value.problems] == ["database.url", "broker.url", "redis.url"]


def test_everything_wrong_is_told_at_once() -> None:
    told = problems(
        ONEC.replace("env:ONEC_PASSWORD", "hunter22") + "max_sessions = 0\n[web]\nport = 0\n", CRM1C_WEB_THREADS="x"
    )
    assert [one.split(" ")[0] for one in told] == [
        "web.port",
        "web.threads",
        "onec.main.password",
        "onec.main.max_sessions",
    ]


def test_a_shop_takes_orders_to_a_base_that_is_there(monkeypatch: Any) -> None:
    monkeypatch.setattr("integration.settings.checks.plugins", lambda *_: ["commerceml", "accounting30"])
    shop = '[shop.site]\nkind = "commerceml"\nbase_url = "https://shop.example"\n'
    assert settings(ONEC + shop + 'onec = "main"\n').shop["site"].onec == "main"
    assert problems(ONEC + shop + 'onec = "other"\n')[0].startswith("shop: site: в onec названа база")


def test_one_base_twice_with_one_organisation_is_refused() -> None:
    assert problems(ONEC + ONEC.replace("onec.main", "onec.copy")) == [
        "onec: у двух таблиц одна база и одна организация"
    ]


# -- durations and schedules ------------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("", 1)]))
def test_a_duration_is_its_number_of_seconds(number: int, unit: tuple[str, int]) -> None:
    seconds = number * unit[1]
    if seconds > 366 * 86400:
        with pytest.raises(ValueError):
            duration(f"{number}{unit[0]}")
        return
    assert duration(f"{number}{unit[0]}") == duration(f" {number} {unit[0]} ") == duration(seconds) == seconds


@given(
    st.one_of(st.text(), st.booleans(), st.none(), st.floats(max_value=0), st.just(float("nan")), st.lists(st.text()))
)
def test_what_is_no_duration_is_a_value_error(value: object) -> None:
    with contextlib.suppress(ValueError):
        assert 0 < duration(value) <= 366 * 86400


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("every 30m", Every(1800.0)),
        ("every 5s", Every(5.0)),
        ("Every 2 h", Every(7200.0)),
        ("0 2 * * *", Cron("0", "2", "*", "*", "*")),
        ("*/20 9-11 * * mon-fri", Cron("0,20,40", "9,10,11", "*", "*", "1,2,3,4,5")),
        ("0 0 1 jan,jul *", Cron("0", "0", "1", "1,7", "*")),
        ("30 2 * * 5-7", Cron("30", "2", "*", "*", "0,5,6")),
        ("30 2 * * 0-7", Cron("30", "2", "*", "*", "*")),
        ("5/30 * * * *", Cron("5,35", "*", "*", "*", "*")),
        ("0-59 0-23 1-31 1-12 *", Cron("*", "*", "*", "*", "*")),
        ("0 0 29 2 *", Cron("0", "0", "29", "2", "*")),
    ],
)
def test_schedules(text: str, meant: Every | Cron) -> None:
    assert schedule(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every",
        "every day",
        "every 0s",
        "every 100ms",
        "every 500d",
        "@daily",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "* * * * mon-",
        "1,,2 * * * *",
        "0 0 31 2,4 *",
        "0 0 1 * mon",
        "-1 * * * *",
        "１ * * * *",
        None,
        30,
    ],
)
def test_what_is_no_schedule(text: object) -> None:
    with pytest.raises(ValueError):
        schedule(text)


@given(st.text(alphabet="0123456789*/,- everysmhd", max_size=24))
def test_a_schedule_is_read_or_refused_and_never_breaks(text: str) -> None:
    try:
        meant = schedule(text)
    except ValueError:
        return
    assert isinstance(meant, Every | Cron)


# -- the documentation ------------------------------------------------------------------------------------------------

_HEADING = re.compile(r"^### `\[+([^\]`]+)\]+`$", re.MULTILINE)
_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)
_LISTS = {"bonus.rule": "bonus.rule[]", "bonus.rule.tiers": "bonus.rule[].tiers[]", "plan": "plan[]"}
_LISTS["bonus.split"] = "bonus.split[]"


def documented() -> dict[str, str]:
    parts = _HEADING.split((DOCS / "configuration.md").read_text("utf-8"))
    found: dict[str, str] = {}
    for table, text in zip(parts[1::2], parts[2::2], strict=True):
        found |= {f"{_LISTS.get(table, table)}.{key}": default for key, default in _ROW.findall(text)}
    return found


def test_the_page_has_every_key_and_no_other() -> None:
    assert set(documented()) == {path for path, _ in declared(Settings)}


def test_the_page_tells_the_defaults_as_they_are() -> None:
    written = documented()
    for path, key in declared(Settings):
        said = written[path]
        if key.required:
            assert said == "**обязателен**", path
        elif key.default is None or key.default in ((), {}):
            assert said == "—", path
        else:
            assert key.check is not None
            value = tomllib.loads(f"x = {said.strip('`')}")["x"]
            assert key.check.parse(value) == key.default, path


def test_the_example_is_complete() -> None:
    """Every table but the shop's (no module for it is part of this release) stands in the example."""
    tables = {path.partition(".")[0].removesuffix("[]") for path, _ in declared(Settings)}
    assert tables - set(parsed(EXAMPLE.read_text("utf-8"))) == {"shop"}
