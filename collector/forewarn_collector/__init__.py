"""What runs on the server: take in, judge and tell."""
