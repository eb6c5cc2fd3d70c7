"""What each package manager says of updates: one module each, found by its MANAGER.

Nothing in here changes a host, waits for a lock or fetches anything.
"""
