"""A study in 20 lines: at which volume size does it start to matter that a driver can't replicate snapshots?

Run it with `python -m scenarios.examples.replication_costs`; each block is a cell of a notebook.
"""

# %% The question as the library has it, on our own network
from scenarios.frames import differences_frame, estimates_frame, study

network = {"link.bandwidth": "25 Gb/s", "backend.read": "2 GB/s", "backend.write": "1 GB/s"}
sizes = ("1 GiB", "8 GiB", "64 GiB")

# %% One study for each size; every variant has the same seeds, so that differences are paired
studies = {size: study("native-or-fallback", network | {"volume.size": size}, replications=3) for size in sizes}

# %% How long replication takes, natively and by the fallback, with its interval
for size, one in studies.items():
    frame = estimates_frame(one)
    print(size, frame[frame.measure == "completion[replicate]"].to_string(index=False, header=False))

# %% What the omission costs: seconds, and bytes over the source's disks
for size, one in studies.items():
    means = differences_frame(one).set_index("measure")["mean"]
    seconds, copied = means["completion[replicate]"], means["link_bytes[primary disk read]"]
    print(f"{size}: {seconds:.1f} s and {copied / 1e9:.1f} GB more than natively")
