"""A mail server to try against; ``python -m sandbox mail --port 8025 --smtp-port 2525``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sandbox.mail.face import MailFace
from sandbox.mail.server import Mail
from sandbox.serve import serve

__all__ = ["Mail", "main"]


def main(argv: list[str]) -> int:
    """Serve SMTP and its admin face in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m sandbox mail", description=__doc__)
    parser.epilog = "example: python -m sandbox mail --port 8025 --smtp-port 2525 --folder letters"
    parser.add_argument("--port", type=int, default=0, help="admin face; 0: any free port, told on the first line")
    parser.add_argument("--smtp-port", type=int, default=0, help="0: any free one, told by /_sandbox/stats")
    parser.add_argument("--folder", type=Path, help="keep each letter there as an .eml file too")
    args = parser.parse_args(argv)
    with Mail(args.smtp_port, folder=args.folder) as mail:
        print(f"smtp 127.0.0.1:{mail.port}", file=sys.stderr, flush=True)
        serve(MailFace(mail), args.port)
    return 0
