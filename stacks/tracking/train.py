"""Train a small network to tell three spirals apart, and log it: to TensorBoard, and to MLflow if MLFLOW_TRACKING_URI is set."""

import argparse
import os
import time

import numpy as np
from tensorboard.summary import Writer

HIDDEN, BATCH, POINTS, HELD_OUT = 64, 50, 1500, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--logdir", default="runs")
    options = parser.parse_args()

    name = f"{time.strftime('%Y-%m-%d-%H%M%S')}-rate-{options.rate}"
    board = Writer(f"{options.logdir}/{name}")
    tracked = bool(os.environ.get("MLFLOW_TRACKING_URI"))
    if tracked:
        import mlflow

        mlflow.set_experiment("spirals")
        mlflow.start_run(run_name=name)
        mlflow.log_params({"epochs": options.epochs, "rate": options.rate, "hidden": HIDDEN})

    chance = np.random.default_rng(1)
    points, labels = spirals(chance)
    network = Network(points.shape[1], chance)
    for epoch in range(1, options.epochs + 1):
        metrics = network.learn_all(points, labels, options.rate, chance)
        for metric, value in metrics.items():
            board.add_scalar(metric, value, step=epoch)
        if tracked:
            mlflow.log_metrics(metrics, step=epoch)
        if epoch % 5 == 0 or epoch == options.epochs:
            print(f"epoch {epoch:3}  loss {metrics['loss']:.3f}  held-out accuracy {metrics['accuracy']:.1%}")

    board.close()
    np.savez("weights.npz", network.first, network.second)
    if tracked:
        mlflow.log_artifact("weights.npz")
        mlflow.end_run()
    print(f"logged as {name}")


def spirals(chance: np.random.Generator):
    """Points of three spirals, with a little noise, as waves of their coordinates; and which spiral each is of."""
    labels = chance.integers(0, 3, POINTS)
    along = chance.uniform(0.1, 1, POINTS)
    angle = 9 * along + labels * 2 * np.pi / 3 + chance.normal(0, 0.25, POINTS)
    x, y = along * np.cos(angle), along * np.sin(angle)
    waves = [wave(k * axis) for k in (1, 2, 4) for axis in (x, y, x + y, x - y) for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1), labels


class Network:
    """One hidden layer."""

    def __init__(self, width: int, chance: np.random.Generator) -> None:
        self.first = chance.normal(0, 0.3, (width, HIDDEN))
        self.second = chance.normal(0, 0.1, (HIDDEN, 3))

    def __call__(self, points):
        hidden = np.maximum(points @ self.first, 0)
        scores = hidden @ self.second
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, likely / likely.sum(axis=1, keepdims=True)

    def learn_all(self, points, labels, rate: float, chance: np.random.Generator) -> dict[str, float]:
        """One pass over all points but those that are held out; what it has come to."""
        order = HELD_OUT + chance.permutation(POINTS - HELD_OUT)
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        loss = np.mean([self.learn(points[some], labels[some], rate) for some in batches])
        right = self(points[:HELD_OUT])[1].argmax(axis=1) == labels[:HELD_OUT]
        return {"loss": float(loss), "accuracy": float(right.mean())}

    def learn(self, points, labels, rate: float) -> float:
        """One step; the loss before it."""
        hidden, likely = self(points)
        rows = np.arange(len(labels))
        loss = -np.log(likely[rows, labels]).mean()
        likely[rows, labels] -= 1
        back = likely @ self.second.T * (hidden > 0)
        self.second -= rate * hidden.T @ likely / len(labels)
        self.first -= rate * points.T @ back / len(labels)
        return loss


if __name__ == "__main__":
    main()
