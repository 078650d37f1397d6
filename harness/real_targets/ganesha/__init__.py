"""The testbed `ganesha`: nfs-ganesha, the NFS server in user space."""
