"""Alembic's environment and the steps that bring a database to today's schema."""
