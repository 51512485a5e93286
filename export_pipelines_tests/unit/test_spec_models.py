"""The models of the spec language: what they accept, what they refuse, and that they cannot be changed."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from export_pipelines.spec.checks import ControlTotal, DatasetChecks, RowsCheck
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import Condition, DatasetSpec
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.formats import CsvFormat, FormatSpec, PdfFormat
from export_pipelines.spec.notify import Digests, Escalation, NotifySpec, RecipientRef, Scope
from export_pipelines.spec.recipients import EmailRecipient, QuietHours, RecipientSpec
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.stores import LocalStoreSpec, S3StoreSpec, StoreSpec

FORMAT: TypeAdapter[Any] = TypeAdapter(FormatSpec)
STORE: TypeAdapter[Any] = TypeAdapter(StoreSpec)
RECIPIENT: TypeAdapter[Any] = TypeAdapter(RecipientSpec)
REFERENCE: TypeAdapter[Any] = TypeAdapter(RecipientRef)
SCOPE: TypeAdapter[Any] = TypeAdapter(Scope)


def export(**keys: Any) -> ExportSpec:
    entry = {"source": "school", "datasets": {"d": {"table": "t"}}, "formats": ["csv"], **keys}
    return ExportSpec.model_validate(entry)


def dataset(**keys: Any) -> DatasetSpec:
    return DatasetSpec.model_validate(keys)


def test_models_cannot_be_changed() -> None:
    spec = export()
    with pytest.raises(ValidationError, match="frozen"):
        spec.source = "other"


@pytest.mark.parametrize(
    "model",
    [
        *(ConnectionSpec, DatasetSpec, ExportSpec, ScheduleSpec, CalendarSpec, LocalStoreSpec),
        *(EmailRecipient, QuietHours, NotifySpec, Escalation, Digests, DatasetChecks, RowsCheck, ControlTotal),
    ],
)
def test_unknown_keys_are_refused(model: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"surprise": 1})
    assert ("surprise",) in [error["loc"] for error in caught.value.errors()]


class TestFormats:
    def test_a_name_means_the_defaults(self) -> None:
        assert FORMAT.validate_python("csv") == FORMAT.validate_python({"type": "csv"}) == CsvFormat()

    @pytest.mark.parametrize("name", ["csv", "json", "jsonl", "parquet", "xlsx", "pdf"])
    def test_every_format_has_a_name(self, name: str) -> None:
        assert FORMAT.validate_python(name).type == name

    @pytest.mark.parametrize("value", ["cvs", "", {}, {"type": None}, {"type": "xls"}, None, 5, ["csv"]])
    def test_others_are_refused(self, value: Any) -> None:
        with pytest.raises(ValidationError):
            FORMAT.validate_python(value)

    @pytest.mark.parametrize(
        "title", ["{export}", "{partition} {description}", "plain", "{{literal}}", "100 %", "Grüße {export}"]
    )
    def test_titles_may_use_three_placeholders(self, title: str) -> None:
        assert PdfFormat(title=title).title == title

    @pytest.mark.parametrize(
        "title",
        ["{run_id}", "{}", "{0}", "{export.__class__}", "{export[0]}", "{export!r}", "{export:>9999999999}", "{", "}"],
    )
    def test_titles_cannot_reach_anything_else(self, title: str) -> None:
        with pytest.raises(ValidationError):
            PdfFormat(title=title)

    def test_a_file_name_is_a_plain_name(self) -> None:
        assert CsvFormat(name="a_1").name == "a_1"
        for name in ("../x", "a/b", "A", "con", "", "a b", "a\n"):
            with pytest.raises(ValidationError):
                CsvFormat(name=name)


class TestExports:
    def test_an_artifact_path_tells_runs_apart(self) -> None:
        for path in ("{run8}", "{export}/{run_id}", "x/{stamp}_{run8}"):
            assert export(path=path).path == path
        for path in ("", "{export}", "{stamp}"):
            with pytest.raises(ValidationError, match=r"must contain \{run8\} or \{run_id\}"):
                export(path=path)
        assert export(path="", layout="flat").path == ""

    def test_a_path_with_org_needs_an_org(self) -> None:
        assert export(path="{org}/{run8}", org="north").org == "north"
        with pytest.raises(ValidationError, match=r"uses \{org\}, and `org` is not set"):
            export(path="{org}/{run8}")

    @pytest.mark.parametrize("org", ["", "a/b", "..", ".a", "a.", "con", "nul.x", "é", "a b", "a\n", "x" * 64])
    def test_an_org_is_a_plain_directory_name(self, org: str) -> None:
        with pytest.raises(ValidationError):
            export(org=org)

    @pytest.mark.parametrize("name", ["D", "1d", "", "a-b", "a.b", "con", "lpt1", "x" * 64, "a\n"])
    def test_a_dataset_name_is_a_plain_file_name(self, name: str) -> None:
        with pytest.raises(ValidationError):
            export(datasets={name: {"table": "t"}})

    def test_two_formats_cannot_write_the_same_file(self) -> None:
        with pytest.raises(ValidationError, match="two entries would write the same file"):
            export(formats=["csv", {"type": "csv", "delimiter": ";"}])
        assert len(export(formats=["csv", {"type": "csv", "name": "other"}]).formats) == 2

    def test_owners_are_teams_or_addresses(self) -> None:
        assert export(owners=["team:registrar", "ann@example.org"]).owners
        for owner in ("registrar", "team:", "ann@example", "a b@c.d", "team:a\n"):
            with pytest.raises(ValidationError):
                export(owners=[owner])

    def test_a_schedule_is_a_name_or_a_timing(self) -> None:
        assert export(schedule="daily").schedule == "daily"
        assert export(schedule={"cron": "0 2 * * *"}).schedule == ScheduleSpec(cron="0 2 * * *")
        assert export().schedule is None
        for schedule in (5, [], {}, {"cron": "x"}):
            with pytest.raises(ValidationError):
                export(schedule=schedule)

    @pytest.mark.parametrize("given", [{"digest": ["ops"]}, {"digests": {"at": "7:05"}}])
    def test_summaries_are_not_of_one_export(self, given: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="belong to the section `notify`"):
            export(notify=given)

    def test_dumping_and_reading_again_gives_the_same(self) -> None:
        spec = export(
            schedule={"cron": "0 2 * * *"},
            formats=["csv", {"type": "pdf"}],
            datasets={
                "d": {
                    "table": "t",
                    "filters": {"a": 1, "b": [1, None], "c": {"in": ["x"]}, "d": None},
                    "checks": {"rows": {"min": 1}, "control_total": {"column": "a", "sql": "x", "tolerance": 0.01}},
                }
            },
            notify={"failure": ["ops"], "fold_minutes": 5, "escalation": {"to": ["a@b.c"]}},
        )
        dumped = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert ExportSpec.model_validate(dumped) == spec


class TestDatasets:
    def test_it_is_a_table_or_sql(self) -> None:
        assert dataset(table="t").sql is None
        assert dataset(sql="select 1").table is None
        for keys in ({}, {"table": "t", "sql": "select 1"}, {"table": " "}, {"sql": ""}):
            with pytest.raises(ValidationError):
                dataset(**keys)

    @pytest.mark.parametrize("key", ["columns", "filters", "search", "window", "order_by"])
    def test_what_belongs_to_a_table_is_refused_with_sql(self, key: str) -> None:
        values: dict[str, Any] = {
            "columns": ["a"],
            "filters": {"a": 1},
            "search": {"term": "x", "columns": ["a"]},
            "window": "at",
            "order_by": ["a"],
        }
        with pytest.raises(ValidationError, match=f"{key} belong to `table`"):
            dataset(sql="select 1", **{key: values[key]})

    @pytest.mark.parametrize(
        "value",
        [
            "text",
            "2026-01-31",
            "1",
            "true",
            "",
            1,
            1.5,
            True,
            None,
            Decimal("1.10"),
            date(2026, 1, 31),
            datetime(2026, 1, 31, tzinfo=UTC),
        ],
    )
    def test_filter_values_keep_their_type(self, value: Any) -> None:
        found = dataset(table="t", filters={"a": value, "b": [value], "c": {"eq": value}}).filters
        assert [found["a"], *found["b"], found["c"].eq] == [value] * 3
        assert {type(found["a"]), type(found["b"][0]), type(found["c"].eq)} == {type(value)}

    @pytest.mark.parametrize(
        "value", [{}, {"x": 1}, [[1]], [{}], {"in": 5}, {"is_null": "perhaps"}, float("nan"), float("inf")]
    )
    def test_other_filters_are_refused(self, value: Any) -> None:
        with pytest.raises(ValidationError):
            dataset(table="t", filters={"a": value})

    def test_a_comparison_with_null_is_not_an_empty_one(self) -> None:
        assert Condition.model_validate({"eq": None}).model_fields_set == {"eq"}
        assert Condition.model_validate({"in": [1]}).one_of == [1]

    @pytest.mark.parametrize("name", ["int64", "decimal(18,2)", "decimal(38, 0)", "timestamptz"])
    def test_known_types(self, name: str) -> None:
        assert dataset(table="t", types={"a": name}).types == {"a": name.replace(" ", "")}

    @pytest.mark.parametrize(
        "name", ["integer", "decimal", "decimal(39,2)", "decimal(5,6)", "decimal(0,0)", "int64\n", ""]
    )
    def test_unknown_types(self, name: str) -> None:
        with pytest.raises(ValidationError):
            dataset(table="t", types={"a": name})


class TestOthers:
    def test_stores_are_told_apart_by_type(self) -> None:
        assert isinstance(STORE.validate_python({"type": "local", "root": "/srv"}), LocalStoreSpec)
        assert isinstance(STORE.validate_python({"type": "s3", "bucket": "b"}), S3StoreSpec)
        with pytest.raises(ValidationError):
            STORE.validate_python({"type": "s3", "root": "/srv"})

    @pytest.mark.parametrize("url", ["postgresql://u@h/db", "sqlite:///x.db", "${env:URL}"])
    def test_connections_have_a_url(self, url: str) -> None:
        assert ConnectionSpec(url=url).url == url

    @pytest.mark.parametrize(
        "keys", [{"url": "x"}, {"url": " "}, {"max_concurrent": 0}, {"connect_timeout_seconds": float("inf")}]
    )
    def test_wrong_connections(self, keys: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            ConnectionSpec.model_validate({"url": "sqlite:///x", **keys})

    def test_timezones_are_known_ones(self) -> None:
        assert ScheduleSpec(cron=("@daily",), timezone="America/Argentina/Buenos_Aires").timezone
        for name in ("Mars/Olympus", "europe/berlin", "../UTC", "/etc/passwd", "", "UTC\n"):
            with pytest.raises(ValidationError, match="unknown timezone"):
                ScheduleSpec(cron=("@daily",), timezone=name)

    def test_calendars_hold_sets(self) -> None:
        calendar = CalendarSpec.model_validate(
            {"weekend": ["fri", "fri"], "extra_holidays": ["2026-12-24", date(2026, 12, 24)]}
        )
        assert calendar.weekend == {"fri"}
        assert calendar.extra_holidays == {date(2026, 12, 24)}

    @pytest.mark.parametrize("minutes", [0.5, 90, 10_000])
    def test_a_deadline_is_any_positive_time(self, minutes: float) -> None:
        assert ScheduleSpec(cron=("@daily",), deadline_minutes=minutes).deadline_minutes == minutes

    @pytest.mark.parametrize("minutes", [0, -1, float("inf"), "soon"])
    def test_other_deadlines_are_refused(self, minutes: Any) -> None:
        with pytest.raises(ValidationError):
            ScheduleSpec(cron=("@daily",), deadline_minutes=minutes)


class TestChecks:
    @pytest.mark.parametrize(
        "rows", [{}, {"min": 2, "max": 1}, {"min": -1}, {"max": 1.5}, {"change_percent": 0}, {"least": 1}]
    )
    def test_wrong_bounds(self, rows: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            RowsCheck.model_validate(rows)

    def test_bounds_may_meet(self) -> None:
        assert RowsCheck(min=5, max=5).max == 5

    @pytest.mark.parametrize("value", [0.01, "0.01", Decimal("0.01")])
    def test_a_tolerance_is_exact(self, value: Any) -> None:
        total = ControlTotal.model_validate({"column": "a", "sql": "select 1", "tolerance": value})
        assert total.tolerance == Decimal("0.01")

    @pytest.mark.parametrize("value", [-1, "x", float("nan"), True, None])
    def test_wrong_tolerances(self, value: Any) -> None:
        with pytest.raises(ValidationError):
            ControlTotal.model_validate({"column": "a", "sql": "select 1", "tolerance": value})

    def test_what_is_configured(self) -> None:
        checks = DatasetChecks.model_validate(
            {"rows": {"min": 0}, "not_null": [], "unique": ["id"], "columns": "fixed"}
        )
        assert checks.configured == ["rows", "columns", "unique"]
        assert DatasetChecks().configured == []


class TestNotifications:
    def test_recipients_are_told_apart_by_type(self) -> None:
        assert RECIPIENT.validate_python({"type": "email", "to": ["a@b.c"]}) == EmailRecipient(to=["a@b.c"])
        for entry in ({"to": ["a@b.c"]}, {"type": "sms"}, {"type": "email", "url": "https://h"}, "a@b.c"):
            with pytest.raises(ValidationError):
                RECIPIENT.validate_python(entry)

    @pytest.mark.parametrize("address", ["a@b.c", "first.last+tag@sub.example.org", "x_1@e-x.org", "ü@example.org"])
    def test_addresses(self, address: str) -> None:
        assert EmailRecipient(to=[address]).to == [address]
        assert REFERENCE.validate_python(address) == address

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "ann",
            "ann@",
            "@example.org",
            "ann@localhost",
            "a b@c.d",
            "a@b@c.d",
            "Ann <a@b.c>",
            "a@b.c,d@e.f",
            "a@b.c\n",
            "a@b.c\nBcc: x@y.z",
            "a@b.c\0",
            'a"@b.c',
        ],
    )
    def test_what_could_bend_a_header_is_no_address(self, address: str) -> None:
        with pytest.raises(ValidationError):
            EmailRecipient(to=[address])

    @pytest.mark.parametrize("url", ["https://h/x", "http://127.0.0.1:8080", "${env:URL}", "https://${env:HOST}/x"])
    def test_webhooks(self, url: str) -> None:
        assert RECIPIENT.validate_python({"type": "webhook", "url": url}).url == url

    @pytest.mark.parametrize("url", ["ftp://h/x", "h/x", "", "file:///etc/passwd", "javascript:x"])
    def test_other_urls_are_refused(self, url: str) -> None:
        with pytest.raises(ValidationError):
            RECIPIENT.validate_python({"type": "webhook", "url": url})

    def test_an_apprise_url_is_a_reference(self) -> None:
        assert RECIPIENT.validate_python({"type": "apprise", "url": "${file:/run/secrets/chat}"}).url
        with pytest.raises(ValidationError, match="holds a secret"):
            RECIPIENT.validate_python({"type": "apprise", "url": "slack://a/b/c"})

    @pytest.mark.parametrize(
        "scope", ["default", "org:lincoln-high", "org:A.b_c", "team:registrar", "ann@example.org", "team:A-b.c"]
    )
    def test_scopes(self, scope: str) -> None:
        assert SCOPE.validate_python(scope) == scope

    @pytest.mark.parametrize(
        "scope", ["", "Default", "org", "org:", "org:a/b", "team:", "ops", "ann@example", "org:a\n"]
    )
    def test_other_scopes_are_refused(self, scope: str) -> None:
        with pytest.raises(ValidationError):
            SCOPE.validate_python(scope)

    @pytest.mark.parametrize(
        ("text", "value"), [("07:30", time(7, 30)), ("7:30", time(7, 30)), ("0:00", time()), ("23:59", time(23, 59))]
    )
    def test_times_of_day(self, text: str, value: time) -> None:
        assert Digests(at=text).at == value
        assert Digests(at=value).at == value
        assert Digests(at=text).model_dump(mode="json")["at"] == f"{value:%H:%M}"

    @pytest.mark.parametrize(
        "value", [8, 7.3, "8", "24:00", "7:60", "7:30 pm", "07:30:00", "07:30Z", "07:30+02:00", "", None, True]
    )
    def test_what_is_no_time_of_day(self, value: Any) -> None:
        with pytest.raises(ValidationError, match="should be a time of day"):
            Digests(at=value)

    def test_a_time_with_a_zone_of_its_own_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="should be a time of day"):
            Digests(at=time(7, 30, tzinfo=UTC))

    def test_quiet_hours(self) -> None:
        hours = QuietHours.model_validate({"start": "22:00", "end": "7:00"})
        assert (hours.start, hours.end, hours.timezone) == (time(22), time(7), "UTC")
        assert "failure" not in hours.levels
        with pytest.raises(ValidationError, match="are the same time"):
            QuietHours.model_validate({"start": "7:00", "end": "07:00"})
        with pytest.raises(ValidationError, match="unknown timezone"):
            QuietHours.model_validate({"start": "7:00", "end": "08:00", "timezone": "Berlin"})

    def test_an_empty_list_differs_from_none(self) -> None:
        spec = NotifySpec.model_validate({"failure": []})
        assert (spec.failure, spec.success) == ([], None)
