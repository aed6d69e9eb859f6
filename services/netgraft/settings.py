"""All settings; the only reader of the environment.

Every field is read from NETGRAFT_<FIELD>, such as NETGRAFT_GRPC_PORT=9100.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from netgraft.errors import InvalidValue, NoTokenInFile
from netgraft.language import quoted
from netgraft.private import make_folder

LONGEST_TOKEN = 64 * 2**10
"""Bytes of a file that are read to find a token."""

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _capitals(level: Any) -> Any:
    """A known level as `logging` spells it."""
    spelt = str(level).strip().upper()
    return spelt if spelt in get_args(Level) else level


class Settings(BaseSettings):
    """All settings: addresses, folders, limits and the token."""

    model_config = SettingsConfigDict(env_prefix="NETGRAFT_", frozen=True)

    host: str = "127.0.0.1"
    """Address that gRPC and the web gateway bind."""
    grpc_port: int = Field(default=9000, ge=1, le=65535)
    web_port: int = Field(default=7860, ge=1, le=65535)
    address: str = ""
    """The server that clients talk to, HOST:PORT; empty: the embedded one."""
    state: Path = Path("~/.netgraft")
    """Folder of the token, the SQLite database and the store."""
    database: str = ""
    """SQLAlchemy URL; empty: SQLite in `state`."""
    store: str = ""
    """fsspec URL of the folder of tensors and cached files; empty: `state`/store."""
    data_roots: str = ""
    """Folders that data may be read from, separated by ":"; empty: the folder at start."""
    file_mib: int = Field(default=512, ge=1, le=2000)
    """Largest model file that is opened, also when unpacked, in MiB."""
    hf_mib: int = Field(default=8192, ge=1)
    """Largest model of Hugging Face, a folder or of the hub, in MiB."""
    picture_megapixels: int = Field(default=64, ge=1)
    """Pixels of the largest picture of a data set that is decoded, and of all that are decoded
    at one time in a process, in millions. A larger JPEG is decoded at a fraction."""
    token: str = ""
    """The bearer token; empty: the one in `token_file`."""
    token_file: str = ""
    """File that holds the token; empty: `state`/token, which is made at first start."""
    web_hosts: str = ""
    """Host names of the chat page besides loopback and `host`, separated by commas."""
    workers: int = Field(default=2, ge=1)
    """Training processes of a job that does not say how many."""
    checkpoint_seconds: float = Field(default=30.0, gt=0)
    """Longest time between two checkpoints of a tuning job."""
    silent_seconds: float = Field(default=30.0, ge=5)
    """Seconds without a sign of life after which a tuning run is presumed dead and started again;
    a run sends one every two seconds."""
    torch_mirror: str = ""
    """URL that stands in for https://download.pytorch.org; empty: none."""
    log_level: Annotated[Level, BeforeValidator(_capitals)] = "INFO"
    """From which level on log lines are written, in capitals or not."""
    debug: bool = False
    """Whether the CLI shows a traceback with an error."""

    @property
    def folder(self) -> Path:
        """`state` as an absolute path."""
        return self.state.expanduser().absolute()

    @property
    def server(self) -> str:
        """HOST:PORT that clients dial."""
        return self.address or f"{self.host}:{self.grpc_port}"

    @property
    def web_url(self) -> str:
        """The chat page's address, as a browser on this machine reaches it."""
        near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # all interfaces
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{near.get(self.host, host)}:{self.web_port}"

    @property
    def web_names(self) -> frozenset[str]:
        """`web_hosts` as they stand in a Host header, lower case."""
        return frozenset(name.strip().lower() for name in self.web_hosts.split(",") if name.strip())

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'netgraft.db'}"

    @property
    def store_url(self) -> str:
        return self.store or str(self.folder / "store")

    @property
    def roots(self) -> tuple[Path, ...]:
        """Data roots with symbolic links resolved."""
        named = [part for part in self.data_roots.split(":") if part]
        return tuple(Path(part).expanduser().resolve() for part in named or [str(Path.cwd())])

    @property
    def file_bytes(self) -> int:
        """`file_mib` in bytes."""
        return self.file_mib * 2**20

    @property
    def picture_pixels(self) -> int:
        """`picture_megapixels` in pixels."""
        return self.picture_megapixels * 1_000_000

    def read_token(self) -> str:
        """The token, or "" when none has been made. Raises NoTokenInFile."""
        if self.token:
            return self.token
        if self.token_file:
            return _token_in(Path(self.token_file).expanduser().absolute())
        path = self.folder / "token"
        return path.read_text().strip() if path.is_file() else ""

    def make_token(self) -> str:
        """The token; made now (readable by its owner only) when there is none.

        Never made when `token_file` names where it is: raises NoTokenInFile.
        """
        if token := self.read_token():
            return token
        make_folder(self.folder)
        token = secrets.token_urlsafe(32)
        handle = os.open(self.folder / "token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(token + "\n")
        return token


def _token_in(path: Path) -> str:
    """The token in a file that the user named. Raises NoTokenInFile."""
    try:
        with path.open("rb") as file:
            token = file.read(LONGEST_TOKEN).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoTokenInFile(path=path) from error
    if not token:
        raise NoTokenInFile(path=path)
    return token


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once. Tests call `settings.cache_clear()`.

    Raises InvalidValue that names the variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"NETGRAFT_{first['loc'][0]}".upper()
        expected = quoted(first["msg"].removeprefix("Input should be "))
        raise InvalidValue(name=name, value=first["input"], expected=expected) from error


def torch_checkpoints() -> Path:
    """Return the folder where torch.hub keeps weights (torch/hub.py: _get_torch_home)."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", str(Path(caches) / "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def hugging_face_cache() -> Path:
    """Return the folder where huggingface_hub keeps repositories (huggingface_hub/constants.py)."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", str(Path(caches) / "huggingface"))
    return Path(os.environ.get("HF_HUB_CACHE", str(Path(home) / "hub"))).expanduser()
