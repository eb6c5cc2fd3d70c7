"""The shared language of remote work, and the operator's command line."""
