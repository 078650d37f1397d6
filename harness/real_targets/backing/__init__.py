"""What the testbeds under the wall clock share: backing files, copying processes, connections, faults."""
