"""One file per verb: (services, command) → Outcome. Flows read as the sentence that describes them."""
