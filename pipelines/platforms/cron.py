"""When a schedule runs: a cron expression and a time zone, the same for every platform."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from compressor_lib.errors import CompressorError

_ZONED = re.compile(r"^(?:CRON_)?TZ=(\S+)\s+(.*)$")
_NICKNAMES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True)
class Cron:
    """A cron expression in a time zone.

    Attributes:
        fields: Minute, hour, day of the month, month, day of the week (0 and 7: Sunday), separated by one space. What
            only other platforms know stays as it is: six fields, of which the first are seconds, or ``@every 1h``.
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
        cron = cls._read(text, time_zone)
        if len(cron.fields.split()) not in (5, 6) and not cron.fields.startswith("@every "):
            raise _not_five_fields(text)
        try:
            ZoneInfo(cron.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise CompressorError(
                f"unknown time zone {cron.time_zone!r}: give a name of the tz database, such as Europe/Berlin."
            ) from None
        if cron.fields.startswith("@"):
            return cron
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
        *time, day, month, weekday = self.fields.split()
        try:
            for fields in ((*time, day, "*", weekday), (*time, "*", month, weekday)):
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
        # In the hour that summer time repeats, the first time may be one before the start.
        times = (time for time in CronSim(self.fields, start) if time.timestamp() > start.timestamp())
        return list(islice(times, count))

    def check_for_this_machine(self) -> None:
        """Makes sure that it has five fields.

        Raises:
            CompressorError: If it has a form that only other platforms know.
        """
        if len(self.fields.split()) != 5:
            raise _not_five_fields(self.fields)

    @property
    def is_plain(self) -> bool:
        """Whether it names days without ``L`` and ``#``, which neither crontabs nor systemd know."""
        *_, day, _, weekday = self.fields.upper().split()
        return not re.search("[L#]", day + weekday)

    def for_systemd(self) -> list[str]:
        """As values of ``OnCalendar=``, if it is plain: as in cron, days and weekdays may be two of them.

        https://www.freedesktop.org/software/systemd/man/systemd.time.html#Calendar%20Events
        """
        cron = CronSim(self.fields, datetime.now(timezone.utc))
        weekdays = sorted({cast(int, day) % 7 for day in cron.weekdays})
        names = ",".join(_DAYS[day] for day in weekdays) + " " if len(weekdays) < 7 else ""
        minutes, hours, days, months = (
            "*" if len(numbers) == most else ",".join(map(str, sorted(numbers)))
            for numbers, most in ((cron.minutes, 60), (cron.hours, 24), (cron.days, 31), (cron.months, 12))
        )
        dates = [f"{names}*-{months}-{days}"] if cron.day_and else [f"*-{months}-{days}", f"{names}*-{months}-*"]
        return [f"{date} {hours}:{minutes}:00 {self.time_zone}" for date in dates]

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
        if self.fields.startswith("@"):
            return self.fields
        *time, day, month, weekday = self.fields.split()
        if "L" in day.upper():
            raise CompressorError(f"day {day!r} is more than Kubeflow knows: give days, ranges or lists.")
        if not weekday.startswith("*"):
            numbers = set()
            for number in CronSim(self.fields, datetime.now(timezone.utc)).weekdays:
                if not isinstance(number, int):
                    raise CompressorError(
                        f"weekday {weekday!r} is more than Kubeflow knows: give days, ranges or lists."
                    )
                numbers.add(number % 7)
            weekday = ",".join(map(str, sorted(numbers)))
        seconds = [] if len(time) == 3 else ["0"]
        return " ".join([*seconds, *time, day, month, weekday])

    @classmethod
    def of_kubeflow(cls, text: str) -> Cron:
        """What Kubeflow Pipelines says of a schedule, whoever made it; it is not checked."""
        fields = text.split()
        if len(fields) == 5:  # the weekday may be left out
            fields.append("*")
        if fields[:1] == ["0"] and len(fields) == 6:
            del fields[0]
        return cls._read(" ".join(fields), "UTC")

    @classmethod
    def of_vertex(cls, text: str) -> Cron:
        """What Vertex AI says of a schedule, whoever made it; it is not checked."""
        return cls._read(text, "UTC")

    @classmethod
    def _read(cls, text: str, time_zone: str) -> Cron:
        """An expression in one form: a zone in front of it counts, and nicknames and ``?`` are written out."""
        if zoned := _ZONED.match(text.strip()):
            time_zone, text = zoned.groups()
        fields = " ".join("*" if field == "?" else field for field in text.split())
        return cls(_NICKNAMES.get(fields, fields), time_zone)


def _not_five_fields(text: str) -> CompressorError:
    return CompressorError(
        f"cron {text!r} does not have five fields: give minute, hour, day, month and weekday, as in '0 3 * * 1'."
    )
