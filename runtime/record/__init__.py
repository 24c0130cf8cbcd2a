"""Actions of one's own: takes from a camera, and folders of videos, as a data set."""
