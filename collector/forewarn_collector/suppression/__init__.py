"""What holds back opening and escalating: maintenance, silences, dependencies.  Pure, no SQL."""
