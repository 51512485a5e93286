"""The file that `exports new NAME` writes: a commented entry to start from."""

from __future__ import annotations

import json
import re

from export_pipelines.errors import SpecError
from export_pipelines.spec.base import NAME_PATTERN
from export_pipelines.spec.messages import slug
from export_pipelines.spec.naming import is_reserved
from export_pipelines.spec.references import SECRET_KEYS, literal_secret

_SECRET_PARAMETER = re.compile(rf"([?&][^=&]*(?:{SECRET_KEYS.pattern})[^=&]*=)[^&]+", re.IGNORECASE)

_CONNECTION = """\
connections:
  # Where rows come from. Secrets stay in the environment: ${{env:NAME}}, or ${{file:/run/secrets/name}}.
  {connection}:
    url: {url}

"""

_EXPORT = """\
exports:
  {name}:
    description: {description} # what it is, and who it is for
    # owners: ["team:reporting", ann@example.org]

    # When: hourly, daily, weekly, monthly, the name of a schedule, or a timing of its own. Without it, on request only.
    schedule: daily
    # schedule: {{cron: "30 6 * * 1-5", timezone: Europe/Berlin}}
    # schedule: {{every: month, working_day: last, time: "18:00", timezone: Europe/Berlin}}

    # What one run covers, and the first day: the partition key of a daily export is a date, such as 2026-01-31.
    partition: daily
    # start: 2026-01-01

    source: {connection}
    datasets:
      # One file, sheet or section each. A table with filters:
      {dataset}:
        table: {table}
        # columns: [id, name, email]
        # filters: {{status: active, score: {{ge: 10}}, deleted_at: null}}
        # window: created_at # only the rows of the partition's day
        # order_by: [id, -created_at]
        # checks: {{rows: {{min: 1}}, not_null: [id], unique: [id], blocking: [rows]}} # what must hold of the rows
      # Or SQL, with the partition's window as parameters:
      # changes:
      #   sql: |
      #     select * from changes
      #     where changed_at >= :window_start and changed_at < :window_end

    # csv, json, jsonl, parquet, xlsx, pdf; a mapping sets options.
    formats: [csv]
    # formats: [{{type: csv, delimiter: ";", bom: true}}, xlsx, {{type: pdf, title: "{{export}} {{partition}}"}}]

    # store: local # a directory on disk; define a store of type s3 for a bucket
    # max_rows: 100000 # the run fails if a dataset has more
    # on_empty: write # or skip, or fail
    # reread: true # read the published files again and compare them with what was written
    # notify: {{failure: [ann@example.org], warning: [ann@example.org]}} # who hears of it; names of recipients work too
"""


def starter_yaml(
    name: str, *, connection: str = "source", connection_url: str | None = None, table: str | None = None
) -> str:
    """A valid spec file for a new export, with the most used options as comments.

    It reads `table` (the export's name if None) from `connection`, which the file defines if `connection_url` is given.
    A password in the URL is replaced by a reference to an environment variable. Raises SpecError if `name` is not a
    valid name, or the URL holds a secret that cannot be replaced.
    """
    if not re.fullmatch(NAME_PATTERN, name) or is_reserved(name):
        near = f", such as {slug(name)}" if slug(name) else ""
        raise SpecError(
            f"{name!r} cannot be the name of an export",
            hint=f"Use lower-case letters, digits and `_`, beginning with a letter{near}",
        )
    head = f"# The export {name}. All keys: docs/spec-reference.md. Check it with: exports check\n\n"
    if connection_url is not None:
        url = _quoted(without_password(connection_url, f"{connection}_password".upper().replace("-", "_")))
        head += _CONNECTION.format(connection=connection, url=url)
    return head + _EXPORT.format(
        name=name,
        description=_quoted(name.replace("_", " ").capitalize()),
        connection=connection,
        dataset=name,
        table=_quoted(table or name),
    )


def without_password(url: str, variable: str) -> str:
    """The URL with references to the environment variable in place of literal secrets.

    Raises SpecError if a secret is where it cannot be replaced. The message does not hold it.
    """
    reference = f"${{env:{variable}}}"
    if literal_secret(url):
        url = re.sub(r"(://[^:@/?#]*):[^?#]*@", lambda match: f"{match[1]}:{reference}@", url, count=1)
        url = _SECRET_PARAMETER.sub(lambda match: match[1] + reference, url)
    if literal_secret(url):
        raise SpecError("the URL holds a secret in plain text", hint=f"Write {reference} in its place")
    return url


def _quoted(text: str) -> str:
    """The text in double quotes; JSON's escapes are YAML's."""
    return json.dumps(text, ensure_ascii=False)
