"""The rows that are the truth: inbox, outbox, links, leases. SQLAlchemy Core over SQLite (WAL) or PostgreSQL."""
