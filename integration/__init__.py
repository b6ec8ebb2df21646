"""WHAT HAPPENS: rules, flows and the places they reach, without a word about when."""
