"""A simulated NFSv4 server (RFC 8881, RFC 7862)."""
