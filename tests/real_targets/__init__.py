"""Tests of the testbeds on real targets."""
