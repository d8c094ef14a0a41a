"""What each figure is to be. A figure without a target is shown all the same; a target whose figure
was not measured is named at the end of the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Target(NamedTuple):
    """At most (or, for rates, at least) so much; or so many times another system's figure in the
    same run."""

    limit: float
    of: str | None = None  # the system that the limit is a multiple of; None: an absolute figure
    least: bool = False

    def met(self, ours: float, all_of: Mapping[str, float]) -> bool | None:
        """Whether it is; None when the system to compare with was not there."""
        limit = self.limit
        if self.of is not None:
            if self.of not in all_of:
                return None
            limit *= all_of[self.of]
        return ours >= limit if self.least else ours <= limit

    def __str__(self) -> str:
        sign = "≥" if self.least else "≤"
        return f"{sign} {self.limit:,g}" + (f" of {self.of}'s" if self.of else "")


def most(limit: float, of: str | None = None) -> Target:
    """Not more."""
    return Target(limit, of)


def least(limit: float, of: str | None = None) -> Target:
    """Not less: rates."""
    return Target(limit, of, True)


KERNEL: dict[str, list[Target]] = {
    "start: first kernel_info reply": [most(25)],
    "start: first execute reply": [most(0.38, "ipykernel"), most(0.6, "xeus-python")],
    "start: first execute reply, from a warm parent": [most(40)],
    "kernel_info, there and back": [most(0.2)],
    "kernel_info on control during that call": [most(2.5)],
    "heartbeat during that call": [most(2.5)],
    "line printed before a C call that holds the GIL, until seen": [most(2)],
    "execute `pass`, until reply and idle": [most(0.8)],
    "execute `1+1`, until reply and idle": [most(1.0)],
    "200 executes queued at once, per s": [least(1500)],
    "100,000 prints": [most(100)],
    "100,000 prints: messages": [most(20)],
    "100,000 prints: characters lost": [most(0)],
    "one print of 50 MB, all of it shown": [most(240)],
    "first printed line, until seen": [most(1)],
    "2,000 small displays, per s": [least(25_000)],
    "20 MB image, MB/s": [least(2, "ipykernel")],
    "completion of `os.pa`: first": [most(150)],
    "completion of `os.pa`: later": [most(20)],
    "comm message, there and back": [most(0.2)],
    "2,000 comm messages queued, per s": [least(6000)],
    "interrupt of `while True: pass`": [most(5)],
    "interrupt of `time.sleep`": [most(5)],
    "shutdown, until the process is gone": [most(30)],
    "idle kernel: resident MB": [most(38)],
    "idle kernel: threads": [most(5)],
}

_KILLED = "1,000 tasks of 10 ms, an engine killed"
_MANY = "1,000 simulated engines"
CLUSTER: dict[str, list[Target]] = {
    "from nothing to 4 engines that have each run a call": [most(400)],
    "4 engines more from a warm parent, until each has run a call": [most(60)],
    "from nothing to 16 engines that have each run a call": [most(500)],
    "from nothing to 64 engines that have each run a call": [most(600)],
    "4 engines: stop, until every process is gone": [most(100)],
    "4 engines: processes, besides the client's": [most(6)],
    "16 engines: processes, besides the client's": [most(18)],
    "4 engines: memory of these (PSS), MB": [most(60)],
    "16 engines: memory of these (PSS), MB": [most(110)],
    "64 engines: memory of these (PSS), MB": [most(250)],
    "no-op on 1 engine": [most(0.12), most(0.5, "ProcessPool")],
    "no-op on all 4": [most(0.3)],
    "no-op on all 16": [most(0.9)],
    "%px pass on 16": [most(3)],
    "%px print('ciao') on 16, outputs included": [most(4)],
    "10,000 single no-op tasks, per s": [least(80_000), least(10, "ProcessPool")],
    "a task at 1,000,000 : at 1,000": [most(1.1)],
    "1,000,000 tasks: client grew by MB": [most(50)],
    "1,000,000 tasks: controller grew by MB": [most(50)],
    "submit one task, µs in the caller": [most(6)],
    "map of 10,000 no-ops, a task each, per s": [least(80_000)],
    "map(lambda x: x**10, range(32))": [most(0.5)],
    "map(lambda x: x**10, range(10,000))": [most(4)],
    "map(lambda x: x**10, range(1,000,000))": [most(300)],
    "push 1 MB to 4": [most(1)],
    "pull 1 MB from each of 4": [most(1)],
    "push 100 MB to 4, first time": [most(65)],
    "push 100 MB to 4": [most(30)],
    "push 100 MB to 4: peak memory : the array": [most(1.1)],
    "push 100 MB to 8": [most(30)],
    "push 1 GB to 4": [most(400)],
    "1,000 tasks with 1 MB each way": [most(1000)],
    "pull 100 MB from each of 4": [most(100)],
    "scatter 100 MB over 4": [most(20)],
    "gather 100 MB from 4": [most(50)],
    "4 engines print 10,000 lines each": [most(40)],
    "4 engines print 10,000 lines each: lines lost": [most(0)],
    "chain of 1,000 tasks, a link": [most(0.12)],
    "kill -9 of an engine, until noticed": [most(5)],
    f"{_KILLED}: all": [most(3300)],
    f"{_KILLED}: failed": [most(0)],
    f"{_MANY}: from nothing until all are registered": [most(300)],
    f"{_MANY}: no-op to all": [most(30)],
    f"{_MANY}: controller's memory (PSS), MB": [most(15)],
    "16 idle engines: CPU, % of one core": [most(0.1)],
    "16 idle engines: wake-ups a second": [most(10)],
}
