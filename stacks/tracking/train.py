"""Train a small network on 1,797 handwritten digits (they come with scikit-learn), and log it to MLflow and TensorBoard."""

import argparse

import mlflow
import numpy as np
from sklearn.datasets import load_digits
from tensorboard.summary import Writer

HIDDEN, BATCH, HELD_OUT = 32, 50, 297


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--logdir", default="runs")
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    images = images / 16
    chance = np.random.default_rng(1)
    network = Network(images.shape[1], chance)
    mlflow.set_experiment("digits")  # the server is found by MLFLOW_TRACKING_URI
    with mlflow.start_run() as run:
        mlflow.log_params({"epochs": options.epochs, "rate": options.rate, "hidden": HIDDEN})
        board = Writer(f"{options.logdir}/{run.info.run_name}")
        for epoch in range(1, options.epochs + 1):
            order = HELD_OUT + chance.permutation(len(labels) - HELD_OUT)
            batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
            loss = np.mean([network.learn(images[some], labels[some], options.rate) for some in batches])
            right = network(images[:HELD_OUT])[1].argmax(axis=1) == labels[:HELD_OUT]
            seen = {"loss": float(loss), "accuracy": float(right.mean())}
            mlflow.log_metrics(seen, step=epoch)
            for name, value in seen.items():
                board.add_scalar(name, value, step=epoch)
            if epoch % 5 == 0 or epoch == options.epochs:
                print(f"epoch {epoch:3}  loss {loss:.3f}  held-out accuracy {right.mean():.1%}")
        board.close()
        np.savez("weights.npz", network.first, network.second)
        mlflow.log_artifact("weights.npz")
    print(f"logged as {run.info.run_name}")


class Network:
    """One hidden layer."""

    def __init__(self, width: int, chance: np.random.Generator) -> None:
        self.first = chance.normal(0, 0.1, (width, HIDDEN))
        self.second = chance.normal(0, 0.1, (HIDDEN, 10))

    def __call__(self, images):
        hidden = np.maximum(images @ self.first, 0)
        scores = hidden @ self.second
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, likely / likely.sum(axis=1, keepdims=True)

    def learn(self, images, labels, rate: float) -> float:
        """One step; the loss before it."""
        hidden, likely = self(images)
        rows = np.arange(len(labels))
        loss = -np.log(likely[rows, labels]).mean()
        likely[rows, labels] -= 1
        back = likely @ self.second.T * (hidden > 0)
        self.second -= rate * hidden.T @ likely / len(labels)
        self.first -= rate * images.T @ back / len(labels)
        return loss


if __name__ == "__main__":
    main()
