from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.options import Each, Options, option


@dataclass(frozen=True)
class Some(Options):
    share: float = option(0.5, ge=0, lt=1)
    rate: float = option(0.1, gt=0, le=1)
    most: int | None = option(None, gt=0)
    widths: tuple[Annotated[int, Each(gt=0)], ...] | None = option((4, 8), min_length=1)
    kind: Literal["fast", "slow"] = "fast"


@pytest.mark.parametrize("values", [{"share": 0, "rate": 1}, {"most": 1, "widths": (1,)}, {"widths": None}, {}])
def test_values_within_their_limits_are_kept(values):
    kept = Some(**values)
    assert {name: getattr(kept, name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": -0.1}, "share is -0.1: it must be at least 0."),
        ({"share": 1}, "share is 1: it must be below 1."),
        ({"share": float("nan")}, "share is nan: it must be at least 0."),
        ({"rate": 0}, "rate is 0: it must be more than 0."),
        ({"rate": 1.5}, "rate is 1.5: it must be at most 1."),
        ({"most": 0}, "most is 0: it must be more than 0."),
        ({"widths": ()}, "widths is empty: it must be at least 1 long."),
        ({"widths": (4, 0)}, "widths[1] is 0: it must be more than 0."),
        ({"kind": "slwo"}, "unknown kind 'slwo'. Did you mean 'slow'? Known: fast, slow."),
    ],
)
def test_value_out_of_range_is_rejected(values, message):
    with pytest.raises(CompressorError) as refused:
        Some(**values)
    assert str(refused.value) == message


def test_inherited_option_keeps_its_limits():
    @dataclass(frozen=True)
    class More(Some):
        rate: float = option(0.2, gt=0, le=1)

    assert More().rate == 0.2
    with pytest.raises(CompressorError, match="share is 2"):
        More(share=2)
