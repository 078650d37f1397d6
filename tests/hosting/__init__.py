"""Tests of hosted Cinder drivers; skipped, visibly, without the extra `cinder`."""
