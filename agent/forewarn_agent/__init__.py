"""What runs on an endpoint: sample, keep and ship.  Knows nothing of the collector's inside."""
