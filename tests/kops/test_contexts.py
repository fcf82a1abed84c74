"""Which cluster is meant: option over environment over project over context over default."""

import stat
from pathlib import Path

import pytest

from kops import contexts
from kops.contexts import Context, Overrides
from kops.errors import BadUsage, Failed, NotFound


@pytest.fixture(autouse=True)
def one_known(home: Path) -> None:
    contexts.put(Context("dev", "h:1", "z:1"), make_current=True)


def test_the_current_context_is_used_when_nothing_else_is_said() -> None:
    found = contexts.resolve(Overrides())
    assert (found.name, found.bootstrap_servers, found.zookeeper) == ("dev", "h:1", "z:1")


def test_without_any_context_it_is_localhost() -> None:
    contexts.remove("dev")
    assert contexts.resolve(Overrides()).bootstrap_servers == "localhost:9092"


def test_an_option_overrides_the_environment_which_overrides_the_project(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".kops.toml").write_text('bootstrap_servers = "project:1"\n')
    assert contexts.resolve(Overrides()).bootstrap_servers == "project:1"
    monkeypatch.setenv("KOPS_BOOTSTRAP_SERVERS", "environment:1")
    assert contexts.resolve(Overrides()).bootstrap_servers == "environment:1"
    assert contexts.resolve(Overrides(bootstrap_servers="option:1")).bootstrap_servers == "option:1"


def test_other_brokers_do_not_keep_the_zookeeper_of_the_context() -> None:
    assert contexts.resolve(Overrides(bootstrap_servers="other:1")).zookeeper is None


def test_the_project_file_is_found_upward(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".kops.toml").write_text('bootstrap_servers = "project:1"\n')
    (home / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(home / "a" / "b")
    assert contexts.resolve(Overrides()).bootstrap_servers == "project:1"


def test_an_unknown_context_proposes_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        contexts.resolve(Overrides(context="def"))
    assert caught.value.do == "Did you mean 'dev'?"


def test_the_file_is_for_its_owner_only_and_keeps_comments() -> None:
    path = contexts.config_path()
    path.write_text("# mine\n" + path.read_text())
    contexts.put(Context("two", "h:2"))
    assert path.read_text().startswith("# mine\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_secrets_are_read_where_they_are_and_only_when_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3")
    (home / "password").write_text("pw\n")
    assert contexts.reveal("${env:SECRET}/${file:" + str(home / "password") + "}") == "s3/pw"
    with pytest.raises(BadUsage):
        contexts.reveal("${env:NOT_THERE}")


def test_a_broken_file_is_named(home: Path) -> None:
    contexts.config_path().write_text("[[[")
    with pytest.raises(Failed, match=r"config\.toml is not TOML"):
        contexts.load()


def test_java_client_properties_are_taken_from_a_file(home: Path) -> None:
    (home / "client.properties").write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n")
    found = contexts.resolve(
        Overrides(command_config="client.properties", properties={"sasl.mechanism": "SCRAM-SHA-256"})
    )
    assert found.properties == {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256"}
