"""Simulated systems to try crm1c against: a 1C base, a CRM, a registry, a mail server.

Nothing here imports ``mappers``, ``integration`` or ``tasks``: what both sides got wrong in the same
way would otherwise look right.
"""
