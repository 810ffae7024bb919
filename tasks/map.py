"""Stage `map`: where every checkpoint of a zoo lies, and which are its nearest."""

from sane_core.analysis.map import draw_map, read_checkpoints, write_map
from sane_core.embedding.files import read_embeddings
from schemas.records import Record
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact

FILE = "map.json"


class MapStage(Record):
    """A map takes everything from its inputs."""


@stage("map")
def make_map(
    job: Job, config: MapStage, seed: int, zoo: OpenArtifact, embeddings: OpenArtifact
) -> None:
    """Place every checkpoint; the page is made of it by every run (`tasks/publish.py`)."""
    del config, seed
    embedded = read_embeddings(embeddings.folder / "embeddings.parquet")
    drawn = draw_map(embedded, read_checkpoints(zoo.folder))
    write_map(job.folder / FILE, drawn)
    job.metrics["map.points"] = float(len(drawn["x"]))
    job.metrics["map.explained"] = float(sum(drawn["explained"]))
