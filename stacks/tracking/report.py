"""Read back what the latest run logged, from TensorBoard, and from MLflow if MLFLOW_TRACKING_URI is set; exit 1 if something
is missing or the model is bad."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

DEADLINE_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensorboard", required=True, help="its address")
    parser.add_argument("--logdir", type=Path, default="runs")
    parser.add_argument("--epochs", type=int, required=True, help="of which there should be points")
    options = parser.parse_args()

    name = max(path.name for path in options.logdir.iterdir())
    points = drawn(options.tensorboard, name, options.epochs)
    print(f"TensorBoard has {len(points)} points of {name}, the last accuracy is {points[-1]:.1%}")
    fine = len(points) == options.epochs and points[-1] > 0.8
    if os.environ.get("MLFLOW_TRACKING_URI"):
        known, files = logged(name)
        print(f"MLflow has {len(known)} points and the files {files}")
        fine = fine and len(known) == options.epochs and files == ["weights.npz"]
    print("tracked" if fine else "something is missing")
    return 0 if fine else 1


def drawn(address: str, run: str, wanted: int) -> list[float]:
    """The accuracy in TensorBoard, which looks into its folder once a second: wait until it has all of it."""
    path = f"/data/plugin/scalars/scalars?run={quote(run)}&tag=accuracy"
    deadline, found = time.monotonic() + DEADLINE_S, []
    while len(found) < wanted and time.monotonic() < deadline:
        try:
            with urlopen(address + path) as answer:
                found = [value for _, _, value in json.load(answer)]
        except OSError:  # 400 as long as it knows no such run
            pass
        time.sleep(0.2)
    return found or [0.0]


def logged(name: str) -> tuple[list[float], list[str]]:
    """The accuracy in MLflow, and the files of the run."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("spirals")
    wanted = f"attributes.run_name = '{name}'"
    (run,) = client.search_runs([experiment.experiment_id], wanted)
    history = client.get_metric_history(run.info.run_id, "accuracy")
    return [point.value for point in history], [file.path for file in client.list_artifacts(run.info.run_id)]


if __name__ == "__main__":
    sys.exit(main())
