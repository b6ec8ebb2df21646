"""What is shipped for running crm1c: compose files, the image's parts, Flower's configuration."""
