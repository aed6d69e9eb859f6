"""The root command. It imports a sub-command's module when that is called, not before.

Knows every command's name and its line of help, and nothing else about it.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

import click

from netgraft.cli import failure, oneshot
from netgraft.cli.command import json_option, language_option, local_option, server_option
from netgraft.cli.session import Session
from netgraft.cli.terminal.language import choose_language, tr
from netgraft.errors import NetgraftError
from netgraft.language import mark

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module, line of help)
    "up": ("server", mark("Start everything and print the chat page's address.")),
    "do": ("plan", mark("Carry out a sentence or a plan file.")),
    "plan": ("plan", mark("Print the plan for a sentence.")),
    "show": ("show", mark("Draw a model's graph.")),
    "inspect": ("show", mark("Print heads, parameters, FLOPs and input.")),
    "diff": ("show", mark("Compare two models.")),
    "models": ("show", mark("Search the model zoo.")),
    "prefetch": ("prefetch", mark("Download pretrained weights.")),
    "upload": ("upload", mark("Send a model's file to the server.")),
    "retarget": ("retarget", mark("Replace the head for N classes.")),
    "freeze": ("edit", mark("Stop layers from training.")),
    "unfreeze": ("edit", mark("Let layers train again.")),
    "set-loss": ("edit", mark("Choose the loss.")),
    "replace": ("edit", mark("Replace a module by another layer.")),
    "dropout": ("edit", mark("Set the dropout before the head.")),
    "lora": ("edit", mark("Put LoRA adapters on the backbone.")),
    "undo": ("edit", mark("Go back to the model before the last edit.")),
    "export": ("export", mark("Write a model to a file.")),
    "data": ("data", mark("Check a data set before it is trained on.")),
    "finetune": ("tune", mark("Train a model on data.")),
    "forecast": ("forecast", mark("Estimate how long training would take.")),
    "evaluate": ("evaluate", mark("Measure a model on a data set.")),
    "predict": ("predict", mark("Say what a model sees in pictures.")),
    "jobs": ("tune", mark("List tuning jobs.")),
    "status": ("tune", mark("Print the state of a job.")),
    "watch": ("tune", mark("Follow a job to its end.")),
    "cancel": ("tune", mark("Stop a job; it can be resumed.")),
    "resume": ("tune", mark("Resume a stopped job.")),
    "token": ("server", mark("Print the token that clients need.")),
    "doctor": ("server", mark("Check this machine and say what to fix.")),
    "demo": ("demo", mark("Start netgraft and carry out one sentence.")),
    "completion": ("server", mark("Print the shell's completion script.")),
}  # fmt: skip

LOCALES = ("NETGRAFT_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
ASKED_JSON = "netgraft.cli.json"
"""Key under which click keeps whether --json was given, even on a line that cannot be parsed."""
LANGUAGE = language_option(envvar=LOCALES)


class Program(click.Group):
    """The group of all commands: imports them lazily, and ends every call with the right code."""

    def main(self, *given: Any, **options: Any) -> Any:
        if given or "args" in options:  # a caller that continues after the command
            return super().main(*given, **options)
        oneshot.begin()
        try:
            return super().main(**options)
        except SystemExit as done:
            oneshot.leave(done)
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Before the arguments are parsed: --help is in the user's language too.
        choose_language(
            "zh" if (LANGUAGE.resolve_envvar_value(ctx) or "").startswith("zh") else "en"
        )
        ctx.meta[ASKED_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"netgraft.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.NoSuchCommand(name, possibilities=list(COMMANDS), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(tr("Commands")):
            formatter.write_dl([(name, tr(does)) for name, (_, does) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=tr(does))
            for name, (_, does) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> None:
        session = ctx.ensure_object(Session)
        try:
            super().invoke(ctx)
            sys.stdout.flush()
            return
        except NetgraftError as error:
            code = failure.report_error(error, as_json=session.json)
        except click.UsageError as error:
            if not ctx.meta[ASKED_JSON]:
                raise
            failure.report("USAGE", error.format_message(), as_json=True)
            code = error.exit_code
        except click.exceptions.Exit:
            raise
        except (KeyboardInterrupt, click.exceptions.Abort):
            code = failure.INTERRUPTED
        except BrokenPipeError:
            code = failure.silence_output()
        except (ModuleNotFoundError, OSError) as error:
            code = failure.report_error(failure.from_system(error), as_json=session.json)
        except Exception as error:  # noqa: BLE001  # the boundary: people get a sentence, no traceback
            code = failure.report_unexpected(error, as_json=session.json)
        ctx.exit(code)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"netgraft {version('netgraft')}")
        ctx.exit()


@click.command(
    cls=Program,
    invoke_without_command=True,
    params=[json_option(), server_option(), local_option(), LANGUAGE],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`netgraft COMMAND --help` shows examples.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Print the version.")  # fmt: skip
@click.pass_context
def main(ctx: click.Context) -> None:
    """See a network, graft a new head on it, grow it.

    MODEL is a torchvision name (resnet50), timm/NAME, hf/ORG/NAME, a file (./net.pth), or a
    model id. While a netgraft runs (`netgraft up`), commands go to it; without one they work in
    this process, and those that train start a netgraft of their own.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
