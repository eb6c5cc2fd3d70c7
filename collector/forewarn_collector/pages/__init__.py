"""The operators' web pages: server-rendered, usable without JavaScript, under a strict policy.

Whatever a host said is escaped, and cleaned of controls, in one place: `view`.
"""
