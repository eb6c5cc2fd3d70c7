"""The one privileged part of an endpoint: reads drives, runs what was signed, and nothing else.

It has no network.  The agent reaches it through a local socket and can ask for three things:
`smart`, `run` and `policy-status`.  What may run it decides itself, from the policy of this host.
"""
