"""EspoCRM 7.5–9.3 (ESPOCRM.md): `EspoCrm` is the dialect; its subjects have a module each."""

from mappers.crm.espocrm.espo import EspoCrm

__all__ = ["EspoCrm"]
