"""The operators' API under /api/v1: people, keys, roles, and what may be asked."""
