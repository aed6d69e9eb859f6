"""The space in which heads are trained: features standardised and turned to be uncorrelated.

A penalty on ‖W‖² does not see a rotation, and of N pictures at most N directions matter, so both
the rotation and the smaller number of columns leave the best head as it is.

Shapes: N pictures, F features, R columns: one for each direction, and a last one that is 1.
"""

import torch
from torch import Tensor

SMALL = 500_000
"""Numbers of z_NR up to which all is computed in float64: then it costs nothing."""
ENOUGH = 8_192
"""Pictures whose correlations stand for those of all."""
NOTHING = 1e-10
"""Share of the largest variance below which a direction holds rounding errors alone."""


class Space:
    """The space of one set of features."""

    def __init__(self, features_NF: Tensor) -> None:
        features_NF = features_NF.detach().cpu().double()
        self.mean = features_NF.mean(0)
        deviation_F = features_NF.std(0, correction=0)
        self.scale = torch.where(deviation_F > 0, deviation_F, 1)
        standard_NF: Tensor = (features_NF - self.mean) / self.scale
        self.basis: Tensor = _basis(standard_NF)
        small = len(features_NF) * self.basis.shape[1] <= SMALL
        self.dtype = torch.float64 if small else torch.float32
        self.z = self._turned(standard_NF)

    def placed(self, features_NF: Tensor) -> Tensor:
        """Other features as z_NR."""
        return self._turned((features_NF.detach().cpu().double() - self.mean) / self.scale)

    def head(self, w_RK: Tensor) -> tuple[Tensor, Tensor]:
        """A head in this space as weight_KF and bias_K for features as they are (float32)."""
        w_RK = w_RK.double()
        weight_KF: Tensor = (self.basis @ w_RK[:-1]).T / self.scale
        bias_K = w_RK[-1] - weight_KF @ self.mean
        return weight_KF.float(), bias_K.float()

    def _turned(self, standard_NF: Tensor) -> Tensor:
        z_NR = standard_NF.to(self.dtype) @ self.basis.to(self.dtype)
        return torch.cat([z_NR, z_NR.new_ones(len(z_NR), 1)], 1)


def _basis(standard_NF: Tensor) -> Tensor:
    """basis_FR: orthonormal directions, those with the largest variance first."""
    pictures, features = standard_NF.shape
    if pictures < features:
        squares, turns_NR = torch.linalg.eigh(standard_NF @ standard_NF.T)
        kept = squares > NOTHING * squares.max()
        basis_FR: Tensor = standard_NF.T @ turns_NR[:, kept] / squares[kept].sqrt()
        return basis_FR.flip(1)
    some_NF: Tensor = standard_NF[:: max(1, pictures // ENOUGH)]
    squares, turns = torch.linalg.eigh(some_NF.T @ some_NF)
    turns_FR: Tensor = turns
    if len(some_NF) == pictures:
        turns_FR = turns_FR[:, squares > NOTHING * squares.max()]
    return turns_FR.flip(1)
