"""Read what changed in a long list of jobs while it goes on changing: each job at least once, none left out.

The list is sorted by the time of the last change, so a job that changes while it is read moves to the end, and all
that come after it move up by one: a page asked for by its offset would leave one out. So each page begins with the
last job of the page before. If another one is there, the list moved, and is read again from the last time that was
read for certain.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airbyte_dagster.airbyte.records import Job

#: A page of jobs that changed at or after a time (all, if it is ``None``), first changed first, from an offset on.
GetPage = Callable[[dt.datetime | None, int], Sequence[Job]]

#: Where one second has more jobs than the pages that were wanted, this many times more are read, to come past it.
_PATIENCE = 10


@dataclass(frozen=True)
class JobChanges:
    """Jobs that changed.

    Attributes:
        jobs: Each once, as it was last seen; first changed first.
        reached: What had changed before this time, and was shown when the reading began, is among the jobs. ``None``
            if there are none.
        complete: Whether they are all that there were; if not, go on from `reached`.
        calls: How many pages were read.
    """

    jobs: tuple[Job, ...]
    reached: dt.datetime | None
    complete: bool
    calls: int


def read_changes(get_page: GetPage, since: dt.datetime | None, *, page_size: int, max_pages: int) -> JobChanges:
    """Read the jobs that changed at or after a time, page by page.

    Args:
        get_page: Gets a page of `page_size` jobs, fewer at the end of the list.
        since: From when; ``None`` for all there are.
        page_size: Most jobs on a page.
        max_pages: About how many pages to read at most. More are read only where so many jobs share one second that
            the next reading would begin at the same place.
    """
    found: dict[int, Job] = {}
    certain: dt.datetime | None = None
    begun_again: set[dt.datetime | None] = set()
    start, offset, last = since, 0, 0
    for pages in range(1, max_pages * _PATIENCE + 1):
        page = get_page(start, offset)
        has_moved = offset > 0 and (not page or page[0].id != last)
        again = certain or since
        if has_moved and again not in begun_again:
            # Once from each time: jobs of one instant may be in another order in each answer, for ever.
            begun_again.add(again)
            start, offset = again, 0
            continue
        is_known = all(job.id in found for job in page)
        for job in page:
            found.pop(job.id, None)
            found[job.id] = job
        certain = max((job.changed for job in page if not job.active), default=certain)
        if len(page) < page_size:
            reached = max((job.changed for job in found.values()), default=None)
            return JobChanges(tuple(found.values()), reached, complete=True, calls=pages)
        has_come_far = certain is not None and (since is None or certain > since)
        ignores_offset = has_moved and is_known
        if ignores_offset or (pages >= max_pages and has_come_far):
            break
        offset, last = offset + len(page) - 1, page[-1].id
    return JobChanges(tuple(found.values()), certain or since, complete=False, calls=pages)
