"""The SANE autoencoder, whole: windows of tokens in, windows of tokens out (Eqs. 3 and 4).

Linear into the transformer's width, position embedding added, pre-norm blocks, linear to the
latents; the decoder mirrors it with the same position embedding. Attention is not causal and never
looks at padding tokens.

`encode` and `decode` check what they are given. `forward`, the pass of a training step, and
`encode_checked`/`decode_checked` do not: nothing in them depends on values, so that a GPU is never
waited for and a compiler sees one graph. Their callers have been to `check_positions`, on the CPU.

With `bottleneck = "token"` (SANE) windows may have any length; only the contrastive projection head
is tied to that of pretraining. With `bottleneck = "model"` the whole sequence has one latent
vector, as in the earlier hyper-representations (Schürholt et al., 2021 and 2022): the encoder's
outputs are flattened and mapped to it by one linear layer, and back, which ties the autoencoder to
sequences of the length of pretraining; shorter networks are padded to it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sane_core.pretraining.positions import position_embedding
from schemas.config.pretrain import AutoencoderConfig


@dataclass(frozen=True)
class AutoencoderShape:
    """What the data fixes, beside `AutoencoderConfig`.

    Attributes:
        d_t: Token size.
        window: Window length W of pretraining.
        positions: Table sizes for n, l and k: largest position + 1 each.
    """

    d_t: int
    window: int
    positions: tuple[int, int, int]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "AutoencoderShape":
        """Return the shape whose `dataclasses.asdict` went through JSON."""
        n, l, k = fields["positions"]
        return cls(int(fields["d_t"]), int(fields["window"]), (int(n), int(l), int(k)))


class Passed(NamedTuple):
    """What a training step needs of a pass.

    Attributes:
        latents: [batch, W, d_z], or [batch, 1, d_z] with one for the whole sequence.
        decoded: Tokens [batch, W, d_t].
        projected: [batch, d_projection].
    """

    latents: torch.Tensor
    decoded: torch.Tensor
    projected: torch.Tensor


class Autoencoder(nn.Module):
    """Encoder g_θ, decoder h_ψ and projection head p_φ."""

    def __init__(self, shape: AutoencoderShape, config: AutoencoderConfig) -> None:
        super().__init__()
        self.shape, self.config = shape, config
        d_model, whole = config.d_model, config.bottleneck == "model"
        latents = 1 if whole else shape.window
        wide = shape.window * d_model if whole else d_model
        self.positions = position_embedding(shape.positions, config)
        self.tokens_in = nn.Linear(shape.d_t, d_model)
        self.encoder = nn.ModuleList(Block(d_model, config.heads) for _ in range(config.layers))
        self.encoder_norm = nn.LayerNorm(d_model, bias=False)
        self.latents_out = nn.Linear(wide, config.d_z)
        self.latents_in = nn.Linear(config.d_z, wide)
        self.decoder = nn.ModuleList(Block(d_model, config.heads) for _ in range(config.layers))
        self.decoder_norm = nn.LayerNorm(d_model, bias=False)
        self.tokens_out = nn.Linear(d_model, shape.d_t)
        self.projection = ProjectionHead(latents * config.d_z, config.d_projection)

    def encode(
        self, tokens: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Encode windows (Eq. 3).

        Args:
            tokens: float [batch, n, d_t].
            positions: int64 [batch, n, 3], `[n, l, k]`.
            lengths: int64 [batch, n], real weights per token; 0 is a padding token.

        Returns:
            Latents [batch, n, d_z]; [batch, 1, d_z] if there is one for the whole sequence.

        Raises:
            ValueError: If a position is unknown, or the sequence has not the length it must have.
        """
        self._check(positions)
        return self.encode_checked(tokens, positions, visible_keys(lengths))

    def decode(
        self, latents: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Decode latents, as `encode` returns them, to tokens [batch, n, d_t] (Eq. 4)."""
        self._check(positions)
        return self.decode_checked(latents, positions, visible_keys(lengths))

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor | None
    ) -> Passed:
        """Encode, decode and project windows of the length of pretraining; arguments as below."""
        latents = self.encode_checked(tokens, positions, visible)
        decoded = self.decode_checked(latents, positions, visible)
        return Passed(latents, decoded, self.projection(latents))

    def encode_checked(
        self, tokens: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor | None
    ) -> torch.Tensor:
        """Encode windows whose positions were checked.

        Args:
            tokens: float [batch, n, d_t].
            positions: int64 [batch, n, 3].
            visible: bool [batch, 1, 1, n], False at padding tokens; None: there are none, and
                attention needs no mask.

        Returns:
            Latents, as `encode`.
        """
        x = self.tokens_in(tokens) + self.positions(positions)
        for block in self.encoder:
            x = block(x, visible)
        x = self.encoder_norm(x)
        if self.config.bottleneck == "model":
            if visible is not None:
                x = x * visible[:, 0, 0, :, None]
            x = x.flatten(1).unsqueeze(1)
        return self.latents_out(x)

    def decode_checked(
        self, latents: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor | None
    ) -> torch.Tensor:
        """Decode latents to tokens [batch, n, d_t]; arguments as `encode_checked`."""
        x = self.latents_in(latents)
        if self.config.bottleneck == "model":
            x = x.view(len(x), self.shape.window, -1)
        x = x + self.positions(positions)
        for block in self.decoder:
            x = block(x, visible)
        return self.tokens_out(self.decoder_norm(x))

    def check_positions(self, positions: torch.Tensor | np.ndarray) -> None:
        """Make sure that positions int [..., 3] can be embedded; on a GPU this waits for it.

        Raises:
            ValueError: If one lies beyond its table and unseen ones are refused.
        """
        self.positions.check(positions)

    def _check(self, positions: torch.Tensor) -> None:
        length, window = positions.shape[1], self.shape.window
        if self.config.bottleneck == "model" and length != window:
            raise ValueError(
                f"a sequence must have {window} tokens, as in pretraining, to have one latent for "
                f"all of it (bottleneck: model), got {length}; pad shorter networks with tokens of "
                "length 0, and pass whole networks without cutting them in chunks"
            )
        self.check_positions(positions)


class Block(nn.Module):
    """Pre-norm transformer block without biases: attention, then a GELU MLP, 4 times as wide."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(d_model, bias=False)
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.attention_out = nn.Linear(d_model, d_model, bias=False)
        self.mlp_norm = nn.LayerNorm(d_model, bias=False)
        self.mlp_in = nn.Linear(d_model, 4 * d_model, bias=False)
        self.mlp_out = nn.Linear(4 * d_model, d_model, bias=False)

    def forward(self, x: torch.Tensor, visible: torch.Tensor | None) -> torch.Tensor:
        """Map [batch, n, d_model] to itself; `visible` is bool [batch, 1, 1, n] or None for all."""
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = x + self.attention_out(attend(q, k, v, visible).transpose(1, 2).flatten(2))
        return x + self.mlp_out(functional.gelu(self.mlp_in(self.mlp_norm(x))))


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visible: torch.Tensor | None
) -> torch.Tensor:
    """Return softmax(q kᵀ / √d) v over visible keys, all [batch, heads, n, d].

    In bfloat16 on a CPU the fused kernel is several times slower than the plain products
    (backward pass, windows of a few hundred tokens), so there the products are written out.
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=visible)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if visible is not None:
        scores = scores.masked_fill(~visible, -torch.inf)
    return torch.softmax(scores, dim=-1, dtype=q.dtype) @ v


class ProjectionHead(nn.Module):
    """p_φ of Eq. 6: flattened latents of a window to a small vector."""

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_in, d_out, bias=False),
            nn.LayerNorm(d_out),
            nn.ReLU(),
            nn.Linear(d_out, d_out),
            nn.LayerNorm(d_out),
            nn.ReLU(),
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Map latents [batch, W or 1, d_z] to [batch, d_projection]."""
        return self.layers(latents.flatten(1))


def visible_keys(lengths: torch.Tensor) -> torch.Tensor | None:
    """Return which tokens may be attended to, bool [batch, 1, 1, n]; None: there is no padding."""
    real = lengths > 0
    return None if bool(real.all()) else real[:, None, None, :]


def build(shape: AutoencoderShape, config: AutoencoderConfig, seed: int) -> Autoencoder:
    """Build an autoencoder with initial weights N(0, 0.02), residual outputs / √(2 · layers).

    Args:
        shape: What the data fixes.
        config: Width, depth, latents.
        seed: Seed of the initial weights; the global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(shape, config)
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                continue
            residual = name.endswith(("attention_out.weight", "mlp_out.weight"))
            nn.init.normal_(parameter, std=0.02 / (2 * config.layers) ** 0.5 if residual else 0.02)
        for module in model.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
