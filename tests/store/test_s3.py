"""A store on S3 keeps what a local one keeps; Moto's server answers, on loopback."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from schemas.config.images import ImagesConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.zoo import ZooConfig
from schemas.errors import DamagedArtifact, StoreError
from schemas.records import Artifact
from tasks.images import ImagesStage, prepare_images
from tasks.stage import Place
from tasks.store import Store
from tasks.store_records import Job
from tasks.tokens import preprocess
from tasks.zoo import ZooStage, build_zoo

s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

FOUND = """
import sys
from pathlib import Path
from uuid import uuid4
from tasks.store import Store
store = Store(sys.argv[1], local=Path(sys.argv[2]))
artifact = store.find("tokens", sys.argv[3])
print(artifact.uri, store.open(artifact).file("layers.parquet").read_bytes())
"""
ROUNDS = 5


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 on loopback, named by the usual variables and by nothing else."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        s3fs.S3FileSystem.clear_instance_cache()
        yield address
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def bucket(endpoint: str) -> str:
    """A new bucket."""
    name = f"sane-{uuid4().hex}"
    s3fs.S3FileSystem().mkdir(name)
    return name


Other = Callable[[str], Store]


@pytest.fixture
def other(bucket: str, tmp_path: Path) -> Other:
    """Open the bucket's store from another machine: with a working folder of its own."""
    return lambda machine: Store(f"s3://{bucket}/sane", local=tmp_path / machine)


@pytest.fixture
def s3(other: Other) -> Store:
    """The store."""
    return other("here")


def objects(bucket: str) -> dict[str, bytes]:
    """Return what lies in a bucket, by name below the store."""
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    prefix = f"{bucket}/sane/"
    return {path.removeprefix(prefix): files.cat_file(path) for path in files.find(prefix)}


def test_what_was_written_is_read_back_elsewhere(s3: Store, other: Other, make, key) -> None:
    artifact, cached = make(s3)
    assert not cached
    assert make(other("there")) == (artifact, True)
    opened = other("there").open(artifact)
    assert opened.file("split=train/part-0.parquet").read_bytes() == b"tokens" * 1000
    assert artifact.uri == f"{s3.uri}/tokens/{key}"


def test_the_digest_is_that_of_a_local_store(s3: Store, store: Store, make) -> None:
    assert make(s3)[0].digest == make(store)[0].digest


def test_another_process_finds_it(s3: Store, make, key, tmp_path: Path) -> None:
    artifact, _ = make(s3)
    done = subprocess.run(
        [sys.executable, "-c", FOUND, s3.uri, str(tmp_path / "process"), key],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == f"{artifact.uri} b'layers'\n", done.stderr


def test_without_a_manifest_there_is_no_artifact(s3: Store, bucket: str, make, key) -> None:
    def killed(store: Store) -> None:
        def stop(path: str, data: bytes) -> None:
            raise KeyboardInterrupt

        store._folders._create = stop  # type: ignore[attr-defined]
        make(store)

    with pytest.raises(KeyboardInterrupt):
        killed(s3)
    assert f"tokens/{key}/layers.parquet" in objects(bucket)
    again = Store(s3.uri, local=s3._local)
    assert again.find("tokens", key) is None
    artifact, cached = make(again)
    assert not cached
    assert again.open(artifact)


def test_the_manifest_is_put_once(s3: Store, bucket: str, key) -> None:
    path = f"{bucket}/sane/tokens/{key}/manifest.json"
    folders = s3._folders
    folders._create(path, b"first")  # type: ignore[attr-defined]
    folders._create(path, b"second")  # type: ignore[attr-defined]
    assert objects(bucket)[f"tokens/{key}/manifest.json"] == b"first"
    with pytest.raises(FileExistsError):
        folders.files.pipe_file(path, b"third", mode="create")  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_artifact_is_rebuilt(
    s3: Store, other: Other, bucket: str, make, key, damage: str
) -> None:
    artifact, _ = make(s3)
    files, path = s3fs.S3FileSystem(), f"{bucket}/sane/tokens/{key}/layers.parquet"
    if damage == "altered":
        files.pipe_file(path, b"lavers")
    else:
        files.rm_file(path)
    with pytest.raises(DamagedArtifact, match=r"layers\.parquet .*run the same command again"):
        other("there").open(artifact)
    assert other("there").find("tokens", key) is None
    assert make(other("there")) == (artifact, False)
    assert other("third").open(artifact).file("layers.parquet").read_bytes() == b"layers"


def test_what_is_forgotten_is_made_again(s3: Store, make, key) -> None:
    artifact, _ = make(s3)
    s3.forget("tokens", key)
    assert s3.find("tokens", key) is None
    assert make(s3) == (artifact, False)


def test_the_artifacts_of_a_stage_are_listed(s3: Store, other: Other, make) -> None:
    assert other("there").artifacts("tokens") == []
    artifact, _ = make(s3)
    assert [found for found, _ in other("there").artifacts("tokens")] == [artifact]


def test_two_machines_at_once_leave_one_whole_artifact(other: Other, make, key, bucket) -> None:
    for race in range(ROUNDS):
        both = threading.Barrier(2, timeout=60)

        def work(job: Job, both: threading.Barrier = both) -> None:
            (job.folder / "layers.parquet").write_bytes(b"layers" * 10_000)
            both.wait()

        def run(machine: str, into: list[Artifact], work: Callable[[Job], None] = work) -> None:
            into.append(make(other(machine), work)[0])

        made: list[Artifact] = []
        machines = [
            threading.Thread(target=run, args=(f"{name}-{race}", made)) for name in ("a", "b")
        ]
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.join()
        assert len(made) >= 1
        assert len({artifact.digest for artifact in made}) == 1
        assert other(f"reader-{race}").open(made[0])
        other("here").forget("tokens", key)


def test_an_s3_that_cannot_be_written_is_refused(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"store s3://no-such-bucket-.* cannot be written \("):
        Store("s3://no-such-bucket-anywhere/sane", local=tmp_path).check_writable()


def test_a_writable_s3_is_left_empty(s3: Store, bucket: str) -> None:
    s3.check_writable()
    assert objects(bucket) == {}


def test_stages_make_the_same_there(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    chosen = ImagesConfig(train=64, validation=20, test=20)
    # Which way is fastest may be measured differently twice, and last bits differ between ways.
    recipe = ZooStage.of(ZooConfig(members=8, epochs=1, way="patches"))

    def run(store: str) -> list[str]:
        place = Place(store=store, seed=0)
        images = prepare_images(ImagesStage.of(chosen, "data"), at=place)
        zoo = build_zoo(recipe, at=place, images=images)
        tokens = preprocess(PreprocessConfig(), at=place, zoo=zoo)
        return [artifact.digest for artifact in (images, zoo, tokens)]

    remote = run(f"s3://{bucket}/sane")
    assert remote == run(str(tmp_path / "store"))
    assert sum(name.endswith("manifest.json") for name in objects(bucket)) == 3
