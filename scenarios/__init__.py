"""Studies: topology, workload, faults and drivers in, timings out."""
