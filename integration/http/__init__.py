"""The web: intake of webhooks, the API, health. Flask lives here and nowhere else."""
