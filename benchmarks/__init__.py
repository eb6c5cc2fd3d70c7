"""Every number we publish, measured again on the machine at hand."""
