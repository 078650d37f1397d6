"""Flows of the taskflow, run in a cell as a user's run does."""
