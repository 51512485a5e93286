"""Spec files for the tests of the loader."""

from pathlib import Path

from export_pipelines.settings import Settings
from export_pipelines.spec.load import SpecSet, load_specs

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
