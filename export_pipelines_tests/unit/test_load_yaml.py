"""Loading specs: what YAML files may hold, and what they get when they hold something else."""

import json
import time
from pathlib import Path

import pytest

from export_pipelines_tests.unit.loading import GOOD, export, lines, load_text


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
            (
                "text",
                1,
                "should be a mapping with the keys connections, stores, calendars, schedules, recipients, notify, retention, exports",
            ),
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
