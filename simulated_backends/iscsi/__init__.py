"""A simulated iSCSI target (RFC 7143)."""
