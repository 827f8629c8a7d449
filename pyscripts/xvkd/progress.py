"""Progress of long work, as log lines that the job launcher can follow."""

import logging
import time

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Logs ``progress DONE/TOTAL WHAT, time left`` every few seconds.

    The launchers read these lines (``local/launch/run_local``) and show one line for all jobs.

    Args:
        total: the number of units of work, at least 0.
        unit: what is counted, for instance "utterances".
    """

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self._start = self._last = time.monotonic()
        self._done_at_start = 0

    def resume(self, done: int) -> None:
        """Tells that ``done`` units were finished earlier and say nothing about the speed."""
        self.done = self._done_at_start = done

    def update(self, units: int = 1, note: str = "") -> None:
        """Counts ``units`` more; writes a line if the last one is old enough or all is done."""
        self.done += units
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES and self.done < self.total:
            return
        self._last = now
        new = max(self.done - self._done_at_start, 1)
        left = _clock((now - self._start) / new * max(self.total - self.done, 0))
        suffix = f", {note}" if note else ""
        logging.info("progress %d/%d %s, %s left%s", self.done, self.total, self.unit, left, suffix)


def _clock(seconds: float) -> str:
    """Seconds as MM:SS or H:MM:SS."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
