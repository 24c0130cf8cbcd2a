"""The recipe of the bundled model: eight groups of exercises and `none`, from UI-PRMD and synthetic people alone."""
