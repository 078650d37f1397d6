"""The testbed `lvm`: volume groups of real LVM, exported by LIO, in the virtual machine of the testbed `lio`."""
