"""The testbed `files`: sparse files, real I/O, copying processes; under the wall clock."""
