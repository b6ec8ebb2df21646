"""A configuration in a folder that names the private servers, and crm1c's own Celery application made of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.deploy.compose import TOP
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

APPLICATION = """
from integration.settings import load
from tasks.app import create
app = create(load())
app.conf.update(redbeat_redis_url=load().redis.url, redbeat_key_prefix="crm1c:beat:")
"""


@pytest.fixture
def configured(tmp_path: Path, rabbitmq: RabbitMQ, redis_server: Redis) -> dict[str, str]:
    """The environment of a process that runs `application:app` on a new vhost."""
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "crm1c.toml").write_text(f"""
[database]
url = "sqlite:///{tmp_path}/crm1c.db"
[broker]
url = "file:broker_url"
[redis]
url = "{redis_server.url}"
""")
    (tmp_path / "broker_url").write_text(rabbitmq.vhost())
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{TOP}:{tmp_path}",
        "CRM1C_CONFIG": str(tmp_path / "crm1c.toml"),
    }
