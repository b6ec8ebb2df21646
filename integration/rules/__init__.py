"""Pure decisions over canonical objects."""
