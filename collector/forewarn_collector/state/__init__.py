"""Hosts, alerts, tickets, outbox, people: all that is not samples.  All SQL of it is in here."""
