"""Testbeds on real files and real targets; plug-ins by entry point, which the rest of the harness does not import."""
