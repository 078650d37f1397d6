"""Honest drivers that differ from the reference driver, and which no check may fail."""
