"""Loads the plugin of the conformance suites for the whole repository."""

pytest_plugins = ["conformance.plugin"]
