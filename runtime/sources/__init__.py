"""Where frames or poses come from: recorded skeletons, video files, cameras."""
