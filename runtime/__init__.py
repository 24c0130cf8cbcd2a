"""From a source to answers: NumPy and one inference engine, never torch."""
