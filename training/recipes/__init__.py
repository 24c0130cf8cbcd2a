"""Complete recipes of the models that ship with the package.

General methods belong in `tasks`.
"""
