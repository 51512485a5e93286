"""Loading specs: every mistake of every file at once, and nothing but what depends on a mistake is left out."""

import json
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
from export_pipelines.spec.load import SpecSet, load_specs

MISTAKES = Path(__file__).with_name("mistakes")
EXPECTED = Path(__file__).with_name("mistakes.txt")

GOOD = """
connections:
  school: {url: "sqlite:///school.db"}
schedules:
  nightly: {cron: "0 2 * * *", timezone: Europe/Berlin}
exports:
  students:
    schedule: nightly
    source: school
    datasets:
      students: {table: students, columns: [id, name]}
      grades: {sql: "select * from grades where graded_at >= :window_start"}
    formats: [csv, {type: pdf, title: "{export} {partition}"}]
"""


def load(directory: Path, **variables: str) -> SpecSet:
    return load_specs(directory, settings=Settings(variables))


def load_text(directory: Path, *texts: str | bytes) -> SpecSet:
    for number, text in enumerate(texts):
        data = text.encode() if isinstance(text, str) else text
        (directory / f"{number}.yaml").write_bytes(data)
    return load(directory)


def lines(specs: SpecSet) -> list[str]:
    return [str(problem) for problem in specs.problems]


def export(text: str, *, name: str = "e") -> str:
    """A file with one export; `text` replaces or adds keys, in flow style."""
    return (
        "connections: {school: {url: 'sqlite:///x'}}\nexports:\n"
        f"  {name}: {{source: school, datasets: {{d: {{table: t}}}}, formats: [csv], {text}}}\n"
    )


class TestMistakes:
    """The directory `mistakes` holds one mistake of every kind; `mistakes.txt` is what people get to read."""

    def test_all_are_listed_with_file_line_and_advice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert lines(load(MISTAKES)) == EXPECTED.read_text("utf-8").splitlines()

    def test_only_what_depends_on_a_mistake_is_left_out(self) -> None:
        specs = load(MISTAKES)
        assert set(specs.exports) == {"no", "daily_report", "payments"}
        assert set(specs.connections) == {"school"}
        assert set(specs.stores) == {"local"}
        assert set(specs.schedules) == {"daily", "leftover_schedule"}

    def test_each_export_left_out_knows_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        why = {name: [f"{p.file}:{p.line}" for p in found] for name, found in load(MISTAKES).quarantined.items()}
        assert why["bank_report"] == ["connections.yaml:20"]
        assert why["bills"] == ["connections.yaml:3", "connections.yaml:3"]
        assert why["lake_report"] == ["connections.yaml:11"]
        assert why["orders"] == ["duplicates_b.yaml:2"]
        assert "syntax_tab.yaml:2" in why["lost"], "its connection may be in a file that cannot be read"
        assert "payments" not in why

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
        assert specs.schedules["daily"].cron == "0 2 * * *"
        assert list(specs.schedules) == ["daily"]

    def test_a_schedule_with_the_name_of_a_preset_replaces_it(self, tmp_path: Path) -> None:
        text = export("schedule: daily") + "schedules: {daily: {cron: '30 4 * * *', timezone: Asia/Tokyo}}"
        specs = load_text(tmp_path, text)
        assert (specs.schedules["daily"].cron, specs.exports["e"].timezone) == ("30 4 * * *", "Asia/Tokyo")

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


class TestYaml:
    def check(self, directory: Path, text: str | bytes) -> list[str]:
        return [line.removeprefix("0.yaml:") for line in lines(load_text(directory, text))]

    def test_a_byte_order_mark_and_windows_line_ends_are_fine(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
        assert (lines(specs), list(specs.exports)) == ([], ["students"])

    def test_other_encodings_are_named(self, tmp_path: Path) -> None:
        assert self.check(tmp_path, "# fine\n# Münster\n".encode("latin-1")) == [
            "2: is not UTF-8 here; save the file as UTF-8"
        ]
        assert self.check(tmp_path, GOOD.encode("utf-16")) == ["1: is not UTF-8 here; save the file as UTF-8"]

    def test_control_characters_are_named(self, tmp_path: Path) -> None:
        message = "holds the control character U+0000; remove it, or write it as an escape"
        assert self.check(tmp_path, "# a\n# b\0\n") == [f"2: {message}"]

    def test_anchors_and_merge_keys_work(self, tmp_path: Path) -> None:
        text = """
x-base: &base {source: school, formats: [csv], max_rows: 1}
x-more: &more {max_rows: 2, on_empty: skip}
connections: {school: {url: "sqlite:///x"}}
exports:
  a: {<<: [*base, *more], datasets: &d {d: {table: t}}}
  b: {<<: *base, datasets: *d, max_rows: 3}
"""
        specs = load_text(tmp_path, text)
        assert lines(specs) == []
        a, b = specs.exports["a"].spec, specs.exports["b"].spec
        assert (a.max_rows, a.on_empty, b.max_rows, b.on_empty) == (1, "skip", 3, "write")
        assert a.datasets == b.datasets

    def test_a_mistake_in_an_anchor_is_shown_where_it_is(self, tmp_path: Path) -> None:
        text = "x: &x\nx-base: &base\n  max_rows: many\n" + export("<<: *base")
        assert self.check(tmp_path, text.replace("x: &x\n", "")) == [
            "2 exports.e.max_rows: should be a whole number, not 'many'"
        ]

    def test_aliases_cannot_blow_up(self, tmp_path: Path) -> None:
        bomb = "x-0: &a0 [x]\n" + "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
        before = time.perf_counter()
        assert self.check(tmp_path, bomb + "exports: {e: {description: *a11}}\n") == [
            "7: the aliases expand to far too many values"
        ]
        assert time.perf_counter() - before < 5

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("x-a: &a [*a]\n", 1, "an anchor holds an alias of itself"),
            ("[" * 200_000, 1, "is nested deeper than 50 levels"),
            ("a: *b\n", 1, "there is no anchor for this alias in the file; text that begins with `*` needs quotes"),
            ("x-a: &a 1\nx-b: &a 2\n", 2, "an anchor of this name exists already; give it another name"),
            ("a: @daily\n", 1, "text that begins with @ needs quotes"),
            ("a: %x\n", 1, "text that begins with % needs quotes"),
            ("a: 'it's'\n", 1, "quoted text ends before the line does; write '' for a quote inside it"),
            ('a: "C:\\d"\n', 1, "unknown escape in double quotes; use single quotes, or \\\\ for a backslash"),
            ("a:\n  b: 1\n c: 2\n", 3, "this line does not fit the lines above it; check the indentation"),
            ("a:\n  b: [1,\n", 2, "a value is missing here, or a `[` or `{` above is not closed"),
            ("a: - b\n", 1, "write list items (`- …`) on lines of their own"),
            ('a: "x\n', 1, "the quoted text that begins here is not closed"),
            ("text", 1, "should be a mapping with the keys connections, stores, calendars, schedules, exports"),
        ],
    )
    def test_syntax_errors_say_what_to_do(self, tmp_path: Path, text: str, line: int, message: str) -> None:
        assert self.check(tmp_path, text) == [f"{line}: {message}"]

    def test_syntax_errors_do_not_show_the_text(self, tmp_path: Path) -> None:
        for text in ("*hunter2", "!hunter2", "'a' hunter2", "@hunter2", '"\\hunter2"', "a: hunter2: b"):
            found = self.check(tmp_path, f"stores:\n  s:\n    type: s3\n    bucket: b\n    secret_access_key: {text}\n")
            assert len(found) >= 1, text
            assert "hunter2" not in "".join(found), text

    def test_words_that_yaml_takes_for_booleans_stay_text(self, tmp_path: Path) -> None:
        text = (
            export("org: NO, description: off, spreadsheet_safe: no", name="no")
            + "  on: {formats: [csv], source: school, datasets: {yes: {table: y, filters: {off: NO, b: true, t: 12:30}}}}\n"
        )
        specs = load_text(tmp_path, text)
        assert lines(specs) == []
        no, on = specs.exports["no"].spec, specs.exports["on"].spec
        assert (no.org, no.description, no.spreadsheet_safe) == ("NO", "off", False)
        assert on.datasets["yes"].filters == {"off": "NO", "b": True, "t": "12:30"}

    def test_text_that_yaml_reads_as_something_else_needs_quotes(self, tmp_path: Path) -> None:
        text = export("description: 2026-01-31") + export("description: 1.50", name="f").split("exports:\n")[1]
        assert self.check(tmp_path, text) == [
            "3 exports.e.description: should be text; YAML reads 2026-01-31 as a date, so write it in quotes",
            "4 exports.f.description: should be text; YAML reads 1.50 as a number, so write it in quotes",
        ]

    def test_numbers_with_leading_zeros_are_not_read_as_octal(self, tmp_path: Path) -> None:
        found = self.check(
            tmp_path,
            export("datasets: {d: {table: t, filters: {zip: 01234}}}").replace("datasets: {d: {table: t}}, ", ""),
        )
        assert found == [
            "3 exports.e.datasets.d.filters.zip: a number does not begin with 0; remove the zero, or write quotes around it "
            "if it is text"
        ]

    def test_keys_given_twice_name_both_lines_at_every_depth(self, tmp_path: Path) -> None:
        text = export("").replace(
            "exports:\n",
            "exports:\n  f:\n    source: school\n    datasets:\n      d: {table: a}\n      d: {table: b}\n    formats: [csv]\n    source: school\n",
        )
        assert self.check(tmp_path, text) == [
            "7 exports.f.datasets.d: is given twice; the first time on line 6",
            "9 exports.f.source: is given twice; the first time on line 4",
        ]

    @pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "a" * 300, "", "..", "a/b", "Ünï", "con", "é"])
    def test_hostile_names_give_one_readable_line(self, tmp_path: Path, name: str) -> None:
        found = lines(load_text(tmp_path, export("", name=json.dumps(name))))
        assert len(found) == 1
        assert found[0].isprintable()
        assert len(found[0]) < 350


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
            "spreadsheet_safe: true",
            "partition: daily",
            "formats: [{type: csv, delimiter: ',', header: true}]",
        ]
        for other in others:
            key = other.partition(":")[0]
            text = export(other).replace("formats: [csv], ", "") if key == "formats" else export(other)
            assert self.digest(tmp_path, text) == plain, other

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


_FRAGMENTS = st.sampled_from(
    [
        *GOOD.split(),
        *("\n", "  ", "    ", ": ", "{", "}", "[", "]", "- ", "*a", "&a ", "<<", "!x", "|\n", "'", '"', "~", "\t"),
        *("null", "true", "1", "-1", "2026-01-31", ".nan", "0x", "012", "exports:", "stores:", "type: s3", "${"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 30), _FRAGMENTS), max_size=5))
def test_nothing_that_a_file_says_raises(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, str]]
) -> None:
    text = GOOD
    for position, cut, piece in edits:
        text = text[:position] + piece + text[position + cut :]
    directory = tmp_path_factory.mktemp("specs")
    specs = load_text(directory, text)
    for line in lines(specs):
        assert line.isprintable()
    assert not set(specs.exports) & set(specs.quarantined)
