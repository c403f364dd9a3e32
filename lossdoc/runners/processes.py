"""Several points at a time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.runner import Runner, Work, in_chunks
from lossdoc.subject import Trial
from lossdoc.threads import cores
from lossdoc.workers import Pool


def run(work: Work, inner: str = "serial", chunk: int = 1) -> Iterator[Trial]:
    """Train the points in worker processes, `chunk` at a time in each, by the runner `inner`; yield trials as they end.

    The cores are divided among the processes: with as many torch threads as there, another runner's curves are the same to
    the last bit. A worker that dies, such as one that the system killed for its memory, costs its points one more try, each
    alone.

    Raises:
        UserError: when a point has killed two workers, or no worker can be started.
        UserCodeError: when the user's own code raises.
    """
    if not work.points:
        return
    jobs = min(work.jobs or cores(), -(-len(work.points) // chunk))
    with Pool(work, inner, jobs, threads=max(1, cores() // jobs)) as pool:
        yield from pool.train(in_chunks(work.points, chunk))


PROCESSES = Runner(run)
