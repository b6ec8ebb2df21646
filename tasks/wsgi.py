"""`tasks.wsgi:application` for whoever serves crm1c with a WSGI server of their own."""

from __future__ import annotations

from integration import log
from integration.settings import load
from tasks.run import made, web_app

settings = load()
log.configure(settings.log)
log.register_secrets(settings.known_secrets)
application = web_app(made(settings))
