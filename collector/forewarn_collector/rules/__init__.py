"""How samples are judged: kinds of rules, and the pure step from a reading to an alert."""
