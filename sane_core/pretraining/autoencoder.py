"""The SANE autoencoder, whole: windows of tokens in, windows of tokens out (Eqs. 3 and 4).

Linear into the transformer's width, position embedding added, pre-norm blocks, linear to the
latents; the decoder mirrors it with the same position embedding. Attention is not causal and never
looks at padding tokens. `encode` and `decode` take windows of any length; only the contrastive
projection head is tied to the window length of pretraining.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from schemas.config.pretrain import AutoencoderConfig


@dataclass(frozen=True)
class AutoencoderShape:
    """What the data fixes, beside `AutoencoderConfig`.

    Attributes:
        d_t: Token size.
        window: Window length W of pretraining (the projection head's only).
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


class Autoencoder(nn.Module):
    """Encoder g_θ, decoder h_ψ and projection head p_φ."""

    def __init__(self, shape: AutoencoderShape, config: AutoencoderConfig) -> None:
        super().__init__()
        self.shape = shape
        d_model = config.d_model
        self.positions = PositionEmbedding(shape.positions, d_model)
        self.tokens_in = nn.Linear(shape.d_t, d_model)
        self.encoder = nn.ModuleList(Block(d_model, config.heads) for _ in range(config.layers))
        self.encoder_norm = nn.LayerNorm(d_model, bias=False)
        self.latents_out = nn.Linear(d_model, config.d_z)
        self.latents_in = nn.Linear(config.d_z, d_model)
        self.decoder = nn.ModuleList(Block(d_model, config.heads) for _ in range(config.layers))
        self.decoder_norm = nn.LayerNorm(d_model, bias=False)
        self.tokens_out = nn.Linear(d_model, shape.d_t)
        self.projection = ProjectionHead(shape.window * config.d_z, config.d_projection)

    def encode(
        self, tokens: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Encode windows (Eq. 3).

        Args:
            tokens: float [batch, n, d_t].
            positions: int64 [batch, n, 3], `[n, l, k]`.
            lengths: int64 [batch, n], real weights per token; 0 is a padding token.

        Returns:
            Latents [batch, n, d_z].
        """
        x = self.tokens_in(tokens) + self.positions(positions)
        visible = visible_keys(lengths)
        for block in self.encoder:
            x = block(x, visible)
        return self.latents_out(self.encoder_norm(x))

    def decode(
        self, latents: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Decode latents [batch, n, d_z] to tokens [batch, n, d_t] (Eq. 4), else as `encode`."""
        x = self.latents_in(latents) + self.positions(positions)
        visible = visible_keys(lengths)
        for block in self.decoder:
            x = block(x, visible)
        return self.tokens_out(self.decoder_norm(x))


class PositionEmbedding(nn.Module):
    """concat(E1[n] + E2[l], E3[k]): learned tables, half of the width each."""

    def __init__(self, sizes: tuple[int, int, int], d_model: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.tables = nn.ModuleList(nn.Embedding(size, d_model // 2) for size in sizes)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Embed positions int64 [batch, n, 3] to [batch, n, d_model].

        Raises:
            ValueError: If a position lies beyond its table.
        """
        for axis, size in zip("nlk", self.sizes, strict=True):
            largest = int(positions[..., "nlk".index(axis)].max())
            if largest >= size:
                raise ValueError(
                    f"position {axis} must be < {size} (the trained table), got {largest}"
                )
        n, l, k = (table(positions[..., i]) for i, table in enumerate(self.tables))
        return torch.cat([n + l, k], dim=-1)


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
        """Map latents [batch, W, d_z] to [batch, d_projection]."""
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
