"""Death of the process at any moment: what had been logged is there, once."""

from __future__ import annotations

import time

from loghook.server import Server
from loghook.spool import writers
from tests.campaign.scripts import API, Script, numbers
from tests.conftest import wait

from .campaign import Campaign, Figures, Row

__all__ = ["ROWS"]


def sigkill(campaign: Campaign) -> Figures:
    """Kill scripts at random moments, and compare what their calls returned from with what a server then stores."""
    times = campaign.times(20, 200)
    returned: dict[str, int] = {}
    for _ in range(times):
        script = Script("killed", 10**7)
        time.sleep(campaign.random.uniform(0, 0.1))
        script.process.kill()
        returned[script.run] = script.finish()[0]
    lost = twice = 0
    with Server(campaign.home, port=0) as server:
        wait(lambda: not list(writers(campaign.home)), 60)
        api = API(server.url, server.key)
        for run, count in returned.items():
            stored = numbers(api.logs(run))
            lost += len(set(range(count)) - set(stored))
            twice += len(stored) - len(set(stored))
    return Figures(times, lost, twice)


ROWS = [Row("Death", "SIGKILL at a random moment", "every record whose call had returned is there, once", sigkill)]
