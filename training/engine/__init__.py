"""The training loop, checkpoints, devices and distributed runs, the same for every task.

What is trained and why belongs in `tasks`.
"""
