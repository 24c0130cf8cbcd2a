"""HTML reports and plots of runs.

Nothing here trains or changes a run.
"""
