"""WHEN: the only code that knows Celery and kombu."""
