"""What the exit codes of `forewarn` mean; scripts of its users rely on them."""

TROUBLE = 1  # the collector was not reached, or could not answer
WRONG_USE = 2  # arguments, or a selector that does not parse
NOT_FOUND = 3  # no such host or ticket, or not for this person
NOT_ALLOWED = 4  # not logged in, or the role does not reach
CONFLICT = 5  # the ticket is not in a state that allows it
NOT_WELL = 6  # an order did not end well on every host, or something shown was not true
