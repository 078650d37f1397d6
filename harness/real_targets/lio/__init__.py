"""The testbed `lio`: Linux's own SCSI target, in a small virtual machine that needs neither KVM nor root."""
