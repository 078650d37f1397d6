"""Testbeds that are only names and clocks."""


class Simulated:
    """A testbed with the virtual clock."""

    virtual = True


class Real:
    """A testbed with the wall clock."""

    virtual = False
