"""What README and docs/ say is true: commands, settings, links, the picture."""
