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
        self._last = time.monotonic()
        # What the speed is measured from: the first update, since before it much is loaded and warmed up.
        self._start: tuple[float, int] | None = None

    def resume(self, done: int) -> None:
        """Tells that ``done`` units were finished earlier and say nothing about the speed."""
        self.done = done

    def update(self, units: int = 1, note: str = "") -> None:
        """Counts ``units`` more; writes a line if the last one is old enough or all is done."""
        self.done += units
        now = time.monotonic()
        if self._start is None:
            self._start = now, self.done
            if self.done < self.total:
                return
        if now - self._last < SECONDS_BETWEEN_LINES and self.done < self.total:
            return
        self._last = now
        start, done = self._start
        left = _clock((now - start) / max(self.done - done, 1) * max(self.total - self.done, 0))
        suffix = f", {note}" if note else ""
        logging.info("progress %d/%d %s, %s left%s", self.done, self.total, self.unit, left, suffix)


def _clock(seconds: float) -> str:
    """Seconds as MM:SS or H:MM:SS."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
