"""What is generated from the models: the reference page, the JSON Schema and the file for a new export."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from export_pipelines.errors import SpecError
from export_pipelines.settings import Settings
from export_pipelines.spec.after import AfterSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.formats import FormatSpec
from export_pipelines.spec.load import load_specs
from export_pipelines.spec.locate import bare, fields, members
from export_pipelines.spec.model import SpecFile
from export_pipelines.spec.naming import PLACEHOLDERS
from export_pipelines.spec.schedules import PRESETS, ScheduleSpec
from export_pipelines.spec.schema import json_schema, main, reference_markdown
from export_pipelines.spec.starter import starter_yaml

ROOT = Path(__file__).parents[2]


def models() -> dict[str, type[BaseModel]]:
    """Every model that a spec file can hold, by name."""
    found: dict[str, type[BaseModel]] = {}

    def visit(annotation: Any) -> None:
        kind = bare(annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind.__name__ not in found:
                found[kind.__name__] = kind
                for field in fields(kind).values():
                    visit(field.annotation)
            return
        for part in getattr(kind, "__args__", ()):
            visit(part)

    visit(SpecFile)
    return found


def all_fields() -> Iterator[tuple[type[BaseModel], str, FieldInfo]]:
    for model in models().values():
        for key, field in fields(model).items():
            yield model, key, field


FIELDS = [pytest.param(*item, id=f"{item[0].__name__}.{item[1]}") for item in all_fields()]


def minimal(model: type[BaseModel], key: str) -> dict[str, Any]:
    """The least that the model accepts, to which an example of the key can be added."""
    if model is DatasetSpec:
        return {} if key in {"table", "sql"} else {"sql": "select 1"} if key == "params" else {"table": "t"}
    if model is ScheduleSpec:
        return _schedule_for(key)
    if model is AfterSpec:
        return {} if key in {"exports", "assets"} else {"exports": ["orders"]}
    entry = {name: field.examples[0] for name, field in fields(model).items() if field.is_required() and field.examples}
    if model is ExportSpec and key == "path":
        entry["org"] = "north"
    return entry


def _schedule_for(key: str) -> dict[str, Any]:
    """A schedule in which the key has a meaning."""
    if key in {"cron", "at"}:
        return {}
    details = {"minute": "hour", "time": "day", "weekday": "week", "day": "month", "working_day": "quarter"}
    if key in details:
        return {"every": details[key], **({} if key == "minute" else {"time": "07:30"})}
    return {"time": "07:30"} if key == "every" else {"cron": "0 2 * * *"}


@pytest.mark.parametrize(("model", "key", "field"), FIELDS)
def test_every_field_has_a_description_and_examples_that_validate(
    model: type[BaseModel], key: str, field: FieldInfo
) -> None:
    assert field.description, "describe the field"
    assert field.description.endswith("."), "write a sentence"
    assert field.examples, "give an example"
    for example in field.examples:
        model.model_validate({**minimal(model, key), key: example})


@pytest.mark.parametrize("model", models().values(), ids=lambda model: model.__name__)
def test_every_model_says_what_it_is(model: type[BaseModel]) -> None:
    assert (model.__doc__ or "").strip().endswith(".")


class TestPage:
    def test_the_committed_page_is_up_to_date(self) -> None:
        assert (ROOT / "docs" / "spec-reference.md").read_text("utf-8") == reference_markdown(), "run `make docs`"

    @pytest.mark.parametrize(("model", "key", "field"), FIELDS)
    def test_every_key_is_on_it(self, model: type[BaseModel], key: str, field: FieldInfo) -> None:
        row = next(
            line
            for line in reference_markdown().splitlines()
            if line.startswith(f"| `{key}` | ") and str(field.description) in line
        )
        assert len(re.findall(r"(?<!\\)\|", row)) == 6, "a | in a cell breaks the table"

    def test_every_name_that_exists_without_being_defined_is_on_it(self) -> None:
        page = reference_markdown()
        assert all(f"| `{{{name}}}` |" in page for name in PLACEHOLDERS)
        assert all(f"| `{name}` | `{cron}` |" in page for name, cron in PRESETS.items())

    @pytest.mark.parametrize(
        ("key", "words"),
        [
            ("recipients", "mapping of name to [recipient](#recipients)"),
            ("notify", "mapping of scope to [notify](#notify)"),
            ("to", "list of e-mail addresses"),
            ("failure", "list of [recipients](#recipients)"),
            ("start", "time of day"),
            ("at", "time of day | `07:30`"),
            ("tolerance", "number, at least 0 | `0`"),
            ("rows", "[bounds](#number-of-rows)"),
            ("levels", "list of `success`, `failure`, `warning`, `cleanup`, `digest`"),
        ],
    )
    def test_types_have_words(self, key: str, words: str) -> None:
        assert f"| `{key}` | {words} |" in reference_markdown()

    def test_links_lead_somewhere(self) -> None:
        page = reference_markdown()
        anchors = {
            re.sub(r"[^a-z0-9 ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.M)
        }
        assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors

    def test_its_example_is_valid(self, tmp_path: Path) -> None:
        blocks = re.findall(r"```yaml\n(.*?)```", reference_markdown(), re.DOTALL)
        assert blocks
        for number, block in enumerate(blocks):
            (tmp_path / f"{number}.yaml").write_text(block)
        assert load_specs(tmp_path, settings=Settings({})).require_valid().exports

    def test_it_is_printed(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.argv", ["schema"])
        main()
        assert capsys.readouterr().out == reference_markdown()
        monkeypatch.setattr("sys.argv", ["schema", "--json"])
        main()
        assert json.loads(capsys.readouterr().out) == json_schema()


def as_json(value: Any) -> Any:
    """YAML 1.1 dates as the text that editors see."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


class TestJsonSchema:
    validator = Draft202012Validator(json_schema())

    def accepts(self, text: str) -> bool:
        return bool(self.validator.is_valid(as_json(yaml.safe_load(text))))

    def test_it_is_a_schema(self) -> None:
        Draft202012Validator.check_schema(json_schema())
        assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def test_it_has_no_titles_made_from_names(self) -> None:
        found = [
            d
            for d in json_schema()["$defs"].values()
            for p in d["properties"].values()
            if isinstance(p.get("title"), str)
        ]
        assert found == []
        assert "title" in json_schema()["$defs"]["PdfFormat"]["properties"]

    @pytest.mark.parametrize("file", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda file: file.name)
    def test_it_accepts_the_shipped_specs(self, file: Path) -> None:
        errors = [
            f"{e.json_path}: {e.message}" for e in self.validator.iter_errors(as_json(yaml.safe_load(file.read_text())))
        ]
        assert errors == []

    @pytest.mark.parametrize(("model", "key", "field"), FIELDS)
    def test_it_accepts_every_example(self, model: type[BaseModel], key: str, field: FieldInfo) -> None:
        schema = json_schema()
        part = schema if model is SpecFile else schema["$defs"][model.__name__]
        validator = Draft202012Validator({"$defs": schema["$defs"], **part["properties"][key]})
        for example in field.examples or ():
            assert not list(validator.iter_errors(example))

    @pytest.mark.parametrize(
        "text",
        [
            "exports:",
            "x-anything: {a: [1, 2]}",
            "exports: {e: {source: s, datasets: {d: {table: t}}, formats: [csv, {type: pdf}], schedule: daily}}",
            "exports: {e: {source: s, datasets: {d: {table: t}}, formats: [csv], schedule: nightly, org: null}}",
            "exports: {e: {source: s, datasets: {d: {sql: select 1}}, formats: [csv], schedule: {cron: '@daily'}}}",
            "recipients: {o: {type: email, to: [a@b.c], quiet_hours: {start: '22:00', end: '7:00'}}}",
            "recipients: {o: {type: webhook, url: 'https://h', secret: null}, p: {type: apprise, url: '${env:X}'}}",
            "notify: {default: {failure: [ops, a@b.c], success: []}, 'org:x': {}, 'team:y': {}, a@b.c: {}}",
            "notify: {default: {escalation: {to: [ops]}, digests: {at: '08:00'}, fold_minutes: 5}}",
            "exports: {e: {source: s, datasets: {d: {table: t, checks: {rows: {min: 1}}}}, formats: [csv], reread: true}}",
            "x-c: {}\nexports: {e: {source: s, datasets: {d: {table: t, checks: null}}, formats: [csv], notify: {}}}",
        ],
    )
    def test_it_accepts_shorthands(self, text: str) -> None:
        assert self.accepts(text)

    @pytest.mark.parametrize(
        "text",
        [
            "export: {}",
            "exports: {E: {source: s, datasets: {d: {table: t}}, formats: [csv]}}",
            "exports: {e: {source: s, datasets: {d: {table: t}}, formats: [cvs]}}",
            "exports: {e: {source: s, datasets: {d: {table: t}}, formats: [{delimiter: ';'}]}}",
            "exports: {e: {source: s, datasets: {d: {tabel: t}}, formats: [csv]}}",
            "exports: {e: {source: s, datasets: {d: {table: t}}, formats: csv}}",
            "exports: {e: {source: s, datasets: {d: {table: t}}, formats: [csv], partition: dayly}}",
            "exports: {e: {datasets: {d: {table: t}}, formats: [csv]}}",
            "stores: {s: {bucket: b}}",
            "schedules: {s: {timezone: UTC}}",
            "connections: {c: {url: x, max_concurrent: 0}}",
            "recipients: {o: {to: [a@b.c]}}",
            "recipients: {o: {type: email, to: [Ann]}}",
            "recipients: {o: {type: email, to: []}}",
            "recipients: {o: {type: sms, to: [a@b.c]}}",
            "recipients: {o: {type: email, to: [a@b.c], quiet_hours: {start: '24:00', end: '7:00'}}}",
            "recipients: {o: {type: email, to: [a@b.c], quiet_hours: {start: 22, end: '7:00'}}}",
            "notify: {org: {failure: [ops]}}",
            "notify: {default: {failure: ops}}",
            "notify: {default: {failure: [Ops Team]}}",
            "notify: {default: {escalation: {after_failures: 3}}}",
            "exports: {e: {source: s, datasets: {d: {table: t, checks: {blocking: [row]}}}, formats: [csv]}}",
            "exports: {e: {source: s, datasets: {d: {table: t, checks: {columns: frozen}}}, formats: [csv]}}",
            "schedules: {s: {cron: '@daily', deadline_minutes: 0}}",
        ],
    )
    def test_it_refuses_mistakes(self, text: str) -> None:
        assert not self.accepts(text)


def test_the_shorthands_of_formats_are_all_formats() -> None:
    schema = TypeAdapter(FormatSpec).json_schema()
    names = next(choice["enum"] for choice in schema["anyOf"] if "enum" in choice)
    assert set(names) == {tag for tag, _ in members(bare(FormatSpec))}


class TestStarter:
    def load(self, directory: Path, text: str) -> Any:
        (directory / "new.yaml").write_text(text)
        return load_specs(directory, settings=Settings({})).require_valid()

    def test_it_is_valid_with_a_connection_of_its_own(self, tmp_path: Path) -> None:
        text = starter_yaml(
            "open_invoices", connection="erp-db", connection_url="postgresql://u@h/db", table="b.invoices"
        )
        found = self.load(tmp_path, text).exports["open_invoices"]
        assert (found.connection.url, found.spec.source) == ("postgresql://u@h/db", "erp-db")
        assert found.spec.datasets["open_invoices"].table == "b.invoices"

    def test_it_is_valid_with_a_connection_that_exists(self, tmp_path: Path) -> None:
        (tmp_path / "common.yaml").write_text("connections: {school: {url: 'sqlite:///x'}}")
        assert set(self.load(tmp_path, starter_yaml("students", connection="school")).exports) == {"students"}

    @pytest.mark.parametrize("option", re.findall(r"# ([a-z]\w*: .+)", starter_yaml("e").partition("exports:")[2]))
    def test_every_commented_option_works(self, tmp_path: Path, option: str) -> None:
        text = starter_yaml("e", connection_url="sqlite:///x")
        key = option.partition(":")[0]
        lines = [line for line in text.splitlines() if not re.match(rf" +{key}:", line)]
        place = lines.index(next(line for line in lines if line.strip() == f"# {option}"))
        lines[place] = lines[place].replace("# ", "", 1)
        self.load(tmp_path, "\n".join(lines))

    def test_the_commented_query_works(self, tmp_path: Path) -> None:
        text = starter_yaml("e", connection_url="sqlite:///x")
        head, tail = text.split("      # changes:\n")
        query, rest = tail.split("\n\n", 1)
        shown = "\n".join(line.replace("# ", "", 1) for line in ["      # changes:", *query.splitlines()])
        spec = self.load(tmp_path, f"{head}{shown}\n\n{rest}").exports["e"].spec
        assert "select * from changes" in (spec.datasets["changes"].sql or "")

    @pytest.mark.parametrize("table", ["a b", 'quo"te', "colon: x", "# hash", "{x}", "üñ", "tab\t", "null", "2026"])
    def test_any_table_name_survives(self, tmp_path: Path, table: str) -> None:
        specs = self.load(tmp_path, starter_yaml("e", connection_url="sqlite:///x", table=table))
        assert specs.exports["e"].spec.datasets["e"].table == table

    @pytest.mark.parametrize(
        ("url", "written"),
        [
            ("postgresql://u:hunter2@h/db", "postgresql://u:${env:MY_DB_PASSWORD}@h/db"),
            ("postgresql://u:hun:ter@2@h:5432/db?a=b@c", "postgresql://u:${env:MY_DB_PASSWORD}@h:5432/db?a=b@c"),
            ("mysql://h/db?user=u&password=hunter2", "mysql://h/db?user=u&password=${env:MY_DB_PASSWORD}"),
            ("postgresql://u:${env:PW}@h/db", "postgresql://u:${env:PW}@h/db"),
        ],
    )
    def test_a_password_becomes_a_reference(self, tmp_path: Path, url: str, written: str) -> None:
        text = starter_yaml("e", connection="my-db", connection_url=url)
        assert "hunter2" not in text
        assert self.load(tmp_path, text).connections["my-db"].url == written

    def test_a_secret_that_cannot_be_replaced_is_refused(self) -> None:
        with pytest.raises(SpecError, match="holds a secret in plain text") as caught:
            starter_yaml("e", connection_url="mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2")
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "near"), [("Open Invoices", "open_invoices"), ("con", "con_1"), ("2026", ""), ("../x", "x")]
    )
    def test_a_wrong_name_is_refused_with_a_better_one(self, name: str, near: str) -> None:
        with pytest.raises(SpecError, match=f"such as {near}$" if near else "letter$"):
            starter_yaml(name)
