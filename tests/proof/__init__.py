"""What proves the suites: drivers that have to pass, and drivers that have to fail."""
