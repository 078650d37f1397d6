"""Publications of real systems as files, and the sidecars of drivers that publish nothing themselves."""

from pathlib import Path

CINDER = Path(__file__).parent / "cinder"
"""The folder with the sidecars of Cinder's in-tree drivers."""
