"""loghook completion: prints what makes a shell complete loghook's commands and options."""

from __future__ import annotations

import click

from loghook.cli import console

__all__ = ["completion"]


@click.command(short_help="Print a script for the shell's Tab key.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes the Tab key complete loghook's commands.

    \b
    Examples:
      bash   add to ~/.bashrc:  eval "$(loghook completion bash)"
      zsh    add to ~/.zshrc:   eval "$(loghook completion zsh)"
      fish   loghook completion fish > ~/.config/fish/completions/loghook.fish
    """
    from click.shell_completion import get_completion_class

    shells = get_completion_class(shell)
    assert shells is not None, "click.Choice lets only shells through that click knows"
    click.echo(shells(context.find_root().command, {}, "loghook", console.COMPLETE).source())
