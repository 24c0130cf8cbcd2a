"""The model in the box: eight groups of exercises and `none`, taught by UI-PRMD and by synthetic people alone."""
