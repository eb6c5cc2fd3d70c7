"""What the API and the pages read: frozen answers, every query scoped by the principal's clients.

What a principal may not see does not exist for them: it is left out, or None, like a wrong id.
Lists come in pages by keyset, so that the thousandth costs what the first does.
"""
