"""Who finds the joints in a picture."""
