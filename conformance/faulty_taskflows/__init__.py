"""Taskflows broken in one way each, which prove that the suites find what a taskflow must not do."""
