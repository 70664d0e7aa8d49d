"""The times of a schedule: a cron expression with a time zone, the same for every platform."""

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
        fields: Minute, hour, day of the month, month, day of the week (0 and 7: Sunday), separated by single spaces.
            Forms that only other platforms support are kept: six fields, of which the first is seconds, or
            ``@every 1h``.
        time_zone: IANA name of the time zone, such as ``Europe/Berlin``.

    Example:
        >>> Cron.parse("0  3 * * 1", "Europe/Berlin").for_vertex()
        'TZ=Europe/Berlin 0 3 * * 1'
    """

    fields: str
    time_zone: str

    @classmethod
    def parse(cls, text: str, time_zone: str = "UTC") -> Cron:
        """Parses and checks an expression.

        Raises:
            CompressorError: If the expression or the time zone is invalid, or it never matches a date.
        """
        cron = cls._read(text, time_zone)
        if len(cron.fields.split()) not in (5, 6) and not cron.fields.startswith("@every "):
            raise _not_five_fields(text)
        try:
            ZoneInfo(cron.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise CompressorError(
                f"unknown time zone {cron.time_zone!r}: give a name from the tz database, such as Europe/Berlin."
            ) from None
        if cron.fields.startswith("@"):
            return cron
        try:
            comes = bool(cron._next_runs(1))
        except CronSimError as error:
            if not cron._is_of_no_month():
                raise CompressorError(
                    f"cron {text!r} is invalid: {error}. An example is '0 3 * * 1', Mondays at 3:00."
                ) from error
            comes = False
        if not comes:
            raise CompressorError(f"cron {text!r} never runs: no such date exists.")
        return cron

    def _is_of_no_month(self) -> bool:
        """Whether days and months are valid, but none of these months has any of these days."""
        *time, day, month, weekday = self.fields.split()
        try:
            for fields in ((*time, day, "*", weekday), (*time, "*", month, weekday)):
                CronSim(" ".join(fields), datetime.now(timezone.utc))
        except CronSimError:
            return False
        return True

    def next_runs(self, count: int = 3, after: datetime | None = None) -> list[datetime]:
        """Returns the next times: fewer than ``count`` if there are no more, and none for an unsupported form.

        Args:
            count: Number of times.
            after: Time to start from, with a time zone; None for now.
        """
        try:
            return self._next_runs(count, after)
        except (CronSimError, ZoneInfoNotFoundError, ValueError):
            return []

    def _next_runs(self, count: int, after: datetime | None = None) -> list[datetime]:
        zone = ZoneInfo(self.time_zone)
        start = datetime.now(zone) if after is None else after.astimezone(zone)
        # In the hour that is repeated when summer time ends, the first time may be before the start.
        times = (time for time in CronSim(self.fields, start) if time.timestamp() > start.timestamp())
        return list(islice(times, count))

    def check_for_this_machine(self) -> None:
        """Checks that the expression has five fields.

        Raises:
            CompressorError: If it has a form that only other platforms support.
        """
        if len(self.fields.split()) != 5:
            raise _not_five_fields(self.fields)

    @property
    def is_plain(self) -> bool:
        """Whether its days have no ``L`` or ``#``, which neither crontabs nor systemd support."""
        *_, day, _, weekday = self.fields.upper().split()
        return not re.search("[L#]", day + weekday)

    def for_systemd(self) -> list[str]:
        """Converts a plain expression to values of ``OnCalendar=``: two if it has days and weekdays, which cron ORs.

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
        """Converts the expression to Vertex AI's form, with the time zone in front.

        https://cloud.google.com/vertex-ai/docs/pipelines/schedule-pipeline-run
        """
        return f"TZ={self.time_zone} {self.fields}"

    def for_kubeflow(self) -> str:
        """Converts the expression to Kubeflow's form: seconds in front, no weekday 7, no time zone (robfig/cron 1.2).

        Raises:
            CompressorError: If that form cannot express it.
        """
        if self.time_zone != "UTC":
            raise CompressorError(
                "Kubeflow does not support time zones for schedules: omit --time-zone, and give the time in the "
                "cluster's zone, which is UTC unless CRON_SCHEDULE_TIMEZONE is set there."
            )
        if self.fields.startswith("@"):
            return self.fields
        *time, day, month, weekday = self.fields.split()
        if "L" in day.upper():
            raise CompressorError(f"Kubeflow does not support day {day!r}: give days, ranges or lists.")
        if not weekday.startswith("*"):
            numbers = set()
            for number in CronSim(self.fields, datetime.now(timezone.utc)).weekdays:
                if not isinstance(number, int):
                    raise CompressorError(f"Kubeflow does not support weekday {weekday!r}: give days, ranges or lists.")
                numbers.add(number % 7)
            weekday = ",".join(map(str, sorted(numbers)))
        seconds = [] if len(time) == 3 else ["0"]
        return " ".join([*seconds, *time, day, month, weekday])

    @classmethod
    def of_kubeflow(cls, text: str) -> Cron:
        """Reads an expression from Kubeflow Pipelines, without checking it."""
        fields = text.split()
        if len(fields) == 5:  # the weekday may be left out
            fields.append("*")
        if fields[:1] == ["0"] and len(fields) == 6:
            del fields[0]
        return cls._read(" ".join(fields), "UTC")

    @classmethod
    def of_vertex(cls, text: str) -> Cron:
        """Reads an expression from Vertex AI, without checking it."""
        return cls._read(text, "UTC")

    @classmethod
    def _read(cls, text: str, time_zone: str) -> Cron:
        """Normalises an expression: a zone in front replaces ``time_zone``, and nicknames and ``?`` are expanded."""
        if zoned := _ZONED.match(text.strip()):
            time_zone, text = zoned.groups()
        fields = " ".join("*" if field == "?" else field for field in text.split())
        return cls(_NICKNAMES.get(fields, fields), time_zone)


def _not_five_fields(text: str) -> CompressorError:
    return CompressorError(
        f"cron {text!r} does not have five fields: give minute, hour, day, month and weekday, as in '0 3 * * 1'."
    )
