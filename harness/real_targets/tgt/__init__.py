"""The testbed `tgt`: the Linux SCSI target framework (tgtd), as an ordinary user."""
