"""Studies from Python, through public functions."""
