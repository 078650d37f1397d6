"""Schedules: several callers, writers, faults and restarts at once, drawn before the run, replayed and shrunk."""
