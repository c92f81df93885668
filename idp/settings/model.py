"""Every setting, its default and its one-sentence description; docs/configuration.md is made from these."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from idp.settings import issuer as issuers
from idp.settings import lists, sources, unsafe
from idp.settings.durations import Duration

LAST_PORT = 65_535
Port = Annotated[int, Field(ge=0, le=LAST_PORT)]
Algorithm = Literal["ES256", "RS256", "EdDSA", "PS256"]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(lists.parse)]
Algorithms = Annotated[tuple[Algorithm, ...], NoDecode, BeforeValidator(lists.parse), Field(min_length=1)]
Mfa = Literal["off", "optional", "required"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Identity(BaseSettings):
    """Who this provider is."""

    issuer: Annotated[str, AfterValidator(issuers.check)] = Field(
        "http://localhost:8000",
        description="Address of this provider in every token: https, or http on loopback. Follows `port` if unset.",
    )
    name: str = Field("Gatehouse", min_length=1, max_length=60, description="Name shown to people on every page.")


class Storage(BaseSettings):
    """Where things are kept."""

    database_url: str = Field(
        "sqlite:///var/idp.db",
        repr=False,
        description="`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.",
    )
    master_key_file: Path = Field(
        Path("var/master.key"), description="Key file that seals secrets at rest; `idp key init` makes it, mode 0600."
    )


class Serving(BaseSettings):
    """How it listens."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=64, description="Worker processes.")
    threads: int = Field(8, ge=1, le=64, description="Threads of each worker.")
    worker_on_one_core: bool = Field(
        True, description="A busy worker keeps its threads on one core, and moves when that is crowded."
    )
    metrics_port: Port = Field(9100, description="Port of the Prometheus metrics, on loopback; 0 turns them off.")
    front: Literal["proxy", "tls"] = Field(
        "proxy",
        description="`tls`: TLS ends here, with `tls_certificate` and `tls_key`; `proxy`: a front ends it.",
    )
    tls_certificate: Path | None = Field(None, description="Certificate chain (PEM); read again when it changes.")
    tls_key: Path | None = Field(None, description="Private key of the certificate (PEM).")
    trusted_proxies: Networks = Field((), description="Networks whose `X-Forwarded-For` is believed; none by default.")
    client_address_header: str | None = Field(
        None,
        pattern="^[A-Za-z0-9]+$",
        description="Header, of letters and digits only, in which the TLS front writes the client's address.",
    )
    client_certificate_header: str | None = Field(
        None,
        pattern="^[A-Za-z0-9]+$",
        description="Header, of letters and digits only, in which a trusted TLS front writes the client's certificate: "
        "PEM, percent-encoded as nginx has it in `$ssl_client_escaped_cert`, or as RFC 9440 has it.",
    )
    client_ca_file: Path | None = Field(
        None, description="Authorities (PEM) whose certificates prove clients of the method `tls_client_auth`."
    )
    mtls_base_url: Annotated[str, AfterValidator(issuers.check)] | None = Field(
        None,
        description="Address of this provider where the front asks for client certificates; discovery tells it as "
        "`mtls_endpoint_aliases`.",
    )
    dpop_nonce: bool = Field(False, description="Demand a nonce of this provider in every DPoP proof (RFC 9449).")
    log_level: LogLevel = Field("info", description="Least severe log event that is written.")
    demo: bool = Field(False, description="Demonstration mode: ready-made accounts and clients; loopback only.")
    conformance: bool = Field(
        False, description="Certification mode: a fixed test account and clients; listens on loopback only."
    )


class Lifetimes(BaseSettings):
    """How long things live."""

    code_lifetime: Duration = Field(dt.timedelta(seconds=60), description="How long an authorization code may wait.")
    signin_lifetime: Duration = Field(
        dt.timedelta(minutes=10), description="How long a sign-in may take, from first page to last."
    )
    access_token_lifetime: Duration = Field(
        dt.timedelta(minutes=10), description="Access tokens, where the API does not say otherwise."
    )
    access_token_longest: Duration = Field(dt.timedelta(minutes=60), description="The most that any API may say.")
    id_token_lifetime: Duration = Field(
        dt.timedelta(minutes=5), description="ID tokens; expired ones still serve as hints."
    )
    refresh_idle: Duration = Field(dt.timedelta(days=30), description="A refresh token unused for so long is dead.")
    refresh_absolute: Duration = Field(
        dt.timedelta(days=90), description="A grant ends so long after the sign-in, however it is used."
    )
    refresh_grace: Duration = Field(
        dt.timedelta(seconds=10),
        description="So long an authenticated client that lost the answer gets the same successor again; 0s: never.",
    )
    session_idle: Duration = Field(dt.timedelta(hours=12), description="A browser session unused for so long is over.")
    session_absolute: Duration = Field(
        dt.timedelta(days=7), description="A browser session is over after so long, however it is used."
    )
    leeway: Duration = Field(
        dt.timedelta(seconds=30), description="Clock difference allowed in what others sign; at most 60s."
    )


class Keys(BaseSettings):
    """Signing keys."""

    signing_algs: Algorithms = Field(
        ("ES256", "RS256"), description="Algorithms that have a key: ES256, RS256, EdDSA, PS256."
    )
    publish_lead: Duration = Field(
        dt.timedelta(minutes=10),
        description="A new key is published so long before it signs; twice the gateways' refresh.",
    )
    key_rotation_interval: Duration = Field(
        dt.timedelta(days=90), description="A key signs for so long, then the next one does."
    )


class SignIn(BaseSettings):
    """Passwords, second factors and the throttle."""

    password_min_length: int = Field(12, ge=8, le=64, description="Fewest characters of a new password.")
    breached_list: Path | None = Field(None, description="Further list of breached passwords, beside the built-in one.")
    argon2_memory_kib: int = Field(19_456, ge=19_456, le=1_048_576, description="argon2id memory for one hash, in KiB.")
    argon2_time_cost: int = Field(2, ge=2, le=16, description="argon2id passes.")
    argon2_parallelism: int = Field(1, ge=1, le=8, description="argon2id lanes.")
    mfa: Mfa = Field("optional", description="Second factor where client, API, role and group leave it open.")
    totp_failures: int = Field(20, ge=3, le=20, description="Misses in a row that lock an authenticator.")
    throttle_free_tries: int = Field(
        5, ge=1, le=20, description="Failures from unknown devices before the waits begin."
    )
    throttle_longest_wait: Duration = Field(
        dt.timedelta(minutes=15), description="The wait doubles with each failure up to this."
    )
    throttle_stop: int = Field(100, ge=10, le=1000, description="Failures that close an account to unknown devices.")
    throttle_known_device: int = Field(20, ge=5, le=100, description="Failures that close a known device.")
    throttle_ip_per_minute: int = Field(60, ge=1, description="Failures a minute allowed to one client address.")
    throttle_signins_per_minute: int = Field(
        600, ge=1, description="Sign-ins that one client address may begin in a minute; loopback is not counted."
    )
    throttle_per_minute: int = Field(3000, ge=1, description="Failures a minute allowed to everybody together.")
    throttle_exchanges_per_minute: int = Field(
        6000, ge=1, description="Exchanges that one client may ask for in a minute, refused ones included."
    )


class Federation(BaseSettings):
    """Where people come from elsewhere."""

    directory_sync: Duration = Field(
        dt.timedelta(minutes=5),
        description="Every so often whoever is disabled or gone in a directory is closed here, and groups are read.",
    )
    directory_full_sync: Duration = Field(
        dt.timedelta(days=1),
        description="Every so often a directory is read whole, where otherwise only what has changed is read.",
    )

    connectors: dict[str, dict[str, Any]] = Field(
        {},
        repr=False,
        description="Tables `[connectors.NAME]`, one for each directory or provider; "
        "see how-to/directories.md and how-to/connect-google.md.",
    )


GROUPS = (Identity, Storage, Serving, Lifetimes, Keys, SignIn, Federation)


class Settings(Federation, SignIn, Keys, Lifetimes, Serving, Storage, Identity):
    """All settings, frozen."""

    model_config = SettingsConfigDict(
        env_prefix="IDP_",
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=False,
    )

    @classmethod
    def load(cls, config: Path | None = None, **overrides: object) -> Settings:
        """Read everything, or raise SettingsError with a line for each problem. An override of None is not given."""
        given = {name: value for name, value in overrides.items() if value is not None}
        return sources.load(cls, config, given)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the library's signature)
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; a .env file is not one of them."""
        return init_settings, env_settings, file_secret_settings, sources.TomlSource(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _issuer_follows_port(cls, data: dict[str, object]) -> dict[str, object]:
        port = str(data.get("port", 8000))
        if "issuer" in data or not port.isdecimal() or int(port) > LAST_PORT:
            return data
        scheme = "https" if data.get("front") == "tls" else "http"
        return data | {"issuer": f"{scheme}://localhost:{port}"}

    @model_validator(mode="after")
    def _refuse_what_is_unsafe(self) -> Settings:
        problems = unsafe.problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def loopback(self) -> bool:
        """Whether this provider is reachable from this machine alone."""
        return issuers.is_loopback(self.host) and issuers.is_loopback(issuers.host_of(self.issuer))
