"""The measuring instrument: latency, power and accuracy of models on this machine, in numbers that can be published."""
