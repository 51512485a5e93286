"""Loading specs: recipients, who is notified, and checks. Mistakes there never stop an export of others."""

from pathlib import Path

import pytest

from export_pipelines.spec.recipients import AppriseRecipient, EmailRecipient, WebhookRecipient
from export_pipelines_tests.unit.loading import export, lines, load_text

RECIPIENTS = """
recipients:
  ops: {type: email, to: [ops@example.org, night@example.org]}
  partner-hook: {type: webhook, url: "https://hooks.example.org/${env:HOOK_PATH}", secret: "${file:/run/secrets/hook}"}
  chat: {type: apprise, url: "${env:CHAT_URL}"}
"""


class TestRecipients:
    def test_they_are_told_apart_by_type_and_keep_their_references(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, RECIPIENTS).require_valid()
        kinds = {name: type(recipient) for name, recipient in specs.recipients.items()}
        assert kinds == {"ops": EmailRecipient, "partner-hook": WebhookRecipient, "chat": AppriseRecipient}
        hook = specs.recipients["partner-hook"]
        assert isinstance(hook, WebhookRecipient)
        assert (hook.url, hook.secret) == ("https://hooks.example.org/${env:HOOK_PATH}", "${file:/run/secrets/hook}")

    @pytest.mark.parametrize(
        "entry",
        [
            "{type: webhook, url: 'https://h/x', secret: hunter2}",
            "{type: webhook, url: 'https://h/x', secret: 'a${env:X}hunter2'}",
            "{type: webhook, url: 'https://u:hunter2@h/x'}",
            "{type: webhook, url: 'https://h/x?token=hunter2'}",
            "{type: webhook, url: 'https://h/x?v=1&sig=hunter2'}",
            "{type: webhook, url: hunter2}",
            "{type: webhook, url: [hunter2]}",
            "{type: webhook, url: 'https://h/x', timeout_seconds: hunter2}",
            "{type: apprise, url: 'slack://hunter2/b/c'}",
            "{type: apprise, url: 'mailto://u:hunter2@h'}",
            "{type: apprise, url: {slack: hunter2}}",
            "{type: 'slack://hunter2/b/c'}",
            "{type: email, url: 'slack://hunter2/b/c', to: [a@b.c]}",
            "{type: email, to: 'smtp://u:hunter2@h'}",
            "{type: email, to: ['smtp://hunter2@h']}",
            "{type: slack, url: 'slack://hunter2/b/c'}",
            "{url: 'slack://hunter2/b/c'}",
            "'slack://hunter2/b/c'",
            "['slack://hunter2/b/c']",
        ],
    )
    def test_secrets_that_are_written_out_are_mistakes_that_do_not_show_them(self, tmp_path: Path, entry: str) -> None:
        specs = load_text(tmp_path, f"recipients:\n  chat: {entry}\n")
        assert dict(specs.recipients) == {}
        assert lines(specs)
        assert all(line.startswith("0.yaml:2 recipients.chat") for line in lines(specs))
        assert "hunter2" not in "".join(lines(specs))

    def test_one_secret_gives_one_problem(self, tmp_path: Path) -> None:
        text = "recipients:\n  chat: {type: apprise, url: 'mailto://u:hunter2@h'}\n"
        assert lines(load_text(tmp_path, text)) == [
            "0.yaml:2 recipients.chat.url: holds a secret; keep it in the environment and write `${env:NAME}` in its place"
        ]

    def test_what_fits_no_type_for_sure_is_not_guessed_at(self, tmp_path: Path) -> None:
        assert [line.partition(": ")[0] for line in lines(load_text(tmp_path, "recipients:\n  chat: {url: x}\n"))] == [
            "0.yaml:2 recipients.chat"
        ]

    def test_addresses_are_shown_because_they_are_no_secrets(self, tmp_path: Path) -> None:
        assert lines(load_text(tmp_path, "recipients:\n  ops: {type: email, to: [ops at example]}\n")) == [
            "0.yaml:2 recipients.ops.to[0]: 'ops at example' is not allowed; use an e-mail address such as "
            "ops@example.org, without a name"
        ]


class TestNotify:
    def test_it_names_recipients_of_any_file_and_addresses(self, tmp_path: Path) -> None:
        notify = (
            "notify:\n  default: {failure: [ops, ann@example.org], escalation: {to: [chat]}}\n"
            "  org:north: {success: [partner-hook]}\n  team:x: {digest: [ops]}\n  ann@example.org: {warning: []}\n"
        )
        specs = load_text(tmp_path, notify + export("notify: {cleanup: [chat]}"), RECIPIENTS).require_valid()
        assert list(specs.notify) == ["default", "org:north", "team:x", "ann@example.org"]
        assert specs.notify["default"].failure == ["ops", "ann@example.org"]
        assert specs.notify["ann@example.org"].warning == []
        assert specs.notify["ann@example.org"].failure is None
        assert specs.exports["e"].spec.notify is not None

    def test_a_scope_that_no_export_has_is_fine(self, tmp_path: Path) -> None:
        assert lines(load_text(tmp_path, "notify: {org:gone: {}, team:gone: {}, gone@example.org: {}}")) == []

    @pytest.mark.parametrize("level", ["success", "failure", "warning", "cleanup", "digest"])
    def test_an_unknown_recipient_is_reported_where_it_is_named(self, tmp_path: Path, level: str) -> None:
        notify = f"notify:\n  default:\n    {level}:\n      - ops\n      - chatt\n"
        assert lines(load_text(tmp_path, RECIPIENTS, notify)) == [
            f"1.yaml:5 notify.default.{level}[1]: unknown recipient 'chatt'; did you mean `chat`?"
        ]

    def test_an_unknown_recipient_of_an_escalation_is_reported(self, tmp_path: Path) -> None:
        notify = "notify: {default: {escalation: {to: [cto]}}}\n"
        assert lines(load_text(tmp_path, notify)) == [
            "0.yaml:1 notify.default.escalation.to[0]: unknown recipient 'cto'; none is defined"
        ]

    def test_an_entry_with_a_mistake_is_left_out_and_exports_go_on(self, tmp_path: Path) -> None:
        notify = "notify: {default: {failure: [opps]}, org:north: {failure: [ops]}, team:x: {sucess: []}}\n"
        specs = load_text(tmp_path, RECIPIENTS, notify + export("org: north, owners: ['team:x']"))
        assert (set(specs.exports), set(specs.notify)) == ({"e"}, {"org:north"})
        assert len(specs.problems) == 2

    def test_a_recipient_with_a_mistake_spoils_nobody(self, tmp_path: Path) -> None:
        broken = RECIPIENTS.replace("[ops@example.org, night@example.org]", "[nobody]")
        text = "notify: {default: {failure: [ops]}}\n" + export("notify: {failure: [ops], escalation: {to: [ops]}}")
        specs = load_text(tmp_path, broken, text)
        assert [problem.path for problem in specs.problems] == ["recipients.ops.to[0]"]
        assert (set(specs.exports), set(specs.notify), dict(specs.quarantined)) == ({"e"}, {"default"}, {})
        assert set(specs.recipients) == {"partner-hook", "chat"}

    def test_recipients_that_are_defined_twice_spoil_nobody(self, tmp_path: Path) -> None:
        specs = load_text(tmp_path, RECIPIENTS, RECIPIENTS, export("notify: {failure: [ops]}"))
        assert (set(specs.exports), dict(specs.recipients), len(specs.problems)) == ({"e"}, {}, 3)

    def test_recipients_in_a_file_that_cannot_be_read_spoil_nobody(self, tmp_path: Path) -> None:
        text = "notify: {default: {failure: [ops]}}\n" + export("notify: {failure: [ops]}")
        specs = load_text(tmp_path, RECIPIENTS + "  broken: [\n", text)
        assert [problem.file for problem in specs.problems] == ["0.yaml"]
        assert (set(specs.exports), set(specs.notify)) == ({"e"}, {"default"})

    def test_an_unknown_recipient_in_an_export_is_a_mistake_of_that_export(self, tmp_path: Path) -> None:
        other = export("", name="f").split("exports:\n")[1]
        specs = load_text(tmp_path, RECIPIENTS + export("notify: {failure: [opps]}") + other)
        assert set(specs.exports) == {"f"}
        assert [problem.path for problem in specs.quarantined["e"]] == ["exports.e.notify.failure[0]"]
        assert specs.problems[0].export == "e"

    def test_notify_holds_no_references(self, tmp_path: Path) -> None:
        found = lines(load_text(tmp_path, "notify: {default: {failure: ['${env:OPS}']}}\n"))
        assert any("work in connections, stores and recipients only" in line for line in found)

    @pytest.mark.parametrize(
        "text",
        [
            "notify: {default: {failure: ['https://hooks.example.org/hunter2']}}",
            "notify: {default: {failure: 'https://hooks.example.org/hunter2'}}",
            "notify: {default: {escalation: {to: 'slack://hunter2'}}}",
            "notify: {default: 'slack://hunter2'}",
            export("notify: {failure: ['slack://hunter2']}"),
            export("store: 's3://key:hunter2@bucket'"),
            export("schedule: 'x://hunter2'"),
            export("on_empty: 'x://hunter2'"),
            export("schedule: {cron: '@daily', calendar: 'x://hunter2'}"),
        ],
    )
    def test_a_url_in_the_wrong_place_is_not_shown(self, tmp_path: Path, text: str) -> None:
        found = lines(load_text(tmp_path, text))
        assert found
        assert "hunter2" not in "".join(found)


class TestChecks:
    def check(self, directory: Path, dataset: str) -> list[str]:
        text = export("").replace("d: {table: t}", f"d: {{{dataset}}}")
        return [line.partition("exports.e.datasets.d.")[2] for line in lines(load_text(directory, text))]

    @pytest.mark.parametrize(
        "dataset",
        [
            "table: t, checks: {not_null: [anything], unique: [at, all]}",
            "table: t, columns: [id, name], checks: {not_null: [id], unique: [name, id], columns: fixed}",
            "table: t, checks: {control_total: {column: a, sql: 'select 1 where :window_start < :window_end;'}}",
            "sql: 'select :x', params: {x: 1}, checks: {control_total: {column: a, sql: 'select :x'}}",
            "table: t, checks: {rows: {min: 0}, blocking: [rows]}",
            "table: t, checks: {}",
        ],
    )
    def test_good_ones(self, tmp_path: Path, dataset: str) -> None:
        assert self.check(tmp_path, dataset) == []

    def test_a_column_that_is_not_listed(self, tmp_path: Path) -> None:
        checks = "{not_null: [id, nam], unique: [ID], control_total: {column: total, sql: select 1}}"
        assert self.check(tmp_path, f"table: t, columns: [id, name], checks: {checks}") == [
            "checks.control_total.column: 'total' is not one of the dataset's `columns`; known: id, name",
            "checks.not_null[1]: 'nam' is not one of the dataset's `columns`; did you mean `name`?",
            "checks.unique[0]: 'ID' is not one of the dataset's `columns`; known: id, name",
        ]

    def test_a_check_that_blocks_without_being_made(self, tmp_path: Path) -> None:
        assert self.check(tmp_path, "table: t, checks: {unique: [id], blocking: [unique, not_null]}") == [
            "checks.blocking[1]: the check `not_null` is not configured; configured: unique"
        ]
        assert self.check(tmp_path, "table: t, checks: {not_null: [], blocking: [not_null]}") == [
            "checks.blocking[0]: the check `not_null` is not configured; none is configured"
        ]

    def test_the_sql_of_a_control_total_is_one_statement_whose_parameters_are_known(self, tmp_path: Path) -> None:
        found = self.check(
            tmp_path, "table: t, checks: {control_total: {column: a, sql: 'select :windw_end; drop table t'}}"
        )
        assert [line.partition("; ")[0] for line in found] == [
            "checks.control_total.sql: parameter `:windw_end` has no value",
            "checks.control_total.sql: the SQL has more than one statement: 'drop table t' follows a semicolon. Write one "
            "dataset per statement",
        ]

    def test_advice_to_use_params_is_given_where_they_are_allowed(self, tmp_path: Path) -> None:
        total = "checks: {control_total: {column: a, sql: 'select :q'}}"
        assert "under `params`" in self.check(tmp_path, f"sql: select 1, {total}")[0]
        assert "under `params`" not in self.check(tmp_path, f"table: t, {total}")[0]

    def test_a_broken_check_does_not_hide_others(self, tmp_path: Path) -> None:
        assert self.check(tmp_path, "table: t, checks: {rows: {}, columns: frozen, blocking: rows}") == [
            "checks.blocking: should be a list; write [rows]",
            "checks.columns: 'frozen' is not known; known: fixed, may_grow",
            "checks.rows: needs min, max or change_percent",
        ]
