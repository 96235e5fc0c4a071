"""One Kafka broker (KRaft, its own controller) from jars, started fast by class-data sharing and a formatted folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from tests.engines.running import CACHE, Engine, free_port, listens, running

HERE = Path(__file__).parent
HOME = CACHE / "kafka"
_CLUSTER = "4L6g3nShT-eMCtK--X86sw"


class Kafka(Engine):
    """A broker with 256 MB of heap; `url` is what settings call a log on it, without the log's name."""

    name: ClassVar[str] = "kafka"
    archive: ClassVar[Path] = HOME / "classes.jsa"
    formatted: ClassVar[Path] = HOME / "formatted"

    def __init__(self, folder: Path) -> None:
        """Choose the ports of the broker and of its controller."""
        super().__init__(folder)
        self.controller = free_port()

    @classmethod
    def available(cls) -> str | None:
        """Return what is missing: Java, the jars, or the driver."""
        if shutil.which("java") is None:
            return "there is no java on PATH"
        if not (HOME / "ready").exists():
            return f"the broker's jars are not in {HOME}"
        try:
            import confluent_kafka  # noqa: F401
        except ImportError:
            return "confluent-kafka is not installed"
        return None

    @property
    def servers(self) -> str:
        """Return the bootstrap address."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return `kafka://host:port`; a log's URL adds `/name` and its query."""
        return f"kafka://{self.servers}"

    def location(self, home: Path, **options: object) -> str:
        """Return what stands behind `kafka:` in a URL, of a log of its own for each folder `home`."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"//{self.servers}/t{sha256(str(home).encode()).hexdigest()[:16]}?{query}"

    @property
    def properties(self) -> Path:
        """Return the configuration's file."""
        return self.folder / "server.properties"

    def prepare(self) -> None:
        """Write the configuration and a formatted data folder."""
        text = (HERE / "server.properties").read_text()
        places = {"PORT": str(self.port), "CONTROLLER": str(self.controller), "DATA": str(self.folder / "data")}
        for place, value in places.items():
            text = text.replace(f"@{place}@", value)
        self.properties.write_text(text)
        if self.formatted.exists():
            shutil.copytree(self.formatted, self.folder / "data", dirs_exist_ok=True)

    def command(self) -> list[str]:
        """Return the broker's command line."""
        return [*self.java(), "kafka.Kafka", str(self.properties)]

    def java(self) -> list[str]:
        """Return the JVM's command line up to the class that is run."""
        jars = ":".join(str(each) for each in sorted((HOME / "libs").glob("*.jar")))
        shared = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []
        return ["java", "-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *shared,
                f"-Dlog4j2.configurationFile=file:{HERE / 'log4j2.properties'}", "-cp", jars]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return the environment without what would change the JVM."""
        return {name: value for name, value in os.environ.items() if name not in ("JAVA_TOOL_OPTIONS", "CLASSPATH")}

    def ready(self) -> bool:
        """Say whether the broker answers a request for its metadata and has a controller."""
        if not listens(self.port):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0, "socket.timeout.ms": 2_000})
        with suppress(KafkaException):
            return bool(admin.list_topics(timeout=2).brokers)
        return False


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for all tests that leave it running; each names its logs apart."""
    with running(Kafka, tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka_apart(tmp_path: Path) -> Iterator[Kafka]:
    """A broker of this test's own, to kill, pause and restart."""
    with running(Kafka, tmp_path / "kafka") as broker:
        yield broker
