"""A server as a private child process: its folder, port and user, and how it is stopped – by pid, never by name."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.servers import guard
from tests.servers.wait import until

HOST = "127.0.0.1"


def free_port() -> int:
    """A loopback port that nothing listens on, below the kernel's ephemeral range.

    A port out of the ephemeral range could be taken by any outgoing connection while a test has the server down, and a
    client that keeps trying a closed one there can even connect to itself.
    """
    while True:
        port = random.randint(15000, 29999)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port


def account(*preferred: str) -> str | None:
    """The first of these system users that exists when we are root, since such servers refuse root; else None."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in preferred if name in known), None)


class Server:
    """One private server. `start` returns when it answers; `stop` and `kill` when it is gone; the folder stays between.

    Used as a context manager it starts on entering, and is stopped and removed on leaving.
    """

    name = "server"
    #: how long a start may take before it counts as failed, in seconds
    patience = 60.0
    #: signal for an orderly stop
    farewell = signal.SIGTERM

    def __init__(self, user: str | None = None) -> None:
        self.user = user
        self.port = free_port()
        # mkdtemp itself and not pytest's folders: those are closed to other users, and their paths are too long for a
        # Unix socket.
        self.folder = Path(tempfile.mkdtemp(prefix=f"crm1c-{self.name}-"))
        _watch("folder", self.folder)
        self.own(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    # -- life

    @property
    def running(self) -> bool:
        """True while the process lives; whether it answers is another question."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self._process is not None, f"{self.name} was not started"
        assert self.running, f"{self.name} is not running"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last process ended (-9: it was killed); None while it runs or before its first start."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> Self:
        """Start it with whatever its folder holds, and wait until it answers; does nothing when it runs."""
        if self.running:
            return self
        argv, env = self.command()
        self._process = self.spawn(argv, env, self.log)
        try:
            until(self._answers_or_ended, self.patience, what=f"{self.name} answers on port {self.port}")
        except AssertionError as error:
            self.kill()
            raise RuntimeError(f"{error}\n{self.log_tail()}") from None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")
        return self

    def stop(self) -> None:
        """An orderly end, as on a reboot; killed when it has not ended after 30 s."""
        self._end(self.farewell, 30.0)

    def kill(self) -> None:
        """SIGKILL to the process and its descendants, as by a power cut (but for what the kernel has in its cache)."""
        self._end(signal.SIGKILL, 10.0)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        _watch("removed", self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what a kind of server says of itself

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Argument vector and environment of the server process."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it serves clients now; OSError counts as no."""
        raise NotImplementedError

    # -- parts

    @property
    def log(self) -> Path:
        """Where the process's output goes."""
        return self.folder / "output.log"

    def log_tail(self, lines: int = 40) -> str:
        """The end of the log, for a failure's message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def own(self, *paths: Path) -> None:
        """Give these files to the server's user."""
        if self.user is not None:
            for path in paths:
                shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)

    def environment(self, **more: str) -> dict[str, str]:
        """A clean environment, so that nothing of the machine's own server set-up leaks in."""
        base = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(self.folder), "TZ": "UTC"}
        return base | more

    def run(self, argv: Sequence[str], env: Mapping[str, str], timeout: float = 60.0) -> str:
        """Run a program to its end as the server's user; its output, or RuntimeError with it."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            argv, env=env, cwd=self.folder, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            **self._identity(),
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a process as the server's user, in a group of its own that the guard knows."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                argv, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                # a session of its own: Ctrl-C in the terminal is for pytest, which then stops the servers in order
                start_new_session=True, **self._identity(),
            )  # fmt: skip
        _watch("group", f"{process.pid} {guard.started(process.pid)}")
        return process

    def _identity(self) -> dict[str, Any]:
        if self.user is None:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _answers_or_ended(self) -> bool:
        if not self.running:
            return True
        with contextlib.suppress(OSError):
            return self.answers()
        return False

    def _end(self, signum: signal.Signals, timeout: float) -> None:
        if self._process is not None:
            end(self._process, signum, timeout)


class Program(Server):
    """Any program of ours as a private server: `ready` is asked until true; `{port}` stands for its free port."""

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], ready: Callable[[Program], bool]
    ) -> None:
        self.name = name
        super().__init__()
        self.argv = [word.replace("{port}", str(self.port)) for word in argv]
        self.env = {key: value.replace("{port}", str(self.port)) for key, value in env.items()}
        self._ready = ready

    def command(self) -> tuple[list[str], dict[str, str]]:
        """As given, in a clean environment."""
        return self.argv, self.environment() | self.env

    def answers(self) -> bool:
        """As given."""
        return self._ready(self)


def end(process: subprocess.Popen[bytes], signum: signal.Signals, timeout: float) -> None:
    """End a spawned process with this signal, and with SIGKILL after the timeout; returns when all of it is gone."""
    # PostgreSQL's backends are sessions of their own: a killed postmaster would leave them for a moment, and the next
    # start then finds its shared memory in use.
    children = descendants(process.pid) if process.poll() is None else []
    with contextlib.suppress(OSError):
        if signum == signal.SIGKILL:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signum)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout)
    for pid, start in children:
        with contextlib.suppress(OSError):
            if guard.started(pid) == start:
                os.kill(pid, signal.SIGKILL)
    until(lambda: not any(guard.started(pid) == start for pid, start in children), timeout, what="children are gone")
    _watch("ended", process.pid)


def descendants(pid: int) -> list[tuple[int, str]]:
    """(pid, start time) of every process below this one, read from /proc; empty where there is no /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            parents.setdefault(int(entry.read_text().rpartition(")")[2].split()[1]), []).append(int(entry.parent.name))
    below, found = list(parents.get(pid, [])), []
    while below:
        child = below.pop()
        if start := guard.started(child):  # not one that ended while we looked
            found.append((child, start))
        below += parents.get(child, [])
    return found


_guard: subprocess.Popen[bytes] | None = None
_guard_lock = threading.Lock()


def _watch(verb: str, what: object) -> None:
    """Tell the guard, which is started with the first server (see `guard`), what to clean if this run dies."""
    global _guard
    with _guard_lock:
        if _guard is None or _guard.poll() is not None:
            argv = [sys.executable, "-I", "-S", guard.__file__]
            _guard = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)
        assert _guard.stdin is not None
        _guard.stdin.write(f"{verb} {what}\n".encode())
        _guard.stdin.flush()
