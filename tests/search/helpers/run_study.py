"""`python run_study.py DIR TRIALS WORKERS`: a study to be killed."""

from __future__ import annotations

import sys

from study_objectives import slow  # type: ignore[import-not-found]

from actc.search import Study, processes

if __name__ == "__main__":
    folder, trials, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with Study(folder, slow, seed=3) as study:
        study.run(trials, processes(workers) if workers else None, slots=max(1, workers))
