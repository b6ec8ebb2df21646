"""One client, two names: scores with reasons, candidates out of two bases, doubles inside one (DOMAIN)."""

from integration.rules.match.blocks import Pair, candidates, doubles
from integration.rules.match.names import normalised
from integration.rules.match.scores import PROPOSE, Match, score

__all__ = ["PROPOSE", "Match", "Pair", "candidates", "doubles", "normalised", "score"]
