"""Measurements, apart from the tests: ratios taken in one run, medians of several."""
