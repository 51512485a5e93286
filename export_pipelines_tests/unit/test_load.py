"""Loading specs: every mistake of every file at once, and nothing but what depends on a mistake is left out."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.errors import ConfigurationError, SpecError
from export_pipelines.settings import Settings
from export_pipelines.spec.load import load_specs
from export_pipelines.spec.schedules import TAKEN
from export_pipelines_tests.unit.loading import GOOD, export, lines, load, load_text

MISTAKES = Path(__file__).with_name("mistakes")
EXPECTED = Path(__file__).with_name("mistakes.txt")


class TestMistakes:
    """The directory `mistakes` holds one mistake of every kind; `mistakes.txt` is what people get to read."""

    def test_all_are_listed_with_file_line_and_advice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert lines(load(MISTAKES)) == EXPECTED.read_text("utf-8").splitlines()

    def test_only_what_depends_on_a_mistake_is_left_out(self) -> None:
        specs = load(MISTAKES)
        waiting = {"second", "chick"}  # for exports with mistakes
        assert set(specs.exports) == {"no", "daily_report", "payments", "heard_by_nobody", "on_request", *waiting}
        assert set(specs.connections) == {"school"}
        assert set(specs.stores) == {"local"}
        assert set(specs.schedules) == {"daily", "leftover_schedule"}
        assert set(specs.recipients) == {"ops"}
        assert set(specs.notify) == {"team:works"}

    def test_each_export_left_out_knows_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        why = {name: [f"{p.file}:{p.line}" for p in found] for name, found in load(MISTAKES).quarantined.items()}
        assert why["bank_report"] == ["connections.yaml:20"]
        assert why["bills"] == ["connections.yaml:3", "connections.yaml:3"]
        assert why["lake_report"] == ["connections.yaml:11"]
        assert why["orders"] == ["duplicates_b.yaml:2"]
        assert "syntax_tab.yaml:2" in why["lost"], "its connection may be in a file that cannot be read"
        assert not {"payments", "heard_by_nobody"} & set(why)

    def test_an_export_is_not_blamed_for_what_only_others_name(self, tmp_path: Path) -> None:
        entry = "{{source: {}, store: {}, schedule: {}, datasets: {{d: {{table: t}}}}, formats: [csv]}}\n"
        specs = load_text(
            tmp_path,
            "connections: {c: {url: x}}\nstores: {s: {type: s3}}\nschedules: {t: {cron: x}}\nexports:\n"
            f"  a: {entry.format('c', 's', 't')}  b: {entry.format('c', 'local', 'daily')}"
            f"  d: {entry.format('c', 's', 'unknown_schedule_name')}  e: {entry.format('c', 'local', 'daily')}",
            "broken: [\n",
        )
        why = {name: [p.path or p.file for p in problems] for name, problems in specs.quarantined.items()}
        bad = ["connections.c.url", "stores.s.bucket", "schedules.t.cron"]
        assert why == {"a": bad, "b": bad[:1], "d": [*bad[:2], "1.yaml"], "e": bad[:1]}

    def test_the_strict_mode_raises_all_of_them(self) -> None:
        specs = load(MISTAKES)
        with pytest.raises(SpecError) as caught:
            specs.require_valid()
        assert str(caught.value).splitlines() == lines(specs)

    def test_no_message_holds_a_secret(self) -> None:
        assert not [line for line in lines(load(MISTAKES)) if "hunter2" in line]

    def test_problems_of_an_export_name_it(self) -> None:
        problems = load(MISTAKES).problems
        assert {p.export for p in problems if p.path.startswith("exports.grades")} == {"grades"}
        assert {p.export for p in problems if p.path.startswith(("stores", "schedules"))} == {None}


class TestResolving:
    def test_a_good_file_has_no_problems(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, GOOD)
        assert specs.require_valid() is specs
        assert specs.quarantined == {}
        found = specs.exports["students"]
        assert (found.schedule_name, found.timezone, found.calendar) == ("nightly", "Europe/Berlin", None)
        assert found.connection.url == "sqlite:///school.db"
        assert found.store.root == "${env:EXPORT_STORAGE_PATH}"
        assert found.max_rows == 10_000_000
        assert specs.files == (str(Path(tmp_path.name) / "0.yaml"),) or specs.files == ("0.yaml",)

    def test_files_may_refer_to_one_another(self, tmp_path: Path) -> None:
        head, tail = GOOD.split("exports:\n")
        assert set(load_text(tmp_path, "exports:\n" + tail, head).exports) == {"students"}

    def test_max_rows_is_the_environments_unless_set(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text(GOOD)
        (tmp_path / "b.yaml").write_text(
            "exports: {b: {source: school, max_rows: 5, datasets: {d: {table: t}}, formats: [csv]}}"
        )
        specs = load(tmp_path, EXPORT_MAX_RECORDS="99")
        assert (specs.exports["students"].max_rows, specs.exports["b"].max_rows) == (99, 5)
        with pytest.raises(ConfigurationError, match="EXPORT_MAX_RECORDS is 'many'"):
            load(tmp_path, EXPORT_MAX_RECORDS="many")

    def test_presets_share_a_schedule(self, tmp_path: Path) -> None:
        specs = load_text(
            tmp_path, export("schedule: daily", name="a"), export("schedule: daily", name="b").split("\n", 1)[1]
        )
        assert lines(specs) == []
        assert specs.exports["a"].schedule == specs.exports["b"].schedule == specs.schedules["daily"]
        assert specs.schedules["daily"].cron == ("0 2 * * *",)
        assert list(specs.schedules) == ["daily"]

    def test_a_schedule_with_the_name_of_a_preset_replaces_it(self, tmp_path: Path) -> None:
        text = export("schedule: daily") + "schedules: {daily: {cron: '30 4 * * *', timezone: Asia/Tokyo}}"
        specs = load_text(tmp_path, text)
        assert (specs.schedules["daily"].cron, specs.exports["e"].timezone) == (("30 4 * * *",), "Asia/Tokyo")

    def test_a_broken_schedule_with_the_name_of_a_preset_does_not_fall_back_to_it(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, export("schedule: daily") + "schedules: {daily: {cron: x}}")
        assert dict(specs.exports) == {}
        assert [p.path for p in specs.quarantined["e"]] == ["schedules.daily.cron"]

    def test_a_timing_in_place_is_named_after_the_export(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, export("schedule: {cron: '0 5 * * *', timezone: Asia/Kolkata}"))
        assert specs.exports["e"].schedule_name == "e_schedule"
        assert specs.schedules == {"e_schedule": specs.exports["e"].schedule}
        assert specs.exports["e"].timezone == "Asia/Kolkata"

    def test_without_a_schedule_an_export_is_on_request_and_in_utc(self, tmp_path: Path) -> None:
        found = load_text(tmp_path, export("")).exports["e"]
        assert (found.schedule, found.schedule_name, found.timezone) == (None, None, "UTC")

    def test_the_schedules_calendar_comes_along(self, tmp_path: Path) -> None:
        text = (
            export("schedule: s")
            + "calendars: {c-1: {weekend: [fri]}}\nschedules: {s: {cron: '@daily', calendar: c-1}}"
        )
        found = load_text(tmp_path, text).exports["e"]
        assert found.calendar is not None
        assert found.calendar.weekend == {"fri"}

    def test_the_local_store_can_be_defined(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, export("") + "stores: {local: {type: local, root: /srv}}")
        assert specs.exports["e"].store.root == "/srv"

    def test_secrets_need_not_be_set(self, tmp_path: Path) -> None:
        text = GOOD.replace("sqlite:///school.db", "postgresql://u:${env:NOT_SET}@${file:/run/secrets/none}/db")
        assert set(load_text(tmp_path, text).exports) == {"students"}

    def test_literal_passwords_are_found_wherever_a_url_can_hold_them(self, tmp_path: Path) -> None:
        urls = {
            "postgresql://u:hunter2@h/db": False,
            "postgresql://u:hun@ter2@h:5432/db": False,
            "postgresql://:hunter2@h/db": False,
            "postgresql://u:x${env:P}@h/db": False,
            "mysql+pymysql://h/db?user=u&passwd=hunter2": False,
            "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BX%7D%3BPWD%3Dhunter2": False,
            "https://h/container?sv=2024&sig=hunter2": False,
            "postgresql://u:${env:P}@h/db": True,
            "postgresql://${env:USER}:${file:/run/secrets/p@ss}@h:5432/db?sslmode=require": True,
            "postgresql://u@h:5432/db?application_name=a@b:c": True,
            "sqlite:////data/a:b@c/x.db": True,
            "duckdb:///data": True,
            "${env:WHOLE_URL}": True,
        }
        text = "connections:\n" + "".join(f"  c{n}: {{url: '{url}'}}\n" for n, url in enumerate(urls))
        specs = load_text(tmp_path, text)
        assert set(specs.connections) == {f"c{n}" for n, fine in enumerate(urls.values()) if fine}
        assert "hunter2" not in "\n".join(lines(specs))
        assert all("write `${env:C" in line for line in lines(specs))

    def test_an_entry_that_is_only_a_url_is_a_mistake_that_shows_no_password(self, tmp_path: Path) -> None:
        assert lines(load_text(tmp_path, "connections:\n  c: postgresql://u:hunter2@h/db\n")) == [
            "0.yaml:2 connections.c: holds a secret in plain text; keep it in the environment and write "
            "`${env:C_PASSWORD}` in its place",
            "0.yaml:2 connections.c: should be a mapping (`key: value`)",
        ]


class TestAfter:
    def test_both_ways_to_write_it_mean_the_same(self, tmp_path: Path) -> None:
        entries = [("a", ""), ("b", "after: [a]"), ("c", "after: {exports: [a]}")]
        texts = [export(f"schedule: daily, {after}", name=name) for name, after in entries]
        first, *others = texts
        specs = load_text(tmp_path, first, *(text.split("\n", 1)[1] for text in others))
        assert lines(specs) == []
        assert specs.exports["b"].spec.waits_for == specs.exports["c"].spec.waits_for
        assert specs.exports["a"].spec.waits_for is None

    def test_an_unknown_export_is_a_mistake(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, export("schedule: daily, after: [xyz]"))
        assert lines(specs) == ["0.yaml:3 exports.e.after[0]: unknown export 'xyz'; none is defined"]
        assert set(specs.quarantined) == {"e"}

    def test_what_may_be_in_a_file_that_cannot_be_read_is_waited_for(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, export("schedule: daily, after: [xyz]"), "broken: [\n")
        assert set(specs.exports) == {"e"}
        assert [line for line in lines(specs) if "after" in line] == []


class TestFiles:
    def test_a_missing_directory_is_a_problem_with_advice(self, tmp_path: Path) -> None:
        missing = tmp_path / "none"
        assert lines(load(missing)) == [
            f"{missing}: does not exist; create it, or set EXPORT_SPECS to the directory of the spec files"
        ]

    def test_an_empty_directory_is_no_problem(self, tmp_path: Path) -> None:
        specs = load(tmp_path)
        assert (specs.problems, specs.files) == ([], ())

    def test_several_directories_and_single_files_are_merged_each_file_once(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "x.yaml").write_text(GOOD)
        (tmp_path / "one.txt").write_text(
            "exports: {more: {source: school, datasets: {d: {table: t}}, formats: [csv]}}"
        )
        found = load_specs([tmp_path / "a", tmp_path / "a" / "b", tmp_path / "one.txt"], settings=Settings({}))
        assert lines(found) == []
        assert set(found.exports) == {"students", "more"}

    def test_files_are_shown_relative_to_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "specs").mkdir()
        (tmp_path / "specs" / "a.yaml").write_text("exports: 5")
        expected = "should be a mapping of names, each with its settings below it"
        assert lines(load(tmp_path / "specs")) == [f"a.yaml:1 exports: {expected}"]
        monkeypatch.chdir(tmp_path)
        assert lines(load(Path("specs"))) == [f"specs/a.yaml:1 exports: {expected}"]

    def test_a_mounted_kubernetes_configmap_is_read_once(self, tmp_path: Path) -> None:
        (tmp_path / "..2026_01_01").mkdir()
        (tmp_path / "..2026_01_01" / "a.yaml").write_text(GOOD)
        (tmp_path / "..data").symlink_to("..2026_01_01")
        (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
        specs = load(tmp_path)
        assert (lines(specs), list(specs.exports)) == ([], ["students"])

    def test_a_dangling_link_and_a_huge_file_are_problems(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").symlink_to("nowhere")
        with (tmp_path / "b.yaml").open("wb") as file:
            os.truncate(file.fileno(), 11_000_000)
        assert lines(load(tmp_path)) == [
            "a.yaml: cannot be read: No such file or directory; check that it exists and its permissions",
            "b.yaml: is larger than 10 MB; split it, or move it out of the specs",
        ]

    @pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "exports:\nconnections: {}\nstores: ~\n"])
    def test_a_file_may_be_empty(self, tmp_path: Path, text: str) -> None:
        assert lines(load_text(tmp_path, text)) == []

    def test_a_broken_file_takes_no_other_down(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, GOOD, "exports: {a: [\n", b"exports: \xff\n")
        assert list(specs.exports) == ["students"]
        assert [(p.file, p.line) for p in specs.problems] == [("1.yaml", 1), ("2.yaml", 1)]

    def test_names_that_may_be_in_a_broken_file_are_not_called_unknown(self, tmp_path: Path) -> None:
        head, tail = GOOD.split("exports:\n")
        specs = load_text(tmp_path, head + "  x: [\n", "exports:\n" + tail)
        assert [p.file for p in specs.problems] == ["0.yaml"]
        assert list(specs.quarantined["students"]) == specs.problems

    def test_names_defined_in_two_files_are_both_left_out(self, tmp_path: Path) -> None:
        both = GOOD.replace("students:\n    schedule", "pupils:\n    schedule")
        specs = load_text(tmp_path, GOOD, both)
        assert dict(specs.exports) == {}
        assert lines(specs) == [
            "1.yaml:3 connections.school: is defined already on 0.yaml:3; neither is used until one is renamed or removed",
            "1.yaml:5 schedules.nightly: is defined already on 0.yaml:5; neither is used until one is renamed or removed",
        ]


class TestHash:
    def digest(self, directory: Path, text: str, name: str = "e") -> str:
        specs = load_text(directory, text)
        assert lines(specs) == []
        return specs.exports[name].spec_sha256

    def test_it_ignores_what_does_not_shape_the_content(self, tmp_path: Path) -> None:
        plain = self.digest(tmp_path, export(""))
        others = [
            "description: Other",
            "owners: ['team:x']",
            "tags: {a: b}",
            "schedule: daily",
            "retries: {max_retries: 1}",
            "max_rows: 7",
            "path: '{run_id}'",
            "on_empty: skip",
            "reread: true",
            "notify: {failure: [ann@example.org]}",
            "retention: {keep_days: 30}",
            "spreadsheet_safe: true",
            "partition: daily",
            "formats: [{type: csv, delimiter: ',', header: true}]",
        ]
        for other in others:
            key = other.partition(":")[0]
            text = export(other).replace("formats: [csv], ", "") if key == "formats" else export(other)
            assert self.digest(tmp_path, text) == plain, other
        checked = export("").replace("table: t", "table: t, checks: {rows: {min: 1}}")
        assert self.digest(tmp_path, checked) == plain

    def test_it_changes_with_what_shapes_the_content(self, tmp_path: Path) -> None:
        base = "formats: [csv], "
        texts = [
            export(""),
            export("", name="f"),
            export("spreadsheet_safe: false"),
            export("partition: weekly"),
            export("schedule: {cron: '@daily', timezone: Europe/Berlin}"),
            export("formats: [xlsx]").replace(base, ""),
            export("formats: [{type: csv, bom: true}]").replace(base, ""),
            export("formats: [csv, pdf]").replace(base, ""),
            export("").replace("table: t", "table: u"),
            export("").replace("table: t", "table: t, filters: {a: {eq: null}}"),
            export("").replace("table: t", "table: t, filters: {a: {ne: null}}"),
            export("").replace("table: t", "table: t, filters: {a: 1}"),
            export("").replace("table: t", "table: t, filters: {a: '1'}"),
            export("").replace("d: {table: t}", "d: {table: t}, e: {table: t}"),
            export("").replace("d: {table: t}", "e: {table: t}, d: {table: t}"),
            export("").replace("school", "other"),
        ]
        names = ["f" if number == 1 else "e" for number in range(len(texts))]
        assert len({self.digest(tmp_path, text, name) for text, name in zip(texts, names, strict=True)}) == len(texts)

    def test_a_description_counts_where_the_pdf_shows_it(self, tmp_path: Path) -> None:
        pdf = "formats: [{type: pdf, title: '{description}'}]"
        texts = [export(f"description: {word}, {pdf}").replace("formats: [csv], ", "") for word in ("one", "two")]
        assert self.digest(tmp_path, texts[0]) != self.digest(tmp_path, texts[1])


def test_loading_needs_neither_dagster_nor_data_libraries(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "calendars: {c: {country: DE, subdivision: BE}}\n")
    code = (
        "import sys; from pathlib import Path; from export_pipelines.spec.load import load_specs;"
        "from export_pipelines.settings import Settings;"
        f"specs = load_specs(Path({str(tmp_path)!r}), settings=Settings({{}})).require_valid();"
        "assert list(specs.exports) == ['students'];"
        "heavy = {'dagster', 'pandas', 'pyarrow', 'polars', 'sqlalchemy', 'numpy', 'boto3', 'holidays'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_two_hundred_exports_load_in_well_below_a_second(tmp_path: Path) -> None:
    head, entry = GOOD.split("exports:\n")
    (tmp_path / "head.yaml").write_text(head)
    for number in range(200):
        (tmp_path / f"{number}.yaml").write_text("exports:\n" + entry.replace("  students:\n", f"  e{number}:\n", 1))
    load(tmp_path)
    before = time.process_time()
    specs = load(tmp_path)
    assert len(specs.exports) == 200
    assert time.process_time() - before < 1


_EVERYTHING = f"""{GOOD.rstrip()}
    notify: {{failure: [ops], escalation: {{to: [ann@example.org], after_hours: 2}}}}
recipients:
  ops: {{type: email, to: [ops@example.org], quiet_hours: {{start: 22:00, end: 07:00, levels: [success]}}}}
  chat: {{type: apprise, url: "${{env:CHAT}}"}}
notify:
  default: {{failure: [ops, chat], digests: {{at: 8:00, weekly_on: mon}}}}
  org:x: {{success: []}}
"""
_FRAGMENTS = st.sampled_from(
    [
        *_EVERYTHING.split(),
        *("\n", "  ", "    ", ": ", "{", "}", "[", "]", "- ", "*a", "&a ", "<<", "!x", "|\n", "'", '"', "~", "\t"),
        *("null", "true", "1", "-1", "2026-01-31", ".nan", "0x", "012", "exports:", "stores:", "type: s3", "${"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_EVERYTHING)), st.integers(0, 30), _FRAGMENTS), max_size=5))
def test_nothing_that_a_file_says_raises(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, str]]
) -> None:
    text = _EVERYTHING
    for position, cut, piece in edits:
        text = text[:position] + piece + text[position + cut :]
    directory = tmp_path_factory.mktemp("specs")
    specs = load_text(directory, text)
    for line in lines(specs):
        assert line.isprintable()
    assert not set(specs.exports) & set(specs.quarantined)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_a_schedule_cannot_have_the_name_of_one_of_ours(tmp_path: Path, name: str) -> None:
    specs = load_text(tmp_path, export(f"schedule: {name}"), f"\nschedules:\n  {name}: {{cron: 0 3 * * *}}\n")
    assert f"schedules.{name}: is the name of a schedule or sensor that exists already" in str(specs.problems[0])
    assert "e" in specs.quarantined
