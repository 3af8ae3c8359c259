"""Codes: what a variational autoencoder makes of a record, a few numbers; and records from codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from models import Spec, build
from pipeline.detector.network import Network, Progress
from pipeline.encoding import Encoder

HIDDEN = 128
BETA = 0.3
"""The weight of the divergence from the prior against the log-likelihood of a record (Higgins et al. 2017, beta)."""
COMPONENTS = 30
RECORDS_A_COMPONENT = 200
DRAWS = 20_000
BLOCK = 8_192


class Vae:
    """A trained variational autoencoder by its halves; of several members the first, for codes of two do not compare.

    `spec.code` is the width of a code.
    """

    def __init__(self, spec: Spec, model: keras.Model) -> None:
        self.spec = spec
        self.model = model
        codes = [model.get_layer(name).output for name in ("code_mean", "code_log_variance")]
        self._encoder = keras.Model(model.inputs, codes)
        self._decoder = keras.Model(model.get_layer("divergence").output, model.get_layer("reconstruction").output)

    def codes(self, matrix: np.ndarray) -> np.ndarray:
        """The codes of encoded records (n, slots): the means of their distributions, float32 (n, width)."""
        return self._distributions(matrix)[0]

    def drawn_codes(self, matrix: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """A code drawn from each record's distribution, float32 (n, width)."""
        mean, log_variance = self._distributions(matrix)
        deviation = np.exp(np.clip(log_variance, -10.0, 10.0) / 2)
        return np.asarray(mean + deviation * draw.standard_normal(mean.shape, dtype=np.float32))

    def decoded(self, codes: np.ndarray) -> np.ndarray:
        """The output (n, outputs) for codes (n, width): locations and log scales of numbers, logits of levels."""
        every = np.repeat(codes[None].astype(np.float32), self.spec.members, axis=0)
        return np.asarray(self._decoder(ops.convert_to_tensor(every))[0])

    def _distributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = np.empty((2, len(matrix), self.spec.code), dtype=np.float32)
        hidden = np.zeros((min(len(matrix), BLOCK), self.spec.members, self.spec.column_count), dtype=np.float32)
        for start in range(0, len(matrix), BLOCK):
            part = np.repeat(matrix[start : start + BLOCK, None], self.spec.members, axis=1)
            found[:, start : start + BLOCK] = [each[0] for each in self._encoder([part, hidden[: len(part)]])]
        return found[0], found[1]


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions: `weights` (k,), `means` (k, width), lower factors of covariances `factors`."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int) -> Mixture:
        """Fit to codes (n, width): a component for every 200 of them, 30 at most."""
        from sklearn.mixture import GaussianMixture

        count = min(max(len(codes) // RECORDS_A_COMPONENT, 1), COMPONENTS)
        fitted = GaussianMixture(count, random_state=seed, reg_covar=1e-4).fit(codes.astype(np.float64))
        return cls(fitted.weights_, fitted.means_, np.linalg.cholesky(fitted.covariances_))

    def draw(self, count: int, draw: np.random.Generator) -> np.ndarray:
        """float64 (count, width)."""
        which = draw.choice(len(self.weights), count, p=self.weights / self.weights.sum())
        noise = draw.standard_normal((count, self.means.shape[1]))
        return np.asarray(self.means[which] + np.einsum("nij,nj->ni", self.factors[which], noise))


@dataclass(frozen=True)
class Companion:
    """A variational autoencoder of one member beside a champion, with the prior learned from its codes.

    The codes of a window do not fill the standard normal prior evenly, and what lies in the gaps decodes into records
    that never were; so new codes are drawn from a mixture fitted to the window's own (Ghosh et al. 2020, ex-post
    density estimation).
    """

    vae: Vae
    prior: Mixture

    @classmethod
    def fit(
        cls, encoder: Encoder, matrix: np.ndarray, width: int, seed: int, progress: Progress | None = None
    ) -> Companion:
        """Train on the records of a window (n, slots), encoded by `encoder`. RefusedData when the training diverges."""
        spec = companion_spec(encoder, width)
        everywhere = np.full(len(matrix), -1)
        vae = Vae(spec, Network.fit(spec, matrix, everywhere, seed, progress).model)
        draw = np.random.default_rng(seed)
        some = matrix[np.sort(draw.permutation(len(matrix))[:DRAWS])]
        return cls(vae, Mixture.fit(vae.drawn_codes(some, draw), seed))

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """A JSON value and plain arrays."""
        arrays = {f"weight_{i:05d}": w for i, w in enumerate(self.vae.model.get_weights())}
        arrays |= {f"prior_{name}": values for name, values in vars(self.prior).items()}
        return {"spec": self.vae.spec.to_state()}, arrays

    @classmethod
    def from_state(cls, state: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Companion:
        """The companion that `to_state` described."""
        spec = Spec.from_state(state["spec"])
        model = build(spec)
        model.set_weights([arrays[name] for name in sorted(arrays) if name.startswith("weight_")])
        return cls(Vae(spec, model), Mixture(*(arrays[f"prior_{n}"] for n in ("weights", "means", "factors"))))


def companion_spec(encoder: Encoder, width: int) -> Spec:
    """Numbers are reconstructed with their spread, so that decoding is a draw and the loss is a likelihood.

    The loss is a mean over cells, so the weight of the divergence is divided by their number.
    """
    widths, levels = zip(*encoder.cells, strict=True)
    return Spec(
        "vae",
        tuple(widths),
        tuple(levels),
        tuple(encoder.column_of_cell),
        members=1,
        hidden=HIDDEN,
        code=width,
        kl_weight=BETA / len(widths),
        scaled=True,
    )
