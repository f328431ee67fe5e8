"""Shares of a GPU as Ray counts them: none, whole ones, or one k-th of one."""

from typing import Literal

GRAIN, MOST_LANES = 1e-4, 64
"""The smallest share of a GPU that Ray counts, and the most lanes that one may have."""


def of_a_gpu(gpus: Literal["auto"] | float) -> Literal["auto"] | float:
    """`gpus` itself, if whole or "auto"; one k-th is rounded to Ray's ten-thousandths. Else ValueError."""
    if gpus == "auto" or gpus == int(gpus):
        return gpus
    k = round(1 / max(gpus, GRAIN)) if gpus < 1 else 0
    if k < 2 or k > MOST_LANES or abs(gpus - 1 / k) > GRAIN:
        near = sorted({1.0, *(_grain(k) for k in range(2, MOST_LANES + 1))}, key=lambda g: abs(g - gpus))[:2]
        words = " or ".join(f"{g:g}" for g in near)
        raise ValueError(
            f"{gpus:g} is neither a number of GPUs nor one k-th of one, so part of a GPU would stay unused; "
            f"use {words}"
        )
    return _grain(k)


def _grain(k: int) -> float:
    """One k-th, rounded down to Ray's unit so that k of them fit."""
    return int(1 / (k * GRAIN) + 1e-9) * GRAIN
