"""Cinder itself, where it is installed; this module needs nothing that only the extra `cinder` brings."""

from __future__ import annotations

import warnings

from harness.importing import CandidateError


def import_cinder() -> None:
    """Import Cinder, and register its objects, which drivers name when they are imported.

    Raises `CandidateError` where it is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from cinder import objects
        except ImportError as error:
            what = f"this needs Cinder itself ({error})"
            raise CandidateError(f"{what}; install it with: pip install 'backend-activity-harness[cinder]'") from error
        objects.register_all()
