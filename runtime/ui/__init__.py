"""A local web page of what is seen and said."""
