from __future__ import annotations

import re
import shutil
import subprocess
from datetime import date, datetime, timedelta, timezone

import pytest
import robfig_cron
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from compressor_lib.errors import CompressorError
from pipelines.platforms.cron import Cron

BERLIN = "Europe/Berlin"
NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class TestParse:
    def test_spaces_are_made_one(self):
        assert Cron.parse("  0  3 * *\t1 ", BERLIN) == Cron("0 3 * * 1", BERLIN)

    @pytest.mark.parametrize("text", ["", "0 3 * *", "0 0 3 * * 1 2026", "@often", "@every"])
    def test_another_number_of_fields_is_refused(self, text):
        with pytest.raises(CompressorError, match=r"five fields.*'0 3 \* \* 1'"):
            Cron.parse(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@weekly", "0 0 * * 0"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 1 *"),
            ("@annually", "0 0 1 1 *"),
            ("0 3 ? * MON", "0 3 * * MON"),
        ],
    )
    def test_what_says_the_same_is_made_one(self, text, expected):
        assert Cron.parse(text, BERLIN) == Cron(expected, BERLIN)

    @pytest.mark.parametrize("text", ["TZ=Asia/Tokyo 0 3 * * 1", "CRON_TZ=Asia/Tokyo  0 3 * * 1"])
    def test_a_zone_in_front_counts(self, text):
        assert Cron.parse(text) == Cron("0 3 * * 1", "Asia/Tokyo")

    @pytest.mark.parametrize("text", ["30 0 3 * * 1", "@every 1h30m"])
    def test_what_only_some_platforms_know_is_none_for_this_machine(self, text):
        cron = Cron.parse(text)
        assert cron == Cron(text, "UTC")
        with pytest.raises(CompressorError, match=f"cron '{text.replace('*', '[*]')}' does not have five fields"):
            cron.check_for_this_machine()

    @pytest.mark.parametrize(
        "text", ["60 3 * * 1", "0 24 * * 1", "0 3 0 * 1", "0 3 * 13 1", "0 3 * * 8", "0 3 * * MOO", "*/0 3 * * *"]
    )
    def test_wrong_values_are_refused(self, text):
        with pytest.raises(CompressorError, match="is invalid: Bad "):
            Cron.parse(text)

    @pytest.mark.parametrize("zone", ["Europe/Bonn", "", "/etc/localtime", "../UTC"])
    def test_an_unknown_zone_is_refused(self, zone):
        with pytest.raises(CompressorError, match="unknown time zone .* Europe/Berlin"):
            Cron.parse("0 3 * * 1", zone)

    @pytest.mark.parametrize("text", ["0 3 31 2 *", "0 3 30 2 *", "0 3 31 4,6 *"])
    def test_a_date_that_never_comes_is_refused(self, text):
        with pytest.raises(CompressorError, match=text.replace("*", r"\*") + "' never runs: no such date exists"):
            Cron.parse(text)

    def test_a_leap_day_comes(self):
        (leap,) = Cron.parse("0 3 29 2 *").next_runs(1, datetime(2025, 1, 1, tzinfo=timezone.utc))
        assert (leap.year, leap.month, leap.day) == (2028, 2, 29)


class TestNextRuns:
    @staticmethod
    def utc(fields: str, after: datetime, count: int = 3) -> list[str]:
        runs = Cron(fields, BERLIN).next_runs(count, after)
        return [f"{run.astimezone(timezone.utc):%d. %H:%M}" for run in runs]

    def test_the_hour_stays_the_same_on_the_clock(self):
        march = datetime(2026, 3, 28, tzinfo=timezone.utc)
        assert self.utc("0 3 * * *", march) == ["28. 02:00", "29. 01:00", "30. 01:00"]
        october = datetime(2026, 10, 24, tzinfo=timezone.utc)
        assert self.utc("0 3 * * *", october) == ["24. 01:00", "25. 02:00", "26. 02:00"]

    def test_a_time_that_is_left_out_is_made_up_for_at_once(self):
        march = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)
        assert self.utc("30 2 * * *", march, 2) == ["29. 01:00", "30. 00:30"]

    def test_a_time_that_comes_twice_counts_once(self):
        october = datetime(2026, 10, 24, 12, tzinfo=timezone.utc)
        assert self.utc("30 2 * * *", october, 2) == ["25. 00:30", "26. 01:30"]

    def test_every_hour_is_every_hour(self):
        october = datetime(2026, 10, 24, 23, 30, tzinfo=timezone.utc)
        assert self.utc("0 * * * *", october) == ["25. 00:00", "25. 01:00", "25. 02:00"]

    def test_the_hour_that_comes_again_has_none_before_the_start(self):
        october = datetime(2026, 10, 25, 1, 10, tzinfo=timezone.utc)  # ten past two, for the second time
        assert self.utc("30 2 * * *", october, 2) == ["26. 01:30", "27. 01:30"]

    def test_they_are_in_the_zone_and_after_the_given_time(self):
        first, second = Cron("0 3 * * 1", BERLIN).next_runs(2, datetime(2026, 1, 5, 2, tzinfo=timezone.utc))
        assert first.isoformat() == "2026-01-12T03:00:00+01:00"
        assert second.isoformat() == "2026-01-19T03:00:00+01:00"

    def test_by_default_they_begin_now(self):
        now = datetime.now(timezone.utc)
        (run,) = Cron("* * * * *", "UTC").next_runs(1)
        assert now < run <= now + timedelta(minutes=2)


class TestForKubeflow:
    @pytest.mark.parametrize(
        ("weekday", "expected"),
        [
            ("*", "*"),
            ("*/2", "*/2"),
            ("0", "0"),
            ("7", "0"),
            ("5-7", "0,5,6"),
            ("1-5", "1,2,3,4,5"),
            ("MON-FRI", "1,2,3,4,5"),
            ("mon,SUN", "0,1"),
            ("1-7/3", "0,1,4"),
            ("0,7", "0"),
        ],
    )
    def test_weekdays_are_numbered_from_sunday(self, weekday, expected):
        assert Cron.parse(f"0 3 * * {weekday}").for_kubeflow() == f"0 0 3 * * {expected}"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("30 0 3 * * 7", "30 0 3 * * 0"),
            ("0 */10 * ? * MON", "0 */10 * * * 1"),
            ("@weekly", "0 0 0 * * 0"),
            ("@every 1h30m", "@every 1h30m"),
        ],
    )
    def test_forms_of_its_own_are_taken(self, text, expected):
        robfig_cron.parse(expected)
        assert Cron.parse(text).for_kubeflow() == expected

    @pytest.mark.parametrize("zone", [BERLIN, "Asia/Tokyo", "America/New_York"])
    def test_a_time_zone_is_refused(self, zone):
        with pytest.raises(
            CompressorError, match="Kubeflow does not support time zones for schedules: omit --time-zone"
        ):
            Cron.parse("0 3 * * 1", zone).for_kubeflow()

    @given(
        st.sampled_from(["0", "*/15", "5-59/10", "1,2,40"]),
        st.sampled_from(["3", "*", "*/2", "8-18"]),
        st.sampled_from(["*", "1", "1,15", "*/10", "10-20"]),
        st.sampled_from(["*", "1", "JAN-MAR", "6,12", "*/3"]),
        st.sampled_from(["*", "7", "MON-FRI", "5-7", "0,3", "*/2"]),
    )
    def test_kubeflow_s_parser_takes_it(self, minute, hour, day, month, weekday):
        robfig_cron.parse(Cron.parse(f"{minute} {hour} {day} {month} {weekday}").for_kubeflow())

    @pytest.mark.parametrize("weekday", ["5L", "1#2", "1,5L"])
    def test_what_it_does_not_know_is_refused(self, weekday):
        with pytest.raises(CompressorError, match=f"weekday '{weekday}' .* Kubeflow"):
            Cron.parse(f"0 3 * * {weekday}").for_kubeflow()

    @given(
        st.lists(
            st.one_of(
                st.integers(0, 7).map(str),
                st.sampled_from(NAMES),
                st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda ends: "{}-{}".format(*sorted(ends))),
                st.tuples(st.integers(0, 7), st.integers(1, 7)).map(lambda pair: "{}-7/{}".format(*pair)),
            ),
            min_size=1,
            max_size=4,
        ).map(",".join)
    )
    def test_the_days_are_the_same(self, weekday):
        told = Cron.parse(f"0 3 * * {weekday}").for_kubeflow().split()[-1]
        known = {int(day) for day in told.split(",")}
        assert known <= set(range(7))
        week = [date(2026, 1, 4) + timedelta(days) for days in range(7)]  # from a Sunday on
        ours = CronSim(f"0 3 * * {weekday}", datetime(2026, 1, 4))
        assert [day for number, day in enumerate(week) if number in known] == sorted(
            run.date() for _, run in zip(range(7), ours, strict=False) if run.date() in week
        )


class TestForSystemd:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ("0 3 * * 1", ["Mon *-*-* 3:0:00 UTC"]),
            ("*/20 * * * *", ["*-*-* *:0,20,40:00 UTC"]),
            ("0 0 * JAN-MAR 5-7", ["Sun,Fri,Sat *-1,2,3-* 0:0:00 UTC"]),
            ("0 0 1,15 * *", ["*-*-1,15 0:0:00 UTC"]),
            ("0 0 1 * MON", ["*-*-1 0:0:00 UTC", "Mon *-*-* 0:0:00 UTC"]),  # cron: one of both
            ("0 0 */10 * MON", ["Mon *-*-1,11,21,31 0:0:00 UTC"]),  # cron: both, by the star
        ],
    )
    def test_each_field_is_written_out(self, fields, expected):
        assert Cron(fields, "UTC").for_systemd() == expected

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
    @pytest.mark.parametrize(
        "fields",
        ["0 3 * * 1", "*/15 8-18/3 * * *", "5 4 1,15 */2 *", "0 0 1 JAN-MAR MON-FRI", "7 7 */10 * 0,7", "59 23 29 2 *"],
    )
    @pytest.mark.parametrize("zone", [BERLIN, "UTC"])
    def test_systemd_finds_the_same_times(self, fields, zone):
        cron, count = Cron.parse(fields, zone), 4
        command = ["systemd-analyze", "calendar", f"--iterations={count}", *cron.for_systemd()]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"})
        found = set(re.findall(r": \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d):00 UTC", told.stdout))
        ours = [f"{run.astimezone(timezone.utc):%Y-%m-%d %H:%M}" for run in cron.next_runs(count)]
        assert sorted(found)[:count] == ours

    @pytest.mark.parametrize(
        ("fields", "plain"), [("0 3 * JUL MON", True), ("0 3 L * *", False), ("0 3 * * 1#2", False)]
    )
    def test_last_and_nth_days_are_not_plain(self, fields, plain):
        assert Cron(fields, "UTC").is_plain == plain


class TestForVertex:
    def test_the_zone_comes_first(self):
        assert Cron.parse("0 3 * * 1", BERLIN).for_vertex() == "TZ=Europe/Berlin 0 3 * * 1"


FIELDS = ["0 3 * * 1", "*/15 * * * *", "0 3 1,15 * *", "0 3 * JAN-MAR *"]


class TestOfVertex:
    @pytest.mark.parametrize("fields", [*FIELDS, "30 0 3 * * 1", "@every 1h"])
    def test_what_was_given_comes_back(self, fields):
        cron = Cron.parse(fields, BERLIN)
        assert Cron.of_vertex(cron.for_vertex()) == cron

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0 3 * * 1", Cron("0 3 * * 1", "UTC")),
            ("CRON_TZ=Asia/Tokyo 0 3 * * 1", Cron("0 3 * * 1", "Asia/Tokyo")),
            (" TZ=Asia/Tokyo  0 3  * * 1 ", Cron("0 3 * * 1", "Asia/Tokyo")),
        ],
    )
    def test_other_forms_are_understood(self, text, expected):
        assert Cron.of_vertex(text) == expected


class TestOfKubeflow:
    @pytest.mark.parametrize("fields", [*FIELDS, "30 0 3 * * 1", "@every 1h"])
    def test_what_was_given_comes_back(self, fields):
        cron = Cron.parse(fields)
        assert Cron.of_kubeflow(cron.for_kubeflow()) == cron

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0 0 3 * * 1", "0 3 * * 1"),
            ("30 0 3 ? * 1", "30 0 3 * * 1"),
            ("0 0 3 1 *", "0 3 1 * *"),  # without a weekday
            ("@daily", "0 0 * * *"),
        ],
    )
    def test_other_forms_are_understood(self, text, expected):
        assert Cron.of_kubeflow(text) == Cron(expected, "UTC")

    @pytest.mark.parametrize("text", ["@often", "@every 1h30m", "0 0 3 * * 1 2", ""])
    def test_one_of_a_form_that_is_not_known_has_no_next_time(self, text):
        assert Cron.of_kubeflow(text).next_runs() == []
