"""docker/: what would be started, with what, and what would be open to whom. No Docker is needed to know."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest

from tasks.app import QUEUES
from tasks.cli import crm1c
from tests.deploy.compose import FOLDER, TOP, Refused, filled, load, local, variables

OURS = {"migrate", "web", "worker-onec", "worker", "beat", "flower"}
ENV = {"CRM1C_CONFIG_FILE": "./crm1c.toml", "CRM1C_SECRETS": "./secrets", "CRM1C_FLOWER_USER": "admin"}
FILES = ["compose.yml", "compose.ha.yml"]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yml, with nothing but the required variables set."""
    return dict(filled(load("compose.yml"), ENV)["services"])


def test_the_services_are_the_known_ones(services: dict[str, Any]) -> None:
    """One of each role, two workers, and three servers."""
    assert set(services) == OURS | {"rabbitmq", "redis", "postgres"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_command_is_one_that_crm1c_has(services: dict[str, Any], name: str) -> None:
    """A service's command parses as a command line of crm1c."""
    program, *words = services[name]["command"]
    assert program == "crm1c"
    command: click.Command = crm1c
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words).close()


def test_every_queue_has_a_worker_and_only_one_kind(services: dict[str, Any]) -> None:
    """The workers' queues are the known ones, each served by one service, 1C's apart from the rest."""
    served = [services[name]["command"][-1].split(",") for name in ("worker-onec", "worker")]
    assert served[0] == ["onec"]
    assert sorted(served[0] + served[1]) == sorted(QUEUES)


@pytest.mark.parametrize("missing", sorted(ENV))
def test_it_does_not_start_without_a_required_variable(missing: str) -> None:
    """Each required variable is missed with a message that says what it is."""
    with pytest.raises(Refused, match=rf"{missing}: .+"):
        filled(load("compose.yml"), {key: value for key, value in ENV.items() if key != missing})


@pytest.mark.parametrize("file", FILES)
def test_variables_are_in_the_example(file: str) -> None:
    """Required ones stand in .env.example to be filled in; optional ones in a comment, with their default."""
    example = (FOLDER / ".env.example").read_text(encoding="utf-8")
    for name, kind, default in variables(file):
        assert kind in (":?", ":-"), f"{name} would be empty in silence"
        line = rf"^{name}=" if kind == ":?" else rf"^#{name}={re.escape(default)}$"
        assert re.search(line, example, re.MULTILINE), name


@pytest.mark.parametrize("file", FILES)
def test_no_password_stands_in_a_file(file: str) -> None:
    """Passwords come from secret files: no variable, no default and no URL carries one."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    assert not re.search(r"://[^/\s:@]*:[^/\s@]+@", text)
    for name, kind, _ in variables(file):
        assert "PASS" not in name or kind == ":?"
    for service in load(file)["services"].values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or key.endswith("_PASS"):
                assert re.fullmatch(r"(file:)?/run/secrets/\w+", str(value)), key


def test_each_secret_that_is_used_is_granted(services: dict[str, Any]) -> None:
    """A /run/secrets path in a service is one of its secrets, and each secret is a file in the one folder."""
    declared = filled(load("compose.yml"), ENV)["secrets"]
    for name, service in services.items():
        used = set(re.findall(r"/run/secrets/(\w+)", repr(service)))
        assert used == set(service.get("secrets", [])), name
        assert used <= set(declared)
    assert all(secret == {"file": f"./secrets/{name}"} for name, secret in declared.items())


def test_only_web_and_flower_are_published_on_loopback(services: dict[str, Any]) -> None:
    """Nothing is open to the network until someone says so."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8080:8080"], "flower": ["127.0.0.1:5555:5555"]}
    assert not any("network_mode" in service or service.get("privileged") for service in services.values())


def test_servers_have_no_way_out(services: dict[str, Any]) -> None:
    """Broker, Redis and database stand in a network without a gateway."""
    assert load("compose.yml")["networks"]["back"] == {"internal": True}
    assert all(services[name]["networks"] == ["back"] for name in ("rabbitmq", "redis", "postgres"))


def test_images_are_pinned_by_major_version(services: dict[str, Any]) -> None:
    """No image moves to another major version by itself."""
    images = [service["image"] for service in services.values()]
    images += [s["image"] for s in load("compose.ha.yml")["services"].values() if "image" in s]
    images += re.findall(r"^FROM (\S+)", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"rabbitmq:4-management", "redis:7", "postgres:16", "python:3.11-slim-bookworm"} <= set(images)
    assert all(re.fullmatch(r"[\w/]+:\d[\w.-]*", image) for image in images)


def test_services_restart_and_are_watched(services: dict[str, Any]) -> None:
    """Everything but the migrations comes back by itself, after them, and tells its health."""
    for name, service in services.items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        if name not in OURS:
            assert service["healthcheck"]["test"]
        elif name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert "HEALTHCHECK" in (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def test_crm1c_runs_without_rights(services: dict[str, Any]) -> None:
    """Not root, no capabilities, nothing of the image writable."""
    assert re.search(r"^USER crm1c$", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_everything_the_image_copies_is_let_through(services: dict[str, Any]) -> None:
    """The ignore file names each path that the Dockerfile copies, and none of the tests or the history."""
    let = set(re.findall(r"^!(\S+)", (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    dockerfile = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (?!--)(.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]}
    assert copied == let
    assert all((TOP / path).exists() for path in copied - {"README.md", "LICENSE"})


def test_files_that_are_mounted_exist(services: dict[str, Any]) -> None:
    """Each file of this folder that a service mounts is here."""
    for file in FILES:
        for service in filled(load(file), ENV)["services"].values():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.endswith(".conf"):
                    assert (FOLDER / source).is_file()


def test_three_brokers_know_each_other() -> None:
    """compose.ha.yml's hosts, the cluster's nodes and the broker URL of every service name the same three."""
    services = load("compose.ha.yml")["services"]
    hosts = [service["hostname"] for service in services.values() if "hostname" in service]
    cluster = (FOLDER / "cluster.conf").read_text(encoding="utf-8")
    assert hosts == re.findall(r"rabbit@(\S+)", cluster) == ["rabbitmq", "rabbitmq-2", "rabbitmq-3"]
    for name in OURS:
        urls = services[name]["environment"]["CRM1C_BROKER_URL"].split(";")
        assert [re.split("[@:]", url.partition("//")[2])[1] for url in urls] == hosts


def test_a_service_becomes_a_local_command(services: dict[str, Any]) -> None:
    """Host names of the compose network and folders of the container are replaced, other text is not."""
    there = {"rabbitmq:5672": "127.0.0.1:17001", "postgres:5432": "127.0.0.1:17002", "redis:6379": "127.0.0.1:17003"}
    made = local(services["web"], {**there, "0.0.0.0": "127.0.0.1", "/run/secrets": "/tmp/s", "8080": "17004"})
    assert made.argv == ["crm1c", "web"]
    assert made.env["CRM1C_BROKER_URL"] == "amqp://crm1c@127.0.0.1:17001/crm1c"
    assert made.env["CRM1C_DATABASE_URL"] == "postgresql+psycopg://crm1c@127.0.0.1:17002/crm1c"
    assert made.env["CRM1C_BROKER_PASSWORD"] == "file:/tmp/s/broker_password"
    assert (made.env["CRM1C_WEB_HOST"], made.env["CRM1C_WEB_PORT"]) == ("127.0.0.1", "17004")
