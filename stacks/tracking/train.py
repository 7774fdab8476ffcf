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

    mlflow.set_experiment("digits")  # the server is found by MLFLOW_TRACKING_URI
    with mlflow.start_run() as run:
        mlflow.log_params({"epochs": options.epochs, "rate": options.rate, "hidden": HIDDEN})
        board = Writer(f"{options.logdir}/{run.info.run_name}")
        weights = None
        for epoch, weights, seen in train(options.epochs, options.rate):
            mlflow.log_metrics(seen, step=epoch)
            for name, value in seen.items():
                board.add_scalar(name, value, step=epoch)
            if epoch % 5 == 0 or epoch == options.epochs:
                print(f"epoch {epoch:3}  loss {seen['loss']:.3f}  held-out accuracy {seen['accuracy']:.1%}")
        board.close()
        np.savez("weights.npz", *weights)
        mlflow.log_artifact("weights.npz")
    print(f"logged as {run.info.run_name}")


def train(epochs: int, rate: float):
    """Yields (epoch, weights, metrics) after each pass over the training digits."""
    chance = np.random.default_rng(1)
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    first, second = chance.normal(0, 0.1, (images.shape[1], HIDDEN)), chance.normal(0, 0.1, (HIDDEN, 10))
    for epoch in range(1, epochs + 1):
        losses = []
        order = HELD_OUT + chance.permutation(len(labels) - HELD_OUT)
        for start in range(0, len(order), BATCH):
            x, y = images[order[start : start + BATCH]], labels[order[start : start + BATCH]]
            hidden, likely = forward(x, first, second)
            rows = np.arange(len(y))
            losses.append(-np.log(likely[rows, y]).mean())
            wrong = likely.copy()
            wrong[rows, y] -= 1
            back = wrong @ second.T * (hidden > 0)
            second -= rate * hidden.T @ wrong / len(y)
            first -= rate * x.T @ back / len(y)
        right = forward(images[:HELD_OUT], first, second)[1].argmax(axis=1) == labels[:HELD_OUT]
        yield epoch, (first, second), {"loss": float(np.mean(losses)), "accuracy": float(right.mean())}


def forward(x, first, second):
    hidden = np.maximum(x @ first, 0)
    scores = hidden @ second
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, likely / likely.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
