"""Pages that lead from one to another: an index, a page for each driver, each clause, each study of a scenario, and
each walk over in-tree drivers.

`write_site` writes them to a directory. Each page is one file that needs nothing else, neither network nor JavaScript;
with JavaScript tables can be sorted and filtered, and timelines zoom. Reading them needs no program at all.
"""

from __future__ import annotations

from reports.site.build import site_texts, write_site, write_walk
from reports.site.studies import Plot, about_plots

__all__ = ["Plot", "about_plots", "site_texts", "write_site", "write_walk"]
