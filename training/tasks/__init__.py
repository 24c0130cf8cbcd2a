"""What a command runs: pre-train, fine-tune, distill, probe, evaluate, cross-validate.

The loop they share is in `engine`.
"""
