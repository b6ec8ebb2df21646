"""Measurements: each prints what it saw beside its bar. Ratios are within one run: the machine cancels out."""
