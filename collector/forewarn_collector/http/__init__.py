"""The two listeners: limits, servers, and the routes agents use."""
