"""Tests of scenarios, their files and their results."""
