"""A check of cron expressions like that of robfig/cron 1.2 (parser.go), which Kubeflow Pipelines uses."""

from __future__ import annotations

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS = (
    (0, 59, {}),
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number + 1 for number, name in enumerate(_MONTHS)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class WrongCron(Exception):
    """The parser's error for an invalid expression."""


def parse(text: str) -> None:
    """Checks an expression: second, minute, hour, day, month and, optionally, weekday, without a time zone.

    Raises:
        WrongCron: If it is invalid.
    """
    if text.startswith("@"):
        if text not in _DESCRIPTORS and not text.startswith("@every "):
            raise WrongCron(f"Unrecognized descriptor: {text}")
        return
    fields = text.split()
    if not 5 <= len(fields) <= 6:
        raise WrongCron(f"Expected 5 to 6 fields, found {len(fields)}: {text}")
    for field, (low, high, names) in zip(fields, _BOUNDS, strict=False):
        for part in field.split(","):
            _check(part, low, high, names)


def _check(part: str, low: int, high: int, names: dict[str, int]) -> None:
    span, *steps = part.split("/")
    first, *last = span.split("-")
    if len(steps) > 1 or len(last) > 1:
        raise WrongCron(f"Too many {'slashes' if len(steps) > 1 else 'hyphens'}: {part}")
    if first in ("*", "?"):
        start, end = low, high
    else:
        start = _number(first, names)
        end = _number(last[0], names) if last else high if steps else start
    if start < low:
        raise WrongCron(f"Beginning of range ({start}) below minimum ({low}): {part}")
    if end > high:
        raise WrongCron(f"End of range ({end}) above maximum ({high}): {part}")
    if start > end:
        raise WrongCron(f"Beginning of range ({start}) beyond end of range ({end}): {part}")
    if steps and _number(steps[0], {}) == 0:
        raise WrongCron(f"Step of range should be a positive number: {part}")


def _number(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    if known is None and not text.isdecimal():
        raise WrongCron(f'Failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text) if known is None else known
