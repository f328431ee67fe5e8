"""Reports of studies, each from a fresh export.

`python -m study.results.report FOLDER` writes FOLDER/report.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.report import Report, read, read_several
from study.record.reader import Reader
from study.results.export import export
from trainable.contract import StudyError
from trainable.disk import write_atomically


def make(folders: Sequence[Path]) -> Report:
    """Export the studies in `folders` and make their report, on one page if there are several.

    AnalysisError if the studies are not comparable.
    """
    for folder in folders:
        with closing(Reader.read(folder)) as reader:
            export(reader, folder)
    return read(folders[0]) if len(folders) == 1 else read_several(folders)


def write(folder: Path) -> Path:
    """Export the study in `folder` and write its report to report/index.html; return the path of the page.

    Files are replaced atomically, the page last: concurrent processes leave a complete report.
    """
    return make([folder]).save(folder / "report", write_atomically)


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]))
    except (StudyError, AnalysisError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
