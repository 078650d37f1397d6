"""SimPy-simulated iSCSI target and NFS server, and the fabric, storage and activities that they share."""
