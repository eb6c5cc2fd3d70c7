"""What Linux says in /proc, /sys and /etc, as values.  Parsers only; no check in here."""
