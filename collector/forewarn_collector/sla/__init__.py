"""What is promised about tickets: calendars, policies, the clocks they drive.  No SQL here."""
