"""Tests of the testbed `files`."""
