"""The demo's training script: it reads handwritten digits with scikit-learn, and logs as any script would.

    python -m loghook.cli.demo_train [--seconds 30] [--ledger FILE]

Apart from `loghook.install` this is a plain script: loggers, `extra={"metrics": ...}`, a console handler. `--ledger`
adds a second, independent handler that writes what was logged to a file, so that the demo can compare.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loghook

__all__ = ["main"]

EPOCHS = 24
BATCH = 32
RATE = 0.05
DECAY = 0.9

log = logging.getLogger("digits")
batch_log = logging.getLogger("digits.batch")


class Ledger(logging.Handler):
    """Writes level, message, metrics and step of each record as a line of JSON."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w", encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        entry = {"level": record.levelname, "message": record.getMessage()}
        entry.update({name: record.__dict__[name] for name in ("metrics", "step") if name in record.__dict__})
        self._file.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        """Close the file, at the latest when logging shuts down."""
        self._file.close()
        super().close()


def main() -> None:
    """Train for about the asked time and log the loss and accuracy of each batch and each epoch."""
    parser = argparse.ArgumentParser(description="Train on handwritten digits and log it.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--ledger", type=Path)
    arguments = parser.parse_args()
    show_epochs_only()
    loghook.install("digits", params={"epochs": EPOCHS, "batch": BATCH, "rate": RATE, "decay": DECAY})
    if arguments.ledger:
        logging.getLogger().addHandler(Ledger(arguments.ledger))
    train(arguments.seconds)


def show_epochs_only() -> None:
    """Print the epochs' lines on the terminal, but not those of a thousand batches."""
    logging.basicConfig(level=logging.INFO, format="%(levelname).1s  %(message)s")
    logging.getLogger().handlers[0].addFilter(lambda record: record.name != batch_log.name)


def train(seconds: float) -> None:
    """Fit a linear model in small batches, spread over the given time so that one can watch."""
    import numpy
    from sklearn.datasets import load_digits
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    split = train_test_split(digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    images, held_out, labels, held_out_labels = split
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=RATE, random_state=0)
    model.partial_fit(images[:BATCH], labels[:BATCH], classes=digits.target_names)
    log.info("%d images to learn from, %d held out, %d epochs", len(images), len(held_out), EPOCHS)

    shuffled = numpy.random.default_rng(0)
    paced = pace(seconds, EPOCHS * -(-len(images) // BATCH))
    best = float("inf")
    for epoch in range(1, EPOCHS + 1):
        model.set_params(eta0=RATE * DECAY ** (epoch - 1))
        order = shuffled.permutation(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            guesses = model.predict_proba(images[chosen])
            model.partial_fit(images[chosen], labels[chosen])
            log_batch(next(paced), *score(guesses, labels[chosen]), model.eta0)
        loss, accuracy = score(model.predict_proba(held_out), held_out_labels)
        log_epoch(epoch, loss, accuracy)
        if loss > 1.01 * best:
            log.warning("the loss on held-out images rose from its best, %.4f, to %.4f", best, loss)
        best = min(best, loss)
    log.info("done: the best loss on held-out images was %.4f", best)


def score(guesses: Any, labels: Any) -> tuple[Any, Any]:
    """Return the mean log loss and the accuracy of a model's probabilities, as NumPy's numbers."""
    import numpy

    right = guesses[numpy.arange(len(labels)), labels]
    return -numpy.log(numpy.maximum(right, 1e-15)).mean(), (guesses.argmax(axis=1) == labels).mean()


def log_batch(step: int, loss: float, accuracy: float, rate: float) -> None:
    """Log one batch; the metrics may be numpy's numbers."""
    metrics: dict[str, Any] = {"loss": loss, "accuracy": accuracy, "rate": rate}
    batch_log.info("batch %d", step, extra={"metrics": metrics, "step": step})


def log_epoch(epoch: int, loss: float, accuracy: float) -> None:
    """Log one epoch; nested metrics become names with a slash, val/loss and val/accuracy."""
    metrics = {"val": {"loss": loss, "accuracy": accuracy}}
    text = "epoch %2d of %d: loss %.4f, accuracy %.1f %%, on held-out images"
    log.info(text, epoch, EPOCHS, loss, 100 * accuracy, extra={"metrics": metrics, "step": epoch})


def pace(seconds: float, steps: int) -> Iterator[int]:
    """Count the steps from 1, letting time pass so that all of them take that many seconds."""
    begin = time.monotonic()
    for step in range(1, steps + 1):
        time.sleep(max(0.0, begin + seconds * step / steps - time.monotonic()))
        yield step


if __name__ == "__main__":
    main()
