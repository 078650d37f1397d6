"""Sweeps: a grid of runs on all cores or on a cluster, kept in a journal, merged into one Parquet file."""
