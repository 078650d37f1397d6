"""Tests of schedules: the data, the invariants, and how small a failure becomes."""
