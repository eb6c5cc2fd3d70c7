"""What Windows says in its registry, as values.  Readers only; no check in here."""
