"""The command line: `sane run`, `report`, `embed`, `search`, `predict`, `sample`, and more.

Everything heavy is imported inside the commands, so `sane --help` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.analyse_cli import analyse
from flows.data import app as data_app
from flows.embed_cli import embed
from flows.model_cli import app as model_app
from flows.predict_cli import predict
from flows.report_cli import report
from flows.sample_cli import sample
from flows.search_cli import search
from flows.tune_cli import tune
from flows.zoo_cli import app as zoo_app
from schemas.errors import SaneError

app = typer.Typer(
    name="sane",
    help="Learn from, probe and generate the weights of neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.add_typer(zoo_app, name="zoo")
app.add_typer(model_app, name="model")
app.add_typer(data_app, name="data")


@app.command()
def run(
    config: Annotated[
        Path, typer.Argument(help="Experiment file, such as deployments/quickstart.yaml.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a key: --set zoos.0.members=20. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; runs/NAME if not given.")
    ] = None,
) -> None:
    """Run every experiment of CONFIG, from a zoo of networks to the report."""
    from flows.configuration import load_configuration

    settings = load_configuration(config, overrides or ())
    if out is not None:
        settings = settings.model_copy(update={"out": str(out)})

    from flows.run import run_benchmark

    run_benchmark(settings)


app.command()(tune)
app.command()(embed)
app.command()(search)
app.command()(predict)
app.command()(sample)
app.command()(analyse)
app.command()(report)


@app.command()
def doctor(
    store: Annotated[str, typer.Option(help="Folder of the artifact store.")] = "store",
) -> None:
    """Check that this machine can run SANE, and say what to do where it cannot."""
    from flows.doctor import diagnose, passed, render

    checks = diagnose(store)
    render(checks)
    raise typer.Exit(0 if passed(checks) else 1)


def main() -> None:
    """Run the command line; an explained error is one sentence and its exit code."""
    try:
        app()
    except SaneError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if not _interrupted(error):
            raise
        typer.echo("interrupted: run the same command again to go on", err=True)
        sys.exit(130)


def _interrupted(error: BaseException | None) -> bool:
    """Return whether an error came of an interruption.

    Ctrl-C reaches the embedded server too: Prefect then fails to tell it of the flow's end.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


if __name__ == "__main__":
    main()
