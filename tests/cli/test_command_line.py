"""The command line answers at once, and explains itself in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "prefect", "mlflow", "ffcv", "numba", "matplotlib")


def sane(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


@pytest.mark.parametrize(
    "action",
    [
        "",
        "app(['--help'], standalone_mode=False)",
        "app(['run', '--help'], standalone_mode=False)",
    ],
)
def test_help_imports_nothing_heavy(action: str, tmp_path: Path) -> None:
    script = (
        f"import sys\nfrom flows.cli import app\n{action}\n"
        f"print('heavy:', sorted(set({HEAVY}) & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_help_names_the_commands(tmp_path: Path) -> None:
    done = sane("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "run" in done.stdout
    assert "doctor" in done.stdout


def test_a_user_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("name: small\n")
    done = sane("run", "small.yaml", "--set", "pretrain.epochs=0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: pretrain.epochs must be >= 1, got 0; correct it in --set pretrain.epochs=0\n"
    )


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = sane("run", "nowhere.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere.yaml does not exist; give the path")
    assert len(done.stderr.splitlines()) == 1


def test_a_refused_run_leaves_nothing_behind(tmp_path: Path) -> None:
    sane("run", "nowhere.yaml", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_explained_failure_exits_with_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from flows import cli
    from schemas.errors import DamagedArtifact

    def fail() -> None:
        raise DamagedArtifact("tokens.parquet differs from its manifest; run the stage again")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "error: tokens.parquet differs from its manifest; run the stage again\n"
    )


def test_an_interruption_is_one_sentence_even_where_the_server_is_gone_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows import cli

    def interrupted() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            try:
                raise OSError("connection refused")
            except OSError as refused:
                raise ConnectionError("no server") from refused

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted: run the same command again to go on\n"


def test_an_error_that_nobody_explained_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import cli

    def fail() -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ConnectionError):
        cli.main()
