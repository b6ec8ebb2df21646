"""What every test may use: the private servers."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # `tests.servers` is imported by that name, from wherever pytest is started
    sys.path.insert(0, str(ROOT))

pytest_plugins = ["tests.servers.fixtures"] if (ROOT / "tests/servers/fixtures.py").exists() else []
