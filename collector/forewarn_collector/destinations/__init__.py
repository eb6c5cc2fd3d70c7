"""Where tickets go: one public module, one DESTINATION.  Nothing in here knows rules or hosts."""
