"""Real PostgreSQL, RabbitMQ and Redis as private child processes: free ports, own folders, loopback only.

Used by the tests through `tests.servers.fixtures` and by the bench scripts as context managers:

    with RabbitMQ() as broker:
        run(broker.url)
"""
