"""Compare an exported file with the trained model: parity, accuracy, token budgets.

Writing files belongs in `convert`.
"""
