"""`sane tune CONFIG`; the heavy imports stand inside the command."""

from pathlib import Path
from typing import Annotated

import typer


def tune(
    config: Annotated[Path, typer.Argument(help="Study file, such as deployments/tune.yaml.")],
    trials: Annotated[
        int | None, typer.Option(help="Trials in all, in place of the file's number.")
    ] = None,
) -> None:
    """Search the hyper-parameters of pretraining; the same command goes on where it was stopped."""
    from flows.tune_configuration import load_study, read_search

    settings = load_study(config, trials)
    search = read_search(settings)

    from flows.run import prepare

    prepare(search.benchmark)
    from flows.tune import tune as flow

    best = Path(flow(settings))
    from tasks.tracking_places import ui_command

    typer.echo(f"Best:   {best}")
    typer.echo(f"Page:   {best.with_name('study.html')}")
    typer.echo(f"MLflow: {ui_command(search.benchmark.tracking)}")
