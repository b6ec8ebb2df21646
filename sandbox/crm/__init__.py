"""A simulated EspoCRM 9.3 with the traps of contracts/ESPOCRM.md; ``python -m sandbox crm --port 8090``."""

from __future__ import annotations

import argparse

from sandbox.crm.espo import Espo
from sandbox.crm.seed import ADMIN, ADMIN_PASSWORD, API_KEY, API_USER, HMAC_KEY, HMAC_SECRET
from sandbox.serve import serve

__all__ = ["ADMIN", "ADMIN_PASSWORD", "API_KEY", "API_USER", "HMAC_KEY", "HMAC_SECRET", "Espo", "main"]


def main(argv: list[str]) -> int:
    """Serve the CRM in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m sandbox crm", description=__doc__)
    parser.epilog = "example: python -m sandbox crm --port 8090 --seed --interval 1"
    parser.add_argument("--port", type=int, default=0, help="0: any free port, told on the first line")
    parser.add_argument("--api-key", default=API_KEY, help="key of the API user (default %(default)s)")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between webhook runs; 0: only on demand")
    parser.add_argument("--retry-period", type=float, default=600.0, help="seconds before a webhook is tried again")
    parser.add_argument("--no-rub", action="store_true", help="a fresh install: USD only")
    parser.add_argument("--no-fields", action="store_true", help="without the custom fields that crm1c uses")
    allow = "webhookAllowedAddressList (default: any port of loopback); 'none' refuses all"
    parser.add_argument("--allow", action="append", metavar="HOST:PORT", help=allow)
    parser.add_argument("--seed", action="store_true", help="start with invented companies and deals")
    args = parser.parse_args(argv)
    allowed = None if args.allow is None else [a for a in args.allow if a != "none"]
    crm = Espo(
        api_key=args.api_key, rub=not args.no_rub, fields=not args.no_fields, webhook_interval=args.interval or None,
        webhook_period=args.retry_period, webhook_allowed=allowed,
    )  # fmt: skip
    if args.seed:
        crm.seed({})
    serve(crm.wsgi(), args.port)
    return 0
