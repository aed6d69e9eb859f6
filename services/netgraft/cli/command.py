"""What all commands share: --json, --server, --local, --language, and examples in the help.

The four options may be given before the command's name or after it.
"""

from typing import Any

import click
from click.core import ParameterSource

from netgraft.cli.session import Session
from netgraft.cli.terminal.language import choose_language, tr

LANGUAGES = ("en", "zh")


class WholeNumber(click.ParamType[int]):
    """Whole numbers that fit into int64. The services check which values are allowed."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail(tr("{value!r} is not a whole number.", value=value), param, ctx)
        if not -(2**63) <= number < 2**63:
            self.fail(tr("{value} is too large.", value=value), param, ctx)
        return number


INT64 = WholeNumber()


def _session(ctx: click.Context) -> Session:
    return ctx.find_root().ensure_object(Session)


def _set_server(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        _session(ctx).server = value
        _choose_one(ctx)


def _set_local(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _session(ctx).local = True
        _choose_one(ctx)


def _choose_one(ctx: click.Context) -> None:
    session = _session(ctx)
    if session.local and session.server:
        problem = tr("Give either --local (work in this process) or --server ADDRESS, not both.")
        raise click.UsageError(problem, ctx)


def _set_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _session(ctx).json = True


def _set_language(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if not value:
        return
    # The environment gives a locale, such as "zh_CN.UTF-8" or "C"; the user must type one of
    # the two.
    typed = ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    if typed and value not in LANGUAGES:
        raise click.BadParameter(tr("choose en or zh."), ctx, param)
    choose_language("zh" if value.startswith("zh") else "en")


def server_option() -> click.Option:
    return click.Option(
        ["--server"],
        metavar="ADDRESS",
        expose_value=False,
        callback=_set_server,
        help="HOST:PORT of a netgraft server; by default the one that runs on this machine.",
    )


def local_option() -> click.Option:
    return click.Option(
        ["--local"],
        is_flag=True,
        expose_value=False,
        callback=_set_local,
        help="Work in this process, even while a netgraft runs.",
    )


def language_option(*, envvar: tuple[str, ...] = ()) -> click.Option:
    return click.Option(
        ["--language"],
        metavar="en|zh",
        envvar=envvar or None,
        expose_value=False,
        is_eager=True,
        callback=_set_language,
        help="Language of messages; by default that of LANG.",
    )


def json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_json,
        help="Print JSON.",
    )


engine_option = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    help="Plain processes (local), or Ray. Default: NETGRAFT_ENGINE, or local.",
)


class Command(click.Command):
    """A command of netgraft; its help ends with its examples, one a line."""

    def __init__(
        self,
        *args: Any,
        examples: tuple[str, ...] = (),
        server: bool = True,
        json: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        if json:
            self.params.append(json_option())
        if server:
            self.params.append(server_option())
            self.params.append(local_option())
        self.params.append(language_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"  {line}\n")


class Group(Command, click.Group):
    """A command of several words; its help ends with examples, too."""
