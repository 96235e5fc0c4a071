"""Make what lets a broker start in seconds: a formatted data folder and an archive of its loaded classes."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.engines.kafka import _CLUSTER, HOME, Kafka


class _Recording(Kafka):
    """A broker whose JVM writes the archive of its classes when it ends."""

    def java(self) -> list[str]:
        """Return the JVM's command line with the archive as its output."""
        java, *rest = super().java()
        kept = [each for each in rest if not each.startswith("-XX:TieredStopAtLevel")]
        return [java, f"-XX:ArchiveClassesAtExit={self.archive}", *kept]


def main() -> None:
    """Format, start, stop; says nothing when all went well."""
    for made in (Kafka.archive, HOME / "ready"):
        made.unlink(missing_ok=True)
    shutil.rmtree(Kafka.formatted, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        broker = _Recording(Path(folder))
        broker.stops_within = 60
        broker.prepare()
        format_folder = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(broker.properties)]
        subprocess.run([*Kafka.java(broker), *format_folder], check=True, stdout=subprocess.DEVNULL)
        shutil.copytree(broker.folder / "data", Kafka.formatted)
        broker.start()
        broker.stop()


if __name__ == "__main__":
    main()
