"""The HTTP face of the mail server.

=============================== ===================================================================================
``GET /letters?since=N&to=A``    the letters as JSON, oldest first (the same as ``GET /_sandbox/state``)
``GET /letters/N``               one letter as it came (``message/rfc822``)
``DELETE /_sandbox/state``       forget letters and faults
``POST /_sandbox/faults``        ``{"kind": "reply", "at": "rcpt", "code": 550, "to": "@bad", "times": 1}``,
                                 ``{"kind": "cut", "times": 1}``, ``{"kind": "latency", "seconds": 2}``
``GET|DELETE /_sandbox/faults``  as for every sandbox system
``GET /_sandbox/stats``          ``{"letters": n, "smtp": {"host": "127.0.0.1", "port": 2525}}``
=============================== ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from sandbox.answers import Answer, json_answer
from sandbox.faults import Sandbox
from sandbox.mail.server import Mail


class MailSystem:
    """The mail server as the admin face sees it."""

    def __init__(self, mail: Mail) -> None:
        self.mail = mail

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        answer = Answer(404)
        if path in ("/", "/letters"):
            answer = json_answer(self.state(query))
        elif path.startswith("/letters/") and path[9:].isdigit():
            raw = self.mail.raw(int(path[9:]))
            answer = Answer(200, raw, "message/rfc822") if raw is not None else answer
        return answer.send(start_response)

    def state(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        return self.mail.letters(int(query.get("since", "0")), query.get("to"))

    def stats(self) -> dict[str, Any]:
        return {"letters": len(self.mail.letters()), "smtp": {"host": "127.0.0.1", "port": self.mail.port}}

    def seed(self, _body: Any) -> Any:
        raise ValueError("letters come by SMTP")

    def switches(self, body: Any | None) -> dict[str, Any]:
        """``password``: what AUTH must bring from the next session on; null: anything."""
        for name, value in (body or {}).items():
            if name != "password":
                raise ValueError(f"no such switch: {name}; there is password")
            self.mail.password = value
        return {"password": self.mail.password}

    def reset(self) -> dict[str, str]:
        self.mail.clear()
        self.mail.clear_faults()
        return {"status": "ok"}


class MailFace(Sandbox):
    """The admin face, with the mail server's own faults instead of HTTP ones."""

    def __init__(self, mail: Mail) -> None:
        system = MailSystem(mail)
        super().__init__(system, system)
        self._mail = mail

    def _commands(self, query: Mapping[str, str], body: Any) -> dict[tuple[str, str], Callable[[], Any]]:
        def cleared() -> dict[str, str]:
            self._mail.clear_faults()
            return {"status": "ok"}

        return {
            **super()._commands(query, body),
            ("POST", "faults"): lambda: {"id": self._mail.add_fault(body)},
            ("GET", "faults"): self._mail.faults,
            ("DELETE", "faults"): cleared,
        }
