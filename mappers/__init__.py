"""SHAPE: what things look like at each system's door. Pure: no network, clock or settings."""
