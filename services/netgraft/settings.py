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
"""Most bytes of a token file that are read."""

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _capitals(level: Any) -> Any:
    """Return a known level as `logging` spells it."""
    upper = str(level).strip().upper()
    return upper if upper in get_args(Level) else level


class Settings(BaseSettings):
    """All settings: addresses, folders, limits and the token."""

    model_config = SettingsConfigDict(env_prefix="NETGRAFT_", frozen=True)

    host: str = "127.0.0.1"
    """The address that gRPC and the web gateway bind."""
    grpc_port: int = Field(default=9000, ge=1, le=65535)
    web_port: int = Field(default=7860, ge=1, le=65535)
    engine: Literal["local", "ray"] = "local"
    """What `netgraft up` runs the services by: plain processes, or Ray."""
    address: str = ""
    """The server that clients talk to, HOST:PORT; empty: the embedded one."""
    state: Path = Path("~/.netgraft")
    """Folder of the token, the SQLite database and the store."""
    database: str = ""
    """SQLAlchemy URL; empty: SQLite in `state`."""
    store: str = ""
    """fsspec URL of the folder of tensors and cached files; empty: `state`/store."""
    data_roots: str = ""
    """Folders that data may be read from, separated by ":"; empty: the working folder at start."""
    file_mib: int = Field(default=512, ge=1, le=2000)
    """Largest model file that is opened, also when unpacked, in MiB."""
    hf_mib: int = Field(default=8192, ge=1)
    """Largest model of Hugging Face, from a folder or from the hub, in MiB."""
    picture_megapixels: int = Field(default=64, ge=1)
    """Largest picture of a data set that is decoded, and most pixels that a process decodes at a
    time, in millions of pixels. A larger JPEG is decoded at a fraction of its size."""
    archive_mib: int = Field(default=65536, ge=1)
    """Largest archive of pictures that is opened, measured unpacked, in MiB."""
    token: str = ""
    """The bearer token; empty: the one in `token_file`."""
    token_file: str = ""
    """File that holds the token; empty: `state`/token, which the first start makes."""
    web_hosts: str = ""
    """Host names of the chat page besides loopback and `host`, separated by commas."""
    features_mib: int = Field(default=2048, ge=1)
    """Features of frozen networks that are kept for the next job on the same data, in MiB."""
    workers: int = Field(default=0, ge=0)
    """Training processes of a job that does not set a number; 0: one on each GPU, and without a GPU
    one, whose threads share all cores."""
    checkpoint_seconds: float = Field(default=30.0, gt=0)
    """Longest time between two checkpoints of a tuning job."""
    silent_seconds: float = Field(default=30.0, ge=5)
    """Seconds without a sign of life after which a tuning run is presumed dead and started again;
    a run sends one every two seconds."""
    price_cpu_hour: float = Field(default=0.0, ge=0)
    """Price of an hour of one CPU core, for `--max-cost`; 0: it has none."""
    price_gpu_hour: float = Field(default=0.0, ge=0)
    """Price of an hour of one GPU, for `--max-cost`; 0: it has none."""
    currency: str = Field(default="USD", max_length=8)
    """Currency of these prices, such as "USD"."""
    torch_mirror: str = ""
    """URL used instead of https://download.pytorch.org; empty: none."""
    log_level: Annotated[Level, BeforeValidator(_capitals)] = "INFO"
    """Lowest level of log lines that are written, in upper or lower case."""
    debug: bool = False
    """Whether the command line shows a traceback with an error."""

    @property
    def folder(self) -> Path:
        """`state` as an absolute path."""
        return self.state.expanduser().absolute()

    @property
    def server(self) -> str:
        """HOST:PORT that clients connect to."""
        return self.address or f"{self.host}:{self.grpc_port}"

    @property
    def web_url(self) -> str:
        """The chat page's address, as a browser on this machine reaches it."""
        near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # all interfaces
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{near.get(self.host, host)}:{self.web_port}"

    @property
    def web_names(self) -> frozenset[str]:
        """`web_hosts` in lower case, as in a Host header."""
        return frozenset(name.strip().lower() for name in self.web_hosts.split(",") if name.strip())

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{self.folder / 'netgraft.db'}"

    @property
    def store_url(self) -> str:
        """fsspec URL of the store."""
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
    def lists(self) -> Path:
        """Folder of the lists that a check of data writes."""
        return self.folder / "lists"

    @property
    def archive_bytes(self) -> int:
        """`archive_mib` in bytes."""
        return self.archive_mib * 2**20

    @property
    def picture_pixels(self) -> int:
        """`picture_megapixels` in pixels."""
        return self.picture_megapixels * 1_000_000

    def read_token(self) -> str:
        """Return the token, or "" when none has been made. Raises NoTokenInFile."""
        if self.token:
            return self.token
        if self.token_file:
            return _token_in(Path(self.token_file).expanduser().absolute())
        path = self.folder / "token"
        try:
            return _text_of(path, *_version_of(path))
        except OSError:
            return ""

    def make_token(self) -> str:
        """Return the token; when there is none, make one that only its owner can read.

        Makes none where `token_file` is set: raises NoTokenInFile instead.
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
    """Return the token in a file that the user named. Raises NoTokenInFile."""
    try:
        token = _text_of(path, *_version_of(path))
    except (OSError, UnicodeDecodeError) as error:
        raise NoTokenInFile(path=path) from error
    if not token:
        raise NoTokenInFile(path=path)
    return token


def _version_of(path: Path) -> tuple[int, int, int]:
    """Return a value that changes when a file is written or replaced. Raises OSError."""
    found = os.stat(path)  # noqa: PTH116  # of every call: Path.stat takes twice as long
    return found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _text_of(path: Path, *_: int) -> str:
    """The text in this version of a file. Raises OSError and UnicodeDecodeError."""
    with path.open("rb") as file:
        return file.read(LONGEST_TOKEN).decode().strip()


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the process's settings, read once. Tests call `settings.cache_clear()`.

    Raises InvalidValue, which names the variable.
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
