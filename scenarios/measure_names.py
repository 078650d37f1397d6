"""What is measured in every run: the names of measures, their units, what they mean, and of which more is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Meaning:
    """A measure's unit and what it means; `of` says what its owner is."""

    unit: str
    of: str
    text: str


MEASURES: Mapping[str, Meaning] = MappingProxyType(
    {
        "completion": Meaning("s", "operation", "from the operation's beginning to the end of its last volume"),
        "volume_time": Meaning("s", "operation", "from one volume's turn to its end, mean"),
        "volume_time_longest": Meaning("s", "operation", "the same, the longest"),
        "done": Meaning("", "operation", "volumes for which it succeeded"),
        "failed": Meaning("", "operation", "volumes for which it failed, retries included"),
        "refusals": Meaning("", "operation", "requests that Cinder refused, where it is asked as it is today"),
        "late": Meaning("", "operation", "volumes not done by the deadline"),
        "link_bytes": Meaning("bytes", "link", "bytes of bulk transfers and hosts' I/O that crossed it"),
        "quiesce_count": Meaning("", "", "windows in which writes of a volume were held"),
        "quiesce_total": Meaning("s", "", "the length of all windows together"),
        "quiesce_longest": Meaning("s", "", "the longest window"),
        "write_p50": Meaning("s", "workload", "median latency of writes"),
        "write_p99": Meaning("s", "workload", "99th percentile of the latency of writes"),
        "write_p999": Meaning("s", "workload", "99.9th percentile of the latency of writes"),
        "read_p50": Meaning("s", "workload", "median latency of reads"),
        "read_p99": Meaning("s", "workload", "99th percentile of the latency of reads"),
        "read_p999": Meaning("s", "workload", "99.9th percentile of the latency of reads"),
        "longest_stall": Meaning("s", "workload", "the longest that one I/O waited for its acknowledgement"),
        "io_done": Meaning("", "workload", "I/Os that were acknowledged before the end"),
        "background_ios": Meaning("", "background", "background I/Os that arrived"),
        "background_mean": Meaning("s", "background", "latency of background I/Os, mean"),
        "background_longest": Meaning("s", "background", "the same, the longest"),
        "background_mean_inside": Meaning("s", "background", "the mean of those that arrived while an operation ran"),
        "background_longest_inside": Meaning("s", "background", "the longest of those"),
        "background_mean_outside": Meaning("s", "background", "the mean of those that arrived while none ran"),
        "background_longest_outside": Meaning("s", "background", "the longest of those"),
        "work_lost": Meaning("bytes", "", "bytes moved by activities whose effect was undone or never came about"),
        "temporary_space": Meaning("bytes", "", "the most that the taskflow's temporary volumes took at once"),
        "temporary_space_time": Meaning("byte·s", "", "the space of temporary volumes, added up over time"),
        "compression_cpu": Meaning("s", "machine", "processor time spent on compression, from the codecs' speeds"),
        "stored": Meaning("bytes", "operation", "bytes that backups take where they are stored"),
        "end": Meaning("s", "", "when the last operation was over"),
    }
)

GAINS = frozenset({"done", "io_done", "background_ios"})
"""Measures of which more is better; of all others less is."""
