"""Settings come from the command line, else from the environment, else from a default."""

import pytest
from pydantic import ValidationError

from innkeeper.cli.options import settings_from
from innkeeper.settings import OperatorSettings
from innkeeper.telemetry.logs import LogFormat


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNKEEPER_IMAGES_URL", "http://environment:1")
    monkeypatch.setenv("INNKEEPER_LOG_FORMAT", "console")
    settings = settings_from(OperatorSettings, {"images_url": "http://option:2/", "log_format": None})
    assert settings.images_base_url == "http://option:2"
    assert settings.log_format is LogFormat.CONSOLE
    assert settings.host_silence_s == 40


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen": "here"},
        {"metrics_port": 70000},
        {"images_url": "images"},
        {"host_silence_s": 1},
        {"previous_order_key_file": "a.key"},
        {"hosts_ca_file": "ca.crt"},
        {"hosts_ca_file": "ca.crt", "hosts_certificate_file": "a.crt"},
        {"hosts_file": "hosts.yaml"},
        {"orphan_policy": "Remove"},
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings_from(OperatorSettings, wrong)
