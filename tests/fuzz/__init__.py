"""Fuzzing of what reads text that others wrote; a package, so that it can be run by itself."""
