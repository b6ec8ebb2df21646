"""A registry of companies: DaData's findById/party, the back end of egrul.nalog.ru, СПАРК's SOAP service
(contracts/FORMATS.md §4).

``python -m sandbox registry --port 8091``. DaData: ``base_url = http://127.0.0.1:PORT/suggestions/api/4_1/rs``, token
``sandbox-token``; ЕГРЮЛ: ``base_url = http://127.0.0.1:PORT``; СПАРК: ``base_url =
http://127.0.0.1:PORT/IfaxWebService``, username ``sandbox``, password ``sandbox-spark``.
"""

from __future__ import annotations

import argparse

from sandbox.registry.app import TOKEN, Registry
from sandbox.serve import serve

__all__ = ["TOKEN", "Registry", "main"]


def main(argv: list[str]) -> int:
    """Serve the registry in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m sandbox registry", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port, told on the first line")
    parser.add_argument("--token", default=TOKEN, help="DaData's key (default %(default)s)")
    args = parser.parse_args(argv)
    serve(Registry(token=args.token).wsgi(), args.port)
    return 0
