"""Hosts unmodified Cinder drivers: their own code runs, and what it asks of the machine is acted out on a testbed.

The boundary is where a driver leaves Python: process execution, locks, sleeps, the database. Nothing of Cinder is
imported before `harness.cinder.host.CinderHost.prepare`; it needs the extra `cinder`.
"""
