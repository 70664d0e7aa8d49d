"""When a schedule runs: five fields and a time zone, the same for every platform."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from compressor_lib.errors import CompressorError

_ZONED = re.compile(r"^(?:CRON_)?TZ=(\S+)\s+(.*)$")


@dataclass(frozen=True)
class Cron:
    """A cron expression in a time zone.

    Attributes:
        fields: Minute, hour, day of the month, month, day of the week (0 and 7: Sunday), separated by one space.
        time_zone: IANA's name of it, such as ``Europe/Berlin``.

    Example:
        >>> Cron.parse("0  3 * * 1", "Europe/Berlin").for_vertex()
        'TZ=Europe/Berlin 0 3 * * 1'
    """

    fields: str
    time_zone: str

    @classmethod
    def parse(cls, text: str, time_zone: str = "UTC") -> Cron:
        """Checks an expression.

        Raises:
            CompressorError: If it has another form, names no time zone, or stands for no time at all.
        """
        cron = cls(" ".join(text.split()), time_zone)
        if len(cron.fields.split()) != 5:
            raise CompressorError(
                f"cron {text!r} does not have five fields: give minute, hour, day, month and weekday, "
                "as in '0 3 * * 1'."
            )
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise CompressorError(
                f"unknown time zone {time_zone!r}: give a name of the tz database, such as Europe/Berlin."
            ) from None
        try:
            comes = bool(cron._next_runs(1))
        except CronSimError as error:
            if not cron._is_of_no_month():
                raise CompressorError(f"cron {text!r} is wrong: {error}. '0 3 * * 1' is Mondays at three.") from error
            comes = False
        if not comes:
            raise CompressorError(f"cron {text!r} never comes: no such date exists.")
        return cron

    def _is_of_no_month(self) -> bool:
        """Whether days and months are right, and none of these months has any of these days."""
        minute, hour, day, month, weekday = self.fields.split()
        try:
            for fields in ((minute, hour, day, "*", weekday), (minute, hour, "*", month, weekday)):
                CronSim(" ".join(fields), datetime.now(timezone.utc))
        except CronSimError:
            return False
        return True

    def next_runs(self, count: int = 3, after: datetime | None = None) -> list[datetime]:
        """The next times, fewer than ``count`` if there are no more, none if it is not checked and of another form.

        Args:
            count: How many.
            after: Where to begin, with a time zone; None: now.
        """
        try:
            return self._next_runs(count, after)
        except (CronSimError, ZoneInfoNotFoundError, ValueError):
            return []

    def _next_runs(self, count: int, after: datetime | None = None) -> list[datetime]:
        zone = ZoneInfo(self.time_zone)
        start = datetime.now(zone) if after is None else after.astimezone(zone)
        times = CronSim(self.fields, start)
        return [time for _, time in zip(range(count), times, strict=False)]

    def for_vertex(self) -> str:
        """As Vertex AI takes it: after its time zone.

        https://cloud.google.com/vertex-ai/docs/pipelines/schedule-pipeline-run
        """
        return f"TZ={self.time_zone} {self.fields}"

    def for_kubeflow(self) -> str:
        """As Kubeflow Pipelines takes it: with seconds in front, no weekday 7, and no time zone (robfig/cron 1.2).

        Raises:
            CompressorError: If it cannot be said so.
        """
        if self.time_zone != "UTC":
            raise CompressorError(
                "Kubeflow takes no time zone for a schedule: leave --time-zone out, and give the time in the cluster's "
                "own zone, which is UTC unless its CRON_SCHEDULE_TIMEZONE is another."
            )
        *others, weekday = self.fields.split()
        if "L" in others[2].upper():
            raise CompressorError(f"day {others[2]!r} is more than Kubeflow knows: give days, ranges or lists.")
        if not weekday.startswith("*"):
            numbers = set()
            for day in CronSim(self.fields, datetime.now(timezone.utc)).weekdays:
                if not isinstance(day, int):
                    raise CompressorError(
                        f"weekday {weekday!r} is more than Kubeflow knows: give days, ranges or lists."
                    )
                numbers.add(day % 7)
            weekday = ",".join(map(str, sorted(numbers)))
        return f"0 {' '.join([*others, weekday])}"

    @classmethod
    def of_kubeflow(cls, text: str) -> Cron:
        """What Kubeflow Pipelines says of a schedule, whoever made it; it is not checked, and its seconds are lost."""
        fields = text.split()
        if len(fields) == 5:  # the weekday may be left out
            fields.append("*")
        if len(fields) == 6:
            fields = ["*" if field == "?" else field for field in fields[1:]]
        return cls(" ".join(fields), "UTC")

    @classmethod
    def of_vertex(cls, text: str) -> Cron:
        """What Vertex AI says of a schedule, whoever made it; it is not checked."""
        zoned = _ZONED.match(text.strip())
        zone, fields = zoned.groups() if zoned else ("UTC", text)
        return cls(" ".join(fields.split()[-5:]), zone)
