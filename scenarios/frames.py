"""Studies as pandas data frames."""

from __future__ import annotations

import pandas as pd

from harness.study_results import Study


def runs_frame(study: Study) -> pd.DataFrame:
    """A row for each run: `variant`, `seed`, and a column for each measure, by its key (`completion[copy]`)."""
    raise NotImplementedError


def estimates_frame(study: Study) -> pd.DataFrame:
    """A row for each variant and measure: `variant`, `measure`, `unit`, `count`, `mean`, `low`, `high`."""
    raise NotImplementedError


def differences_frame(study: Study) -> pd.DataFrame:
    """A row for each variant other than the baseline and each measure, with the same columns."""
    raise NotImplementedError
