"""Read back from both servers what the latest run logged; exit 1 if something is missing or the model is bad."""

import argparse
import json
import sys
import time
from urllib.parse import quote
from urllib.request import urlopen

import mlflow

DEADLINE_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensorboard", required=True, help="its address")
    options = parser.parse_args()

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("digits")
    run = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]
    history = client.get_metric_history(run.info.run_id, "accuracy")
    files = [item.path for item in client.list_artifacts(run.info.run_id)]
    drawn = scalars(options.tensorboard, run.info.run_name, len(history))

    accuracy = run.data.metrics["accuracy"]
    print(
        f"mlflow has {run.info.run_name}: {len(history)} epochs, accuracy {accuracy:.1%}, artifacts {files}"
    )
    print(f"tensorboard has {drawn} points of it")
    fine = (
        drawn == len(history) == int(run.data.params["epochs"]) and "weights.npz" in files and accuracy > 0.8
    )
    print("tracked" if fine else "something is missing")
    return 0 if fine else 1


def scalars(address: str, run: str, wanted: int) -> int:
    """Points of `accuracy` in TensorBoard, which looks into its folder once a second: wait until it has them."""
    path = f"/data/plugin/scalars/scalars?run={quote(run)}&tag=accuracy"
    deadline, found = time.monotonic() + DEADLINE_S, 0
    while found < wanted and time.monotonic() < deadline:
        try:
            with urlopen(address + path) as answer:
                found = len(json.load(answer))
        except OSError:  # 400 as long as it knows no such run
            time.sleep(0.5)
    return found


if __name__ == "__main__":
    sys.exit(main())
