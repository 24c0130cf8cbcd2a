"""What was proven of an exported file: its predictions against those of the trained model, on every budget."""

from dataclasses import asdict, dataclass
from pathlib import Path

from amr_edge.export.verify.parity import Parity
from amr_edge.runtime.bench.compare import Ratio
from amr_edge.terminal import table

PROVEN_ON = "onnxruntime"  # the engine that every device has


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """A file against the trained model, both on the same budget.

    Attributes:
        share: Of all tokens of a body.
        tokens: How many those are.
        parity: How they compare.
    """

    share: float
    tokens: int
    parity: Parity


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A file that was written and put to the proof.

    Attributes:
        path: Where it is.
        size_bytes: How large it is.
        opset: The operator set that is in it.
        proofs: Its answers against those of the trained model, for each budget, the largest first.
        precision: What its linears compute in.
        engine: What it was run on.
        pace: Its time for one clip, one thread, as a multiple of the fp32 file's; None for the fp32 file itself.
    """

    path: Path
    size_bytes: int
    opset: int
    proofs: tuple[VerificationReport, ...]
    precision: str = "fp32"
    engine: str = PROVEN_ON
    pace: Ratio | None = None

    @property
    def parity(self) -> Parity:
        """The proof on the largest budget."""
        return self.proofs[0].parity

    @property
    def failures(self) -> list[str]:
        """Exceeded limits on any budget, in words."""
        return [
            failure if proof is self.proofs[0] else f"on {proof.tokens} tokens {failure}"
            for proof in self.proofs
            for failure in proof.parity.failures
        ]

    def to_dict(self) -> dict[str, object]:
        """Contents of export_report.json."""
        return {
            "file": self.path.name,
            "size_bytes": self.size_bytes,
            "opset": self.opset,
            "precision": self.precision,
            "engine": self.engine,
            "latency_to_fp32": None if self.pace is None else self.pace.to_dict(),
            "proven": not self.failures,
            "failures": self.failures,
            **asdict(self.parity),
            "budgets": [
                {"share": p.share, "tokens": p.tokens, "proven": not p.parity.failures, **asdict(p.parity)}
                for p in self.proofs
            ],
        }

    def text(self) -> str:
        """The proof as a table."""
        limits = self.parity.limits
        parities = [proof.parity for proof in self.proofs]
        rows = [
            ("clips compared", *(f"{p.clips}" for p in parities), ""),
            (
                "max probability difference",
                *(f"{p.max_difference:.2e}" for p in parities),
                f"<= {limits.probability:.0e}",
            ),
            ("top-1 agreement", *(f"{p.agreement:.2%}" for p in parities), f">= {limits.agreement:.2%}"),
            ("accuracy, trained", *(f"{p.accuracy_trained:.4f}" for p in parities), ""),
            ("accuracy, ONNX", *(f"{p.accuracy_deployed:.4f}" for p in parities), f">= trained - {limits.accuracy:g}"),
        ]
        proof = table(rows, ("proof", *(f"{p.tokens} tokens" for p in self.proofs), "limit"))
        pace = "" if self.pace is None else f", latency against fp32: {self.pace.words()}"
        return f"{proof}\n{self.precision}{pace}, {self.size_bytes / 1e6:.2f} MB, opset {self.opset}, on {self.engine}"
