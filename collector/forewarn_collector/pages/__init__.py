"""The operators' pages: server-rendered, no inline script."""
