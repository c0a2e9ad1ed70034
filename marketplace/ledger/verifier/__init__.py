"""The program that customers check their proofs with; it stands alone and imports nothing of us."""

from pathlib import Path

VERIFIER = Path(__file__).parent / "tokenworks_verify.py"
