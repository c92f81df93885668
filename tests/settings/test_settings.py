from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from idp.settings import Settings, SettingsError, durations, issuer
from idp.settings.model import GROUPS

PUBLIC = {"issuer": "https://id.example", "host": "0.0.0.0"}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Start each test in an empty folder with no setting in the environment."""
    for name in [each for each in os.environ if each.startswith("IDP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "master.key"
    file.write_text("a key\n")
    return file


def problems(config=None, **given):
    with pytest.raises(SettingsError) as refusal:
        Settings.load(config, **given)
    return refusal.value.problems


def test_defaults_are_for_this_machine():
    settings = Settings.load()
    assert (settings.issuer, settings.host, settings.port) == ("http://localhost:8000", "127.0.0.1", 8000)
    assert settings.loopback
    assert not settings.demo


def test_lifetimes_are_those_that_were_decided():
    settings = Settings.load()
    shown = {name: durations.show(getattr(settings, name)) for name in GROUPS[3].__annotations__}
    assert shown == {
        "code_lifetime": "1m",
        "signin_lifetime": "10m",
        "access_token_lifetime": "10m",
        "access_token_longest": "1h",
        "id_token_lifetime": "5m",
        "refresh_idle": "30d",
        "refresh_absolute": "90d",
        "refresh_grace": "10s",
        "session_idle": "12h",
        "session_absolute": "7d",
        "leeway": "30s",
    }


def test_a_flag_wins_over_the_environment_and_that_over_a_secret_and_that_over_the_file(tmp_path, monkeypatch):
    (tmp_path / "idp.toml").write_text('name = "file"\n')
    assert Settings.load().name == "file"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "idp_name").write_text("secret")
    monkeypatch.setenv("IDP_SECRETS_DIR", str(tmp_path / "secrets"))
    assert Settings.load().name == "secret"
    monkeypatch.setenv("IDP_NAME", "environment")
    assert Settings.load().name == "environment"
    assert Settings.load(name="flag").name == "flag"


def test_an_override_of_none_was_not_given():
    assert Settings.load(port=None).port == 8000


def test_the_file_is_named_by_flag_or_environment(tmp_path, monkeypatch):
    file = tmp_path / "other.toml"
    file.write_text("port = 9000\n")
    assert Settings.load(file).port == 9000
    monkeypatch.setenv("IDP_CONFIG", str(file))
    assert Settings.load().port == 9000


def test_paths_in_the_file_are_counted_from_where_it_lies(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "idp.toml").write_text('master_key_file = "k"\ndatabase_url = "sqlite:///var/idp.db"\n')
    settings = Settings.load(folder / "idp.toml")
    assert settings.master_key_file == folder / "k"
    assert settings.database_url == f"sqlite:///{folder}/var/idp.db"


def test_absolute_paths_and_other_databases_stay(tmp_path):
    (tmp_path / "idp.toml").write_text('master_key_file = "/k"\ndatabase_url = "postgresql://u:p@h/n"\n')
    settings = Settings.load()
    assert (settings.master_key_file, settings.database_url) == (Path("/k"), "postgresql://u:p@h/n")


@pytest.mark.parametrize("written", ["90", "90s", "1.5m", " 90 s "])
def test_durations_are_written_as_people_do(written):
    assert Settings.load(code_lifetime=written).code_lifetime == dt.timedelta(seconds=90)


def test_numbers_are_seconds(tmp_path):
    (tmp_path / "idp.toml").write_text("code_lifetime = 45\n")
    assert Settings.load().code_lifetime == dt.timedelta(seconds=45)


@pytest.mark.parametrize("written", ["10.0.0.0/8, ::1/128", '["10.0.0.0/8", "::1/128"]'])
def test_lists_in_the_environment_are_written_with_commas_or_as_json(monkeypatch, written):
    monkeypatch.setenv("IDP_TRUSTED_PROXIES", written)
    assert [str(each) for each in Settings.load().trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_the_issuer_follows_the_port_and_the_front(tmp_path, monkeypatch):
    monkeypatch.setenv("IDP_PORT", "9001")
    assert Settings.load().issuer == "http://localhost:9001"
    pem = tmp_path / "pem"
    pem.write_text("")
    assert Settings.load(front="tls", tls_certificate=pem, tls_key=pem).issuer == "https://localhost:9001"


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings.load().port = 1


def test_a_database_password_is_not_shown():
    assert "hidden" not in repr(Settings.load(database_url="postgresql://u:hidden@h/n"))


@pytest.mark.parametrize("at", [PUBLIC, {"issuer": "https://id.example"}, {"host": "0.0.0.0"}, {"host": "192.0.2.1"}])
def test_without_a_master_key_nothing_is_served_beyond_loopback(at):
    assert any(each.startswith("master_key_file: ") for each in problems(**at))


@pytest.mark.parametrize(
    "at",
    [
        {"issuer": "http://id.example"},
        {"issuer": "http://127.0.0.1.example"},
        {"issuer": "http://localhost:8000", "host": "0.0.0.0"},
        {"issuer": "http://localhost:8000", "host": "::"},
        {"issuer": "http://[2001:db8::1]"},
    ],
)
def test_http_is_refused_beyond_loopback(key, at):
    assert problems(master_key_file=key, **at) == ("issuer: http is for loopback only; write an https address",)


@pytest.mark.parametrize(
    "at", [PUBLIC, {"issuer": "https://id.example"}, {"host": "0.0.0.0", "issuer": "https://localhost"}]
)
def test_the_demonstration_is_refused_beyond_loopback(key, at):
    (problem,) = problems(master_key_file=key, demo=True, **at)
    assert problem.startswith("demo: ")


def test_certification_may_have_a_name_but_listens_on_loopback_only(key):
    named = {"issuer": "https://op.test:9443", "conformance": True}
    assert Settings.load(**named).conformance
    (problem,) = problems(host="0.0.0.0", **named)
    assert problem.startswith("conformance: ")


def test_a_public_provider_with_everything_it_needs_is_accepted(key):
    settings = Settings.load(master_key_file=key, **PUBLIC)
    assert not settings.loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "LOCALHOST", "localhost."])
def test_loopback_is_recognised(host):
    assert issuer.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost.example", "127.0.0.1.nip.example", "", "2130706433"])
def test_what_may_be_elsewhere_is_not_loopback(host):
    assert not issuer.is_loopback(host)


@pytest.mark.spec("RFC 8414 section 2")
@pytest.mark.parametrize(
    "written",
    [
        "",
        "id.example",
        "ftp://id.example",
        "https://",
        "https://id.example/",
        "https://id.example/path",
        "https://id.example?q",
        "https://id.example#f",
        "https://id.example?",
        "https://id.example#",
        "https://user:pass@id.example",
        "https://ID.example",
        "https://id.example:port",
        "https://id.example:70000",
        "https://[::1",
        " https://id.example",
        "https://id.example\n",
        "https://b\u00fccher.example",
    ],
)
def test_an_issuer_is_scheme_host_and_port(written):
    (problem,) = problems(issuer=written)
    assert problem.startswith(("issuer: write", "issuer: an address"))


WRONG = {
    "port": ["x", -1, 70_000, 1.5],
    "workers": [0, 65],
    "code_lifetime": ["soon", "11m", "-5s", 0, "5 weeks", [1]],
    "leeway": ["61s"],
    "refresh_grace": ["61s"],
    "access_token_lifetime": ["2h"],
    "refresh_idle": ["91d"],
    "session_idle": ["8d"],
    "publish_lead": ["91d"],
    "front": ["none"],
    "log_level": ["loud"],
    "demo": ["perhaps"],
    "signing_algs": ["HS256", "none", ""],
    "trusted_proxies": ["everybody", "10.0.0.1/8", "[oops"],
    "client_address_header": ["X-Forwarded-For", "X_Forwarded_For", ""],
    "password_min_length": [7, 65],
    "argon2_memory_kib": [1024],
    "totp_failures": [21],
    "mfa": ["sometimes"],
    "database_url": ["mysql://h/n", ""],
    "tls_key": ["nowhere.pem"],
    "breached_list": ["nowhere.txt"],
    "name": ["", "x" * 61, 5],
    "shoe_size": [42],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_value_is_told_by_the_name_of_its_field_and_never_repeated(field, value):
    (problem,) = problems(**{field: value})
    assert problem.startswith(f"{field}: ")
    assert "pydantic" not in problem
    assert not (isinstance(value, str) and len(value) > 2 and value in problem)


def test_tls_that_ends_here_needs_its_files():
    assert problems(front="tls") == ("tls_certificate: needed when front is tls", "tls_key: needed when front is tls")


def test_every_problem_is_told_at_once():
    assert len(problems(port="x", workers=0, mfa="maybe")) == 3


@pytest.mark.parametrize("variable", ["IDP_ISUER", "IDP_DATABSE_URL", "IDP_TRUSTED_PROXY"])
def test_a_misspelt_variable_is_not_passed_over(monkeypatch, variable):
    monkeypatch.setenv(variable, "x")
    (problem,) = problems()
    assert problem.startswith(f"{variable}: there is no such setting; did you mean IDP_")


@pytest.mark.parametrize("variable", ["IDP_GATEWAY_PORT", "IDP_DEMO_API_PORT", "IDP_DEMO_APP_PORT", "IDP_SOMETHING"])
def test_variables_of_others_are_left_alone(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    Settings.load()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"port = ", "this is not TOML"),
        (b"\xff", "this file is not UTF-8 text"),
        (b"shoe_size = 42\n", "shoe_size: there is no such setting"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, said):
    (tmp_path / "idp.toml").write_bytes(content)
    (problem,) = problems()
    assert said in problem


def test_a_file_that_is_not_there_is_named(tmp_path):
    (problem,) = problems(tmp_path / "none.toml")
    assert problem.endswith("there is no such settings file")


def test_a_folder_of_secrets_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("IDP_SECRETS_DIR", "nowhere")
    assert problems() == ("IDP_SECRETS_DIR: there is no such folder",)


def test_every_setting_says_what_it_does():
    for group in GROUPS:
        for name, field in group.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name


@pytest.mark.parametrize("value", ["10s", "10m", "12h", "7d", "0s", "0.5s"])
def test_a_duration_is_shown_as_it_is_written(value):
    assert durations.show(durations.parse(value)) == value


@pytest.mark.attack("TK35")
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"client_certificate_header": "Client-Cert"}, "client_certificate_header"),
        ({"client_certificate_header": "ClientCert"}, "client_certificate_header"),
        ({"mtls_base_url": "https://mtls.id.example"}, "mtls_base_url"),
        ({"client_ca_file": "clients.pem"}, "client_ca_file"),
        (
            {"client_certificate_header": "ClientCert", "trusted_proxies": "10.0.0.0/8", "client_ca_file": "x"},
            "client_ca_file",
        ),
        (
            {"client_certificate_header": "ClientCert", "trusted_proxies": "10.0.0.0/8", "mtls_base_url": "x"},
            "mtls_base_url",
        ),
    ],
)
def test_certificates_of_clients_come_from_a_front_that_is_named(tmp_path, given, field):
    (tmp_path / "clients.pem").write_text("certificates")
    assert [line.partition(":")[0] for line in problems(**given)] == [field]


@pytest.mark.attack("TK35")
def test_where_tls_ends_here_nobody_else_may_bring_a_certificate(tmp_path):
    (tmp_path / "tls.pem").write_text("chain and key")
    tls = {"front": "tls", "tls_certificate": "tls.pem", "tls_key": "tls.pem", "trusted_proxies": "10.0.0.0/8"}
    assert "a front that ends TLS" in problems(client_certificate_header="ClientCert", **tls)[0]


def test_a_front_that_is_named_may_bring_certificates():
    settings = Settings.load(
        client_certificate_header="ClientCert", trusted_proxies="10.0.0.0/8", mtls_base_url="https://mtls.id.example"
    )
    assert settings.mtls_base_url == "https://mtls.id.example"
