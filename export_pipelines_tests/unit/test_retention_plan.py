"""The retention plan: nothing goes that must stay (I10), every artifact has its reasons, and surprises are refused."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.ledger.inventory import Item
from export_pipelines.retention.plan import Deletion, Kept, Plan, plan
from export_pipelines.retention.policy import Policy
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines_tests.retention_oracle import Case, case, violations

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)


def item(ago: int, *, version: int = 0, export: str = "students", **values: Any) -> Item:
    """An artifact of the day so many days ago, published at two in the next night; later versions an hour later."""
    start = datetime(2026, 11, 22, tzinfo=UTC) - ago * DAY
    given = {
        "artifact_id": f"{ago + 50_000:05d}{version:03d}{'f' * 24}",
        "partition": f"{start:%Y-%m-%d}",
        "window_start": start,
        "window_end": start + DAY,
        "created_at": start + DAY + timedelta(hours=2 + version),
        "bytes": 100,
        "store": "local",
    }
    return Item(export=export, **{**given, **values})


def planned(items: list[Item], timezone: str = "UTC", **rules: Any) -> Plan:
    policy = Policy(RetentionSpec.model_validate(rules), timezone)
    return plan(items, {entry.export: policy for entry in items}, NOW)


def days_deleted(made: Plan) -> list[int]:
    """How many days ago the deleted partitions were, in the order of deletion."""
    return [int(deletion.item.artifact_id[:5]) - 50_000 for deletion in made.delete]


def reasons(made: Plan) -> dict[int, list[str]]:
    return {int(kept.item.artifact_id[:5]) - 50_000: list(kept.reasons) for kept in made.keep}


DAILY = [item(ago) for ago in range(1, 400)]


class TestRules:
    def test_every_kept_item_has_all_its_reasons_and_every_deletion_one(self) -> None:
        made = planned(DAILY, keep_days=3, keep_last=2, keep_monthly=2, keep_yearly=2, max_delete_percent=100)
        assert reasons(made) == {
            1: [
                *("newest good of students", "within 3 days", "one of the last 2"),
                *("monthly 2026-11", "yearly 2026"),
            ],
            2: ["within 3 days", "one of the last 2"],
            3: ["within 3 days"],
            22: ["monthly 2026-10"],
            326: ["yearly 2025"],
        }
        assert len(made.delete) == len(DAILY) - 5
        assert made.delete[0] == Deletion(item(399), "no rule keeps it: ended 398.5 days ago")
        assert (made.bytes_kept, made.bytes_deleted) == (500, 39400)

    def test_age_counts_from_the_end_of_the_window_and_not_from_publication(self) -> None:
        old_window, new_window = item(40, created_at=NOW - DAY), item(2, created_at=NOW - timedelta(hours=1))
        made = planned([old_window, new_window, item(1)], keep_days=30)
        assert days_deleted(made) == [40]

    @pytest.mark.parametrize(("beyond", "kept"), [(timedelta(0), True), (timedelta(microseconds=1), False)])
    def test_the_last_instant_of_the_span_belongs_to_it(self, beyond: timedelta, kept: bool) -> None:
        edge = item(50, window_end=NOW - 30 * DAY - beyond)
        assert (days_deleted(planned([edge, item(1)], keep_days=30)) == []) is kept
        assert (days_deleted(planned([edge, item(1)], keep_last=1, min_keep_days=30)) == []) is kept
        edge = item(50, window_end=NOW - timedelta(hours=36.5) - beyond)
        assert (days_deleted(planned([edge, item(1)], expire_after_hours=36.5)) == []) is kept

    def test_days_weeks_and_months_are_those_of_the_exports_timezone(self) -> None:
        hours = [
            item(0, artifact_id=f"{hour:032x}", partition=str(hour), window_start=start, window_end=start + DAY / 24)
            for hour in range(48)
            for start in [datetime(2026, 10, 30, 12, tzinfo=UTC) + hour * DAY / 24]
        ]
        hours = [Item(**{**fields(entry), "created_at": entry.window_end}) for entry in hours]
        made = planned(hours, "America/New_York", keep_monthly=2, max_delete_percent=100)
        ends = [kept.item.window_start for kept in made.keep]
        # 31 October ends at four in the morning of 1 November, UTC; here the inventory ends at noon of that day.
        assert ends == [datetime(2026, 11, 1, 11, tzinfo=UTC), datetime(2026, 11, 1, 3, tzinfo=UTC)]

    def test_counts_are_of_partitions_and_superseded_artifacts_go_by_age(self) -> None:
        versions = [item(ago, version=version) for ago in (1, 2, 3) for version in (0, 1)]
        made = planned(versions, keep_last=2, max_delete_percent=100)
        assert [kept.item.artifact_id[5:8] for kept in made.keep] == ["001", "001"]
        superseded = next(entry for entry in made.delete if entry.item.artifact_id == item(1).artifact_id)
        assert (
            superseded.reason
            == f"no rule keeps it: ended 12 hours ago, superseded by {item(1, version=1).artifact_id[:8]}"
        )
        assert days_deleted(planned(versions, keep_last=2, keep_days=30)) == []

    def test_a_day_and_a_week_of_the_same_name_are_two_partitions(self) -> None:
        day, week = item(14), item(14, version=1, window_end=NOW - 7 * DAY)
        assert days_deleted(planned([day, week, item(1)], keep_last=3)) == []

    def test_where_something_is_counted_what_is_newer_than_the_newest_good_stays(self) -> None:
        bad, sample, again = item(1, good=False), item(2, row_limit=5), item(3, version=1, good=False)
        made = planned([bad, sample, item(3), again, item(4, good=False)], keep_last=1, max_delete_percent=100)
        assert days_deleted(made) == [4]
        assert reasons(made)[1] == ["newer than the newest good"]
        assert made.delete[0].reason.endswith(", a blocking check failed")

    def test_the_oldest_go_first_until_the_rest_fits(self) -> None:
        made = planned(DAILY[:10], max_total_bytes=750)
        assert days_deleted(made) == [10, 9, 8]
        assert reasons(made)[2] == ["fits into 750 B"]
        assert made.delete[0].reason == "beyond 750 B in total, the oldest first: ended 9.5 days ago"
        assert days_deleted(planned(DAILY[:10], keep_days=5, max_total_bytes=750, max_delete_percent=100)) == [
            10,
            9,
            8,
            7,
            6,
        ]

    def test_what_is_as_large_as_the_limit_fits_and_unknown_stores_do_not_count(self) -> None:
        elsewhere = item(50, unknown="the specs do not have the store lake")
        assert days_deleted(planned([*DAILY[:10], elsewhere], max_total_bytes=1000)) == []

    def test_of_one_partition_the_current_artifact_goes_last(self) -> None:
        failed_again = item(5, version=1, good=False)
        made = planned([item(5), failed_again, item(1)], max_total_bytes=200)
        assert [deletion.item for deletion in made.delete] == [failed_again]

    def test_what_must_stay_may_exceed_the_limit_and_that_is_said(self) -> None:
        made = planned([item(ago, pinned=ago > 1) for ago in range(1, 5)], max_total_bytes=150)
        assert made.delete == []
        assert made.notes == ["400 B of students must stay, more than its max_total_bytes of 150 B"]


class TestProtection:
    """Each of these would be deleted otherwise."""

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"pinned": True}, "pinned"),
            ({"held_until": date(2027, 1, 1)}, "held until 2027-01-01"),
            ({"held_until": TODAY}, "held until 2026-11-22"),
            ({"undelivered": True}, "waits for delivery"),
            ({"unknown": "the specs do not have the store lake"}, "the specs do not have the store lake"),
            ({"window_end": None}, "unreadable date"),
            ({"window_start": None}, "unreadable date"),
            ({"created_at": None}, "unreadable date"),
            ({"window_end": item(300).window_start}, "unreadable date"),
            ({"window_end": NOW + timedelta(seconds=1)}, "future date"),
            ({"created_at": NOW + timedelta(seconds=1)}, "future date"),
        ],
    )
    @pytest.mark.parametrize(
        "rules", [{"keep_days": 30}, {"keep_last": 1}, {"max_total_bytes": 1}, {"expire_after_hours": 1}]
    )
    def test_no_rule_deletes_it(self, values: dict[str, Any], reason: str, rules: dict[str, Any]) -> None:
        made = planned([item(1), item(200), item(300, **values)], **rules)
        assert reasons(made)[300] == [reason]
        assert days_deleted(made) == [200]

    def test_a_hold_that_is_over_and_a_policy_without_one_protect_nothing(self) -> None:
        assert days_deleted(planned([item(1), item(300, held_until=TODAY - DAY)], keep_days=30)) == [300]
        assert days_deleted(planned([item(1), item(300)], keep_days=30, hold_until=TODAY - DAY)) == [300]

    def test_a_held_export_keeps_everything(self) -> None:
        made = planned(DAILY, keep_days=3, hold_until=date(2027, 1, 1))
        assert made.delete == []
        assert reasons(made)[399] == ["the export is held until 2027-01-01"]

    @pytest.mark.parametrize("rules", [{"keep_last": 1}, {"max_total_bytes": 1}, {"keep_days": 1}])
    def test_nothing_undercuts_the_statutory_minimum(self, rules: dict[str, Any]) -> None:
        made = planned(DAILY, min_keep_days=390, max_delete_percent=100, **rules)
        assert days_deleted(made) == [399, 398, 397, 396, 395, 394, 393, 392, 391]

    def test_the_newest_good_artifact_stays_however_old_it_is(self) -> None:
        made = planned([item(300), item(200), item(100, good=False), item(90, row_limit=1)], keep_days=30)
        assert reasons(made) == {200: ["newest good of students"]}
        assert len(made.delete) == 3

    def test_newest_means_the_latest_window_and_also_the_last_publication(self) -> None:
        correction = item(300, created_at=NOW - DAY)
        made = planned([item(200), item(250), correction], expire_after_hours=24, max_delete_percent=100)
        assert reasons(made) == {200: ["newest good of students"], 300: ["last published of students"]}

    def test_a_future_artifact_does_not_count_as_the_newest(self) -> None:
        made = planned([item(300), item(-300)], keep_last=1)
        assert (made.delete, made.notes) == (
            [],
            ["1 artifact of students kept because of a future date, among them 49700000"],
        )

    def test_where_none_is_good_the_newest_stays(self) -> None:
        made = planned([item(300, good=False), item(200, row_limit=1)], keep_days=30)
        assert reasons(made) == {200: ["newest of students, none is good"]}

    @pytest.mark.parametrize("years", [-10, 10])
    def test_a_clock_that_is_wrong_by_years_deletes_nothing_without_somebody_insisting(self, years: int) -> None:
        policies = {"students": Policy(RetentionSpec(keep_days=500))}
        made = plan(DAILY, policies, NOW + years * 365 * DAY)
        assert made.refused or not made.delete

    def test_an_empty_policy_deletes_nothing_and_says_so(self) -> None:
        made = planned(DAILY, failed_after_hours=2)
        assert (len(made.keep), made.delete) == (len(DAILY), [])
        assert made.notes == ["nothing of students is deleted: no policy says what may be"]

    def test_exports_without_specs_or_with_broken_ones_keep_everything(self) -> None:
        made = plan([*DAILY, item(9, export="grades")], {"grades": Policy(None)}, NOW)
        assert (len(made.keep), made.delete) == (len(DAILY) + 1, [])
        assert made.notes == [
            "1 artifact of grades kept: its policy is not known, because of a mistake in the specs",
            "399 artifacts of students kept: the specs do not have this export",
        ]


class TestRefusal:
    def test_a_plan_that_deletes_more_than_its_share_is_refused(self) -> None:
        made = planned(DAILY[:10], keep_last=6)
        (refusal,) = made.refused
        assert (len(made.delete), refusal.export) == (4, "students")
        assert refusal.message.startswith(
            "4 of 10 artifacts of students would be deleted at once, 40 %, more than 30 %"
        )
        assert "max_delete_percent" in refusal.message
        assert planned(DAILY[:10], keep_last=7).refused == []
        assert planned(DAILY[:10], keep_last=6, max_delete_percent=40).refused == []

    def test_one_artifact_may_always_go(self) -> None:
        assert planned(DAILY[:3], keep_last=2).refused == []

    def test_many_exports_that_lose_one_each_are_a_surprise(self) -> None:
        items = [item(ago, export=f"e{number}") for number in range(20) for ago in (40, 50)]
        made = planned(items, keep_days=30)
        assert [refusal.export for refusal in made.refused] == [None]
        assert made.refused[0].message.startswith("20 of 40 artifacts of all exports would be deleted at once, 50 %")

    def test_an_export_that_is_refused_does_not_hold_up_the_others(self) -> None:
        items = [item(ago, export="backlog") for ago in range(1, 1000)] + DAILY[:32]
        assert [refusal.export for refusal in planned(items, keep_days=30).refused] == ["backlog"]


def fields(entry: Item) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Item.__dataclass_fields__}


def drawn_case(data: st.DataObject) -> Case:
    return case(lambda options: data.draw(st.sampled_from(options)))


@given(st.data())
def test_no_plan_breaks_a_rule(data: st.DataObject) -> None:
    """I10, against an oracle that looks at one artifact at a time."""
    drawn = drawn_case(data)
    assert violations(drawn, plan(drawn.items, drawn.policies, drawn.now)) == []


def test_no_plan_of_a_thousand_random_inventories_breaks_a_rule() -> None:
    """The short version of `benchmarks/retention_inventories.py`."""
    chance, deleted = random.Random(2), 0
    for _ in range(1_000):
        drawn = case(chance.choice)
        made = plan(drawn.items, drawn.policies, drawn.now)
        deleted += len(made.delete)
        assert violations(drawn, made) == []
    assert deleted > 500


def test_the_order_of_the_inventory_has_no_influence() -> None:
    chance = random.Random(3)
    for _ in range(100):
        drawn = case(chance.choice)
        shuffled = chance.sample(drawn.items, len(drawn.items))
        assert plan(shuffled, drawn.policies, drawn.now) == plan(drawn.items, drawn.policies, drawn.now)


def test_what_was_planned_once_is_not_planned_again() -> None:
    """After the deletions nothing more goes: a plan is not a step towards a smaller one."""
    chance = random.Random(4)
    for _ in range(200):
        drawn = case(chance.choice)
        made = plan(drawn.items, drawn.policies, drawn.now)
        again = plan([kept.item for kept in made.keep], drawn.policies, drawn.now)
        assert again.delete == []


def test_the_oracle_sees_every_wrong_deletion_of_what_is_protected() -> None:
    chance, seen = random.Random(5), 0
    for _ in range(300):
        drawn = case(chance.choice)
        made = plan(drawn.items, drawn.policies, drawn.now)
        if any(policy.rules and policy.rules.max_total_bytes for policy in drawn.policies.values()):
            continue
        for kept in made.keep:
            rest = [other for other in made.keep if other is not kept]
            wrong = Plan(made.at, rest, [*made.delete, Deletion(kept.item, "a mistake")], made.refused)
            assert violations(drawn, wrong), kept
            seen += 1
        for gone in made.delete:
            rest_deleted = [other for other in made.delete if other is not gone]
            wrong = Plan(made.at, [*made.keep, Kept(gone.item, ("a mistake",))], rest_deleted, made.refused)
            assert violations(drawn, wrong), gone
    assert seen > 500
