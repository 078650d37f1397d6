"""Faulty drivers: each is broken in one way, and says which clause has to find it."""
