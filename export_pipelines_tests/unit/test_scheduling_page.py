"""docs/scheduling.md shows what the tool prints."""

import re

import pytest

from export_pipelines_tests.scheduling_page import PAGE, printed

BLOCKS = re.findall(r"```yaml\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize(("block", "shown"), BLOCKS, ids=[block.splitlines()[-1] for block, _ in BLOCKS])
def test_the_page_shows_what_the_tool_prints(block: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # it would break lines
    assert printed(block) == shown


def test_every_kind_is_on_the_page() -> None:
    blocks = "\n".join(block for block, _ in BLOCKS)
    kinds = (
        "cron: [",
        "every: hour",
        "every: day",
        "every: week",
        "every: month",
        "every: quarter",
        "every: working day",
    )
    for words in (*kinds, "at: [", "start:", "end:", "on_holiday: next", "on_holiday: previous", "working_day: last"):
        assert words in blocks, words
    assert PAGE.read_text("utf-8").count("```yaml") == len(BLOCKS)
