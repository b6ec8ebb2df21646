"""Finding the servers' programs, and installing the ones that are missing where that is allowed.

As root on Debian a missing server is installed with apt, without letting Debian start its own service: the tests run
private instances only. Anywhere else a missing server is `Missing`, with the reason. By itself:
`python -m tests.servers.install [postgresql rabbitmq redis]`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: server -> (Debian package, program that proves it, folders beside PATH where distributions put it)
SERVERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "postgresql": ("postgresql", "initdb", ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")),
    "rabbitmq": ("rabbitmq-server", "rabbitmq-server", ("/usr/lib/rabbitmq/bin", "/usr/local/sbin")),
    "redis": ("redis-server", "redis-server", ("/usr/local/bin",)),
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_REFUSE_STARTS = "#!/bin/sh\n# Written while test servers are installed; removed right after.\nexit 101\n"


class Missing(Exception):
    """A server's programs are not on this machine and could not be installed; the message says why."""


def find(server: str) -> Path | None:
    """The folder with the server's programs, the newest version first; None when there is none."""
    _, program, folders = SERVERS[server]
    # The distribution's own folder comes before PATH: Debian's rabbitmq-server in PATH is a wrapper that insists on
    # being root or `rabbitmq`, and initdb is in no PATH at all.
    found = [Path(name) for folder in folders for name in sorted(Path("/").glob(folder.lstrip("/")), key=_version)]
    for folder in reversed(found):
        if os.access(folder / program, os.X_OK):
            return folder
    on_path = shutil.which(program)
    return Path(on_path).resolve().parent if on_path else None


def _version(folder: Path) -> float:
    digits = "".join(c for c in str(folder) if c.isdigit() or c == ".").strip(".")
    return float(digits) if digits.replace(".", "", 1).isdigit() else 0.0


def ensure(server: str) -> Path:
    """The folder with the server's programs, installing them when they are missing and this machine allows it."""
    folder = find(server)
    if folder is None:
        install([server])
        folder = find(server)
    if folder is None:
        raise Missing(f"{server}: {SERVERS[server][0]} was installed, but {SERVERS[server][1]} is not to be found")
    return folder


def install(servers: list[str]) -> None:
    """Install the missing ones of these servers with apt; `Missing` says why that cannot be done here."""
    packages = [SERVERS[name][0] for name in servers if find(name) is None]
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(f"{' '.join(packages)}: not installed; as root on Debian it would be installed by itself")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    # Two test runs on one machine: the second waits here, and then finds the work done.
    with (Path(tempfile.gettempdir()) / "crm1c-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = [SERVERS[name][0] for name in servers if find(name) is None]
        if not packages:
            return
        with _no_service_starts():
            for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
                argv = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *command]
                done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
                if done.returncode != 0:
                    tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
                    raise Missing(f"{' '.join(argv)} ended with {done.returncode}:\n{tail}")


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Make Debian's packages install without starting their services; what stood there is put back afterwards."""
    before = (_POLICY.read_bytes(), _POLICY.stat().st_mode & 0o777) if _POLICY.exists() else None
    if before and before[0] == _REFUSE_STARTS.encode():  # left by a run that was killed here: no one else's
        before = None
    _POLICY.write_text(_REFUSE_STARTS)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            _POLICY.unlink(missing_ok=True)
        else:
            _POLICY.write_bytes(before[0])
            _POLICY.chmod(before[1])


def main(names: list[str]) -> int:
    """Install the named servers (all without names), one line each on where they are."""
    unknown = [name for name in names if name not in SERVERS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(SERVERS)}", file=sys.stderr)
        return 2
    try:
        for name in names or SERVERS:
            print(f"{name}: {ensure(name)}")
    except Missing as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
