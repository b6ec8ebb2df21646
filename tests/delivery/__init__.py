"""Proofs with real processes on private servers: nothing is lost, nothing is done twice, whatever is killed."""
