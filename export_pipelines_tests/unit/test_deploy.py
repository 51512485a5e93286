"""The configurations of deploy/: they parse, and Dagster knows every setting in them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import Shape, validate_config
from dagster._core.instance.config import dagster_instance_config_schema

DEPLOY = Path(__file__).parents[2] / "deploy"
INSTANCES = [DEPLOY.parent / "dagster.yaml", *sorted(DEPLOY.glob("*/dagster.yaml"))]


def mistakes(config: Any) -> list[str]:
    found = validate_config(Shape(dagster_instance_config_schema()), config)
    return [error.message for error in found.errors or []]


@pytest.mark.parametrize("path", INSTANCES, ids=lambda path: path.parent.name)
def test_dagster_knows_every_setting(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    assert mistakes(config) == []
    assert mistakes({**config, "run_monitorin": {}}) != []


def test_dagster_knows_what_the_helm_values_pass_on() -> None:
    values = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())
    assert mistakes(values["additionalInstanceConfig"]) == []
    daemon = values["dagsterDaemon"]  # the chart would write these sections a second time
    assert (daemon["runMonitoring"]["enabled"], daemon["runRetries"]["enabled"]) == (False, False)


@pytest.mark.parametrize("name", ["run_retries", "freshness", "retention", "schedules", "sensors", "telemetry"])
def test_what_does_not_depend_on_the_launcher_is_the_same_everywhere(name: str) -> None:
    found = [yaml.safe_load(path.read_text())[name] for path in INSTANCES]
    for config in found:
        config.pop("max_retries", None)
    assert all(config == found[0] for config in found)
