"""Backends behind a real NFS server, whichever it is; and a client for NFSv4.1 of our own."""
