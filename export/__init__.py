"""From weights to a deployed file, and the proof that nothing was lost. May see training and runtime."""
